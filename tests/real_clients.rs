//! Official clients through the built gateway, over TLS, to servers in the manner of Postiz.
//!
//! Most scenarios are the same story on another stage: a client connects, lists the tools, calls one, is
//! told of progress, cancels, is refused for its key and for its last day, sees its server restarted,
//! calls until it is refused and goes on with the same session, and leaves in the middle of a call.
//! `clients/story.rs` says what has to be seen; what a client shows its user is kept for the table of
//! `make dialects`, which also runs the scenarios that are ignored here. A second story is that of a key
//! whose rules leave a tool out (`clients/rules.rs`): the client sees the others listed, is told that the
//! tool is unknown, goes on, and has no use of another's session. One more client logs in by the OAuth of
//! Postiz (`clients/oauth.rs`). Afterwards no key is in any output of the gateway, at the most talkative
//! log level.

#![expect(clippy::expect_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]

#[path = "clients/certificates.rs"]
mod certificates;
#[path = "clients/curl.rs"]
mod curl;
#[path = "clients/dialect.rs"]
mod dialect;
#[path = "clients/gateway.rs"]
mod gateway;
#[path = "clients/inspector.rs"]
mod inspector;
#[path = "clients/oauth.rs"]
mod oauth;
#[path = "clients/process.rs"]
mod process;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/rules.rs"]
mod rules;
#[path = "clients/stage.rs"]
mod stage;
#[path = "clients/story.rs"]
mod story;
#[path = "clients/table.rs"]
mod table;
#[path = "clients/teller.rs"]
mod teller;
#[path = "clients/upstream.rs"]
mod upstream;

use crate::{
    dialect::Dialect,
    stage::{Credential, Stage},
    teller::Client,
};

fn tell(client: Client, dialect: Dialect, credential: Credential) {
    story::tell(client, Stage::set(dialect, credential), credential);
}

fn tell_under_rules(client: Client, dialect: Dialect) {
    rules::tell(client, Stage::set(dialect, Credential::Path));
}

#[test]
fn typescript_v1_on_legacy() {
    tell(Client::TypeScriptV1, Dialect::Legacy, Credential::Path);
}

/// Both count their calls from the same number, at one stream; and the second leaves while the first one's
/// call waits.
fn tell_of_two(first: Client, second: Client, dialect: Dialect) {
    let credential = Credential::PathOfConsumer;
    story::tell_with((first, credential), Stage::set(dialect, credential), |stage| {
        rules::tell_beside_another(second, stage);
    });
}

#[test]
fn typescript_v1_and_python_v1_share_a_stream_on_legacy() {
    tell_of_two(Client::TypeScriptV1, Client::PythonV1, Dialect::Legacy);
}

#[test]
fn typescript_v1_and_python_v1_share_a_stream_on_nest_legacy() {
    tell_of_two(Client::TypeScriptV1, Client::PythonV1, Dialect::NestLegacy);
}

#[test]
fn python_v1_and_typescript_v1_share_a_stream_on_nest_legacy() {
    tell_of_two(Client::PythonV1, Client::TypeScriptV1, Dialect::NestLegacy);
}

#[test]
fn typescript_v1_on_nest_legacy() {
    tell(Client::TypeScriptV1, Dialect::NestLegacy, Credential::Path);
}

#[test]
fn python_v1_on_nest_legacy() {
    tell(Client::PythonV1, Dialect::NestLegacy, Credential::Path);
}

#[test]
fn typescript_v1_on_sessions() {
    tell(Client::TypeScriptV1, Dialect::Sessions, Credential::Path);
}

#[test]
fn typescript_v1_on_stateless() {
    tell(Client::TypeScriptV1, Dialect::Stateless, Credential::Path);
}

#[test]
fn typescript_v1_on_stateless_with_bearer() {
    tell(Client::TypeScriptV1, Dialect::Stateless, Credential::Bearer);
}

#[test]
fn typescript_v1_on_legacy_with_the_key_of_a_consumer() {
    tell(Client::TypeScriptV1, Dialect::Legacy, Credential::PathOfConsumer);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v1_on_mastra_sessions() {
    tell(Client::TypeScriptV1, Dialect::MastraSessions, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v1_on_mastra_stateless() {
    tell(Client::TypeScriptV1, Dialect::MastraStateless, Credential::Path);
}

#[test]
fn typescript_v1_logs_in_at_postiz() {
    oauth::tell();
}

#[test]
fn typescript_v2_on_legacy() {
    tell(Client::TypeScriptV2, Dialect::Legacy, Credential::Path);
}

#[test]
fn typescript_v2_on_sessions() {
    tell(Client::TypeScriptV2, Dialect::Sessions, Credential::Path);
}

#[test]
fn typescript_v2_on_stateless() {
    tell(Client::TypeScriptV2, Dialect::Stateless, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v2_on_mastra_sessions() {
    tell(Client::TypeScriptV2, Dialect::MastraSessions, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v2_on_mastra_stateless() {
    tell(Client::TypeScriptV2, Dialect::MastraStateless, Credential::Path);
}

#[test]
fn mcp_remote_on_legacy() {
    tell(Client::McpRemote, Dialect::Legacy, Credential::Path);
}

#[test]
fn mcp_remote_on_sessions() {
    tell(Client::McpRemote, Dialect::Sessions, Credential::Path);
}

#[test]
fn mcp_remote_on_stateless() {
    tell(Client::McpRemote, Dialect::Stateless, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn mcp_remote_on_mastra_sessions() {
    tell(Client::McpRemote, Dialect::MastraSessions, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn mcp_remote_on_mastra_stateless() {
    tell(Client::McpRemote, Dialect::MastraStateless, Credential::Path);
}

#[test]
fn python_v1_on_legacy() {
    tell(Client::PythonV1, Dialect::Legacy, Credential::Path);
}

#[test]
fn python_v1_on_sessions() {
    tell(Client::PythonV1, Dialect::Sessions, Credential::Path);
}

#[test]
fn python_v1_on_stateless() {
    tell(Client::PythonV1, Dialect::Stateless, Credential::Path);
}

#[test]
fn python_v1_on_stateless_with_bearer() {
    tell(Client::PythonV1, Dialect::Stateless, Credential::Bearer);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v1_on_mastra_sessions() {
    tell(Client::PythonV1, Dialect::MastraSessions, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v1_on_mastra_stateless() {
    tell(Client::PythonV1, Dialect::MastraStateless, Credential::Path);
}

#[test]
fn python_v2_on_legacy() {
    tell(Client::PythonV2, Dialect::Legacy, Credential::Path);
}

#[test]
fn python_v2_on_sessions() {
    tell(Client::PythonV2, Dialect::Sessions, Credential::Path);
}

#[test]
fn python_v2_on_stateless() {
    tell(Client::PythonV2, Dialect::Stateless, Credential::Path);
}

#[test]
fn python_v2_on_stateless_with_bearer() {
    tell(Client::PythonV2, Dialect::Stateless, Credential::Bearer);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v2_on_mastra_sessions() {
    tell(Client::PythonV2, Dialect::MastraSessions, Credential::Path);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v2_on_mastra_stateless() {
    tell(Client::PythonV2, Dialect::MastraStateless, Credential::Path);
}

#[test]
fn curl_on_legacy() {
    curl::tell(Stage::set(Dialect::Legacy, Credential::Path));
}

#[test]
fn curl_on_sessions() {
    curl::tell(Stage::set(Dialect::Sessions, Credential::Path));
}

#[test]
fn curl_on_stateless() {
    curl::tell(Stage::set(Dialect::Stateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn curl_on_mastra_sessions() {
    curl::tell(Stage::set(Dialect::MastraSessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn curl_on_mastra_stateless() {
    curl::tell(Stage::set(Dialect::MastraStateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_on_legacy() {
    inspector::tell(Stage::set(Dialect::Legacy, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_on_sessions() {
    inspector::tell(Stage::set(Dialect::Sessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_on_stateless() {
    inspector::tell(Stage::set(Dialect::Stateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_on_mastra_sessions() {
    inspector::tell(Stage::set(Dialect::MastraSessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_on_mastra_stateless() {
    inspector::tell(Stage::set(Dialect::MastraStateless, Credential::Path));
}

#[test]
fn typescript_v1_under_rules_on_legacy() {
    tell_under_rules(Client::TypeScriptV1, Dialect::Legacy);
}

#[test]
fn typescript_v1_under_rules_on_sessions() {
    tell_under_rules(Client::TypeScriptV1, Dialect::Sessions);
}

#[test]
fn typescript_v1_under_rules_on_stateless() {
    tell_under_rules(Client::TypeScriptV1, Dialect::Stateless);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v1_under_rules_on_mastra_sessions() {
    tell_under_rules(Client::TypeScriptV1, Dialect::MastraSessions);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v1_under_rules_on_mastra_stateless() {
    tell_under_rules(Client::TypeScriptV1, Dialect::MastraStateless);
}

#[test]
fn typescript_v2_under_rules_on_legacy() {
    tell_under_rules(Client::TypeScriptV2, Dialect::Legacy);
}

#[test]
fn typescript_v2_under_rules_on_sessions() {
    tell_under_rules(Client::TypeScriptV2, Dialect::Sessions);
}

#[test]
fn typescript_v2_under_rules_on_stateless() {
    tell_under_rules(Client::TypeScriptV2, Dialect::Stateless);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v2_under_rules_on_mastra_sessions() {
    tell_under_rules(Client::TypeScriptV2, Dialect::MastraSessions);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn typescript_v2_under_rules_on_mastra_stateless() {
    tell_under_rules(Client::TypeScriptV2, Dialect::MastraStateless);
}

#[test]
fn mcp_remote_under_rules_on_legacy() {
    tell_under_rules(Client::McpRemote, Dialect::Legacy);
}

#[test]
fn mcp_remote_under_rules_on_sessions() {
    tell_under_rules(Client::McpRemote, Dialect::Sessions);
}

#[test]
fn mcp_remote_under_rules_on_stateless() {
    tell_under_rules(Client::McpRemote, Dialect::Stateless);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn mcp_remote_under_rules_on_mastra_sessions() {
    tell_under_rules(Client::McpRemote, Dialect::MastraSessions);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn mcp_remote_under_rules_on_mastra_stateless() {
    tell_under_rules(Client::McpRemote, Dialect::MastraStateless);
}

#[test]
fn python_v1_under_rules_on_legacy() {
    tell_under_rules(Client::PythonV1, Dialect::Legacy);
}

#[test]
fn python_v1_under_rules_on_sessions() {
    tell_under_rules(Client::PythonV1, Dialect::Sessions);
}

#[test]
fn python_v1_under_rules_on_stateless() {
    tell_under_rules(Client::PythonV1, Dialect::Stateless);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v1_under_rules_on_mastra_sessions() {
    tell_under_rules(Client::PythonV1, Dialect::MastraSessions);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v1_under_rules_on_mastra_stateless() {
    tell_under_rules(Client::PythonV1, Dialect::MastraStateless);
}

#[test]
fn python_v2_under_rules_on_legacy() {
    tell_under_rules(Client::PythonV2, Dialect::Legacy);
}

#[test]
fn python_v2_under_rules_on_sessions() {
    tell_under_rules(Client::PythonV2, Dialect::Sessions);
}

#[test]
fn python_v2_under_rules_on_stateless() {
    tell_under_rules(Client::PythonV2, Dialect::Stateless);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v2_under_rules_on_mastra_sessions() {
    tell_under_rules(Client::PythonV2, Dialect::MastraSessions);
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn python_v2_under_rules_on_mastra_stateless() {
    tell_under_rules(Client::PythonV2, Dialect::MastraStateless);
}

#[test]
fn curl_under_rules_on_legacy() {
    curl::under_rules(Stage::set(Dialect::Legacy, Credential::Path));
}

#[test]
fn curl_under_rules_on_sessions() {
    curl::under_rules(Stage::set(Dialect::Sessions, Credential::Path));
}

#[test]
fn curl_under_rules_on_stateless() {
    curl::under_rules(Stage::set(Dialect::Stateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn curl_under_rules_on_mastra_sessions() {
    curl::under_rules(Stage::set(Dialect::MastraSessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn curl_under_rules_on_mastra_stateless() {
    curl::under_rules(Stage::set(Dialect::MastraStateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_under_rules_on_legacy() {
    inspector::under_rules(Stage::set(Dialect::Legacy, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_under_rules_on_sessions() {
    inspector::under_rules(Stage::set(Dialect::Sessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_under_rules_on_stateless() {
    inspector::under_rules(Stage::set(Dialect::Stateless, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_under_rules_on_mastra_sessions() {
    inspector::under_rules(Stage::set(Dialect::MastraSessions, Credential::Path));
}

#[test]
#[ignore = "heavy: `make dialects`"]
fn inspector_under_rules_on_mastra_stateless() {
    inspector::under_rules(Stage::set(Dialect::MastraStateless, Credential::Path));
}
