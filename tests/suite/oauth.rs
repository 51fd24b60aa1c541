//! `oauth = "upstream"`: Postiz's own OAuth, at the addresses that Postiz announces.

use crate::harness::{Answer, Call, Gateway, Key, Setup, Upstream, call_with_id, tool_call};

const METADATA: &str = "/.well-known/oauth-protected-resource/mcp-oauth";

const WELL_KNOWN: [&str; 4] = [
    METADATA,
    "/.well-known/oauth-protected-resource/mcp-oauth-claude",
    "/.well-known/oauth-authorization-server/mcp-oauth",
    "/.well-known/openid-configuration/mcp-oauth",
];

/// Postiz behind its prefix, and the site beside it, which has a page for everything.
struct Stage {
    postiz: Upstream,
    site: Upstream,
}

impl Stage {
    async fn new() -> Self {
        Self { postiz: Upstream::start().await, site: Upstream::start().await }
    }

    fn setup(&self, lines: &str) -> Setup {
        Setup::new(&self.postiz)
            .routes(&format!(
                "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nhosts = [\"gateway.test\"]\n\
                 paths = [\"/api/mcp/{{key}}\", \"/api/mcp\"]\nunknown_keys = \"forward\"\n{lines}\n\
                 [[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
                 hosts = [\"gateway.test\", \"site.test\"]\n"
            ))
            .also(&format!("[upstreams.site]\nendpoints = [\"http://{}\"]", self.site.address()))
    }

    fn boot(&self, lines: &str) -> Gateway {
        self.setup(&format!("oauth = \"upstream\"\n{lines}")).start()
    }

    /// Asks what Postiz answers with this.
    async fn ask(
        &mut self,
        gateway: &Gateway,
        call: &Call,
        answer: (u16, &str),
    ) -> (Answer, String) {
        let mut client = gateway.client().await;
        client.send(call).await;
        let request = self.postiz.next().await;
        let json = [("content-type", "application/json")];
        let seen = request.respond(answer.0, &json, answer.1).await;
        (client.answer().await, format!("{} {}", seen.method, seen.target))
    }
}

fn form(target: &str, body: &str) -> Call {
    Call::new("POST", target)
        .field("content-type", "application/x-www-form-urlencoded")
        .field("accept", "application/json")
        .body(body)
}

fn challenge_of(resource: &str) -> String {
    let metadata = "http://gateway.test/.well-known/oauth-protected-resource/";
    format!("Bearer resource_metadata=\"{metadata}{resource}\"")
}

/// The path of an address that Postiz announced; all of them have its public origin.
fn path(address: &serde_json::Value) -> &str {
    address.as_str().unwrap().strip_prefix("http://gateway.test").unwrap()
}

#[tokio::test]
async fn a_client_gets_from_a_401_to_a_call_by_what_it_is_told() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let call = Call::post("/mcp-oauth", &call_with_id(1, "initialize"));
    let refused = gateway.ask(&call).await;
    refused.refused(401, "unauthorized");
    let challenge = refused.field("www-authenticate").unwrap();
    let address = challenge.strip_prefix("Bearer resource_metadata=\"").unwrap();
    let metadata = serde_json::Value::from(address.strip_suffix('"').unwrap());
    let said = r#"{"resource":"http://gateway.test/mcp-oauth",
        "authorization_servers":["http://gateway.test/mcp-oauth"]}"#;
    let (answer, seen) = stage.ask(&gateway, &Call::get(path(&metadata)), (200, said)).await;
    assert_eq!(seen, format!("GET {METADATA}"), "nothing is taken off");
    let resource = answer.json();
    let issuer = path(&resource["authorization_servers"][0]);
    let said = r#"{"registration_endpoint":"http://gateway.test/oauth/register",
        "token_endpoint":"http://gateway.test/oauth/token"}"#;
    let target = format!("/.well-known/oauth-authorization-server{issuer}");
    let (answer, seen) = stage.ask(&gateway, &Call::get(&target), (200, said)).await;
    assert_eq!(seen, format!("GET {target}"));
    let server = answer.json();
    let register = Call::post(path(&server["registration_endpoint"]), r#"{"client_name":"x"}"#);
    let (answer, seen) = stage.ask(&gateway, &register, (201, r#"{"client_id":"pca"}"#)).await;
    assert_eq!((answer.status, seen.as_str()), (201, "POST /oauth/register"));
    let (code, token) = (Key::new(), Key::new());
    let body = format!("grant_type=authorization_code&code={}", code.encoded());
    let asked = form(path(&server["token_endpoint"]), &body);
    let given = format!(r#"{{"access_token":"{}","token_type":"bearer"}}"#, token.text());
    let (answer, seen) = stage.ask(&gateway, &asked, (200, &given)).await;
    assert_eq!((answer.text(), seen.as_str()), (given.as_str(), "POST /oauth/token"));
    let (answer, seen) = stage.ask(&gateway, &call.bearer(&token), (200, r#"{"result":{}}"#)).await;
    assert_eq!((answer.status, seen.as_str()), (200, "POST /mcp-oauth"));
    // To an operator it is one route.
    let line = gateway
        .logged("the call", |line| line["mcp_method"] == "initialize" && line["status"] == 200);
    let line = line.await;
    assert_eq!((&line["route"], &line["path"]), (&"mcp".into(), &"/mcp-oauth".into()));
    gateway.metric_becomes("portcullis_requests_total", &["route=\"mcp\""], 6.0).await;
    stage.site.untouched();
}

#[tokio::test]
async fn each_endpoint_is_reached_as_announced_and_behind_the_prefix() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let key = Key::new();
    for (target, resource) in [
        ("/mcp-oauth", "mcp-oauth"),
        ("/mcp-oauth-claude", "mcp-oauth-claude"),
        ("/api/mcp-oauth", "mcp-oauth"),
        ("/API/mcp-OAuth-Claude", "mcp-oauth-claude"),
    ] {
        let call = Call::post(target, &tool_call(1));
        let challenge = challenge_of(resource);
        let missing = gateway.ask(&call).await;
        assert_eq!(
            missing.refused(401, "unauthorized").field("www-authenticate"),
            Some(&*challenge)
        );
        let seen = gateway.pass(&mut stage.postiz, &call.bearer(&key)).await;
        assert_eq!(seen.target, format!("/{resource}"));
        assert_eq!(seen.field("authorization"), Some(format!("Bearer {}", key.text()).as_str()));
    }
    for prefix in ["", "/api"] {
        let userinfo = Call::new("GET", &format!("{prefix}/oauth/userinfo")).bearer(&key);
        assert_eq!(stage.ask(&gateway, &userinfo, (200, "{}")).await.1, "GET /oauth/userinfo");
        for page in ["register", "token"] {
            let call = form(&format!("{prefix}/oauth/{page}"), "a=b");
            let (_, seen) = stage.ask(&gateway, &call, (200, "{}")).await;
            assert_eq!(seen, format!("POST /oauth/{page}"));
        }
    }
}

#[tokio::test]
async fn a_401_of_the_upstream_leads_to_the_metadata_under_our_origin_and_there_alone() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let theirs = "Bearer resource_metadata=\"https://localhost:3000/x\"";
    for (target, expected) in [
        ("/mcp-oauth", challenge_of("mcp-oauth")),
        ("/api/mcp-oauth-claude", challenge_of("mcp-oauth-claude")),
        // Anywhere else a client that finds metadata would ask for OAuth.
        ("/api/mcp", "Bearer realm=\"portcullis\"".to_owned()),
    ] {
        let mut client = gateway.client().await;
        client.send(&Call::post(target, &tool_call(1)).bearer(&Key::new())).await;
        let request = stage.postiz.next().await;
        request.respond(401, &[("www-authenticate", theirs)], "no").await;
        let answer = client.answer().await;
        assert_eq!(answer.field("www-authenticate"), Some(&*expected), "{target}");
    }
    let plain = gateway.ask(&Call::post("/api/mcp", &tool_call(1))).await;
    assert_eq!(plain.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
}

#[tokio::test]
async fn the_challenge_has_the_scheme_and_the_port_that_the_client_used() {
    let stage = Stage::new().await;
    let gateway = stage
        .setup("oauth = \"upstream\"")
        .also("[access]\ntrusted_proxies = [\"127.0.0.1\"]")
        .start();
    let call = Call::post("/mcp-oauth", &tool_call(1)).host("gateway.test:8443");
    let answer = gateway.ask(&call.field("x-forwarded-proto", "https")).await;
    let metadata = "https://gateway.test:8443/.well-known/oauth-protected-resource/mcp-oauth";
    let expected = format!("Bearer resource_metadata=\"{metadata}\"");
    assert_eq!(answer.field("www-authenticate"), Some(&*expected));
}

#[tokio::test]
async fn without_the_setting_all_of_it_is_a_clean_404() {
    let mut stage = Stage::new().await;
    let gateway = stage.setup("").start();
    for target in
        WELL_KNOWN.into_iter().chain(["/mcp-oauth", "/mcp-oauth-claude", "/api/mcp-oauth"])
    {
        gateway.ask(&Call::get(target)).await.refused(404, "discovery");
        gateway
            .ask(&Call::post(target, &tool_call(1)).bearer(&Key::new()))
            .await
            .refused(404, "discovery");
    }
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn what_would_make_every_client_ask_for_oauth_stays_a_404() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let under_a_key =
        format!("/api/mcp/{}/.well-known/oauth-authorization-server", Key::new().encoded());
    let behind_a_key = format!("{}/x", METADATA);
    for target in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/api/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/mcp-oauth-claude",
        "/api/.well-known/oauth-protected-resource/mcp-oauth",
        "/mcp-oauth/x",
        "/mcp-oauth/.well-known/openid-configuration",
        "/mcp-oauth-other",
        under_a_key.as_str(),
        behind_a_key.as_str(),
    ] {
        gateway.ask(&Call::get(target)).await.refused(404, "discovery");
    }
    gateway.ask(&Call::post("/register", "{}")).await.refused(404, "discovery");
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_page_where_a_person_agrees_stays_with_the_site_and_so_does_what_lies_under_the_others()
{
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    for target in ["/oauth/authorize?client_id=x", "/oauth/token/x", "/oauth", "/oauth/tokens"] {
        let seen = gateway.pass(&mut stage.site, &Call::get(target)).await;
        assert_eq!(seen.target, target);
    }
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_page_of_oauth_has_one_method_and_one_spelling() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    for (call, allow) in [
        (Call::new("GET", "/oauth/token"), "POST, OPTIONS"),
        (Call::new("DELETE", "/oauth/register"), "POST, OPTIONS"),
        (form("/oauth/userinfo", "a=b"), "GET, HEAD, OPTIONS"),
        (form(METADATA, "a=b"), "GET, HEAD, OPTIONS"),
    ] {
        assert_eq!(gateway.ask(&call).await.refused(405, "method").field("allow"), Some(allow));
    }
    for target in ["/oauth/%74oken", "/oauth;a/token", "/oauth//token", "/oauth%2Ftoken"] {
        gateway.ask(&form(target, "a=b")).await.refused(400, "malformed");
    }
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_address_has_a_rate_on_the_pages_and_keys_have_theirs_beside_it() {
    let mut stage = Stage::new().await;
    let setup = stage.setup("oauth = \"upstream\"");
    let gateway = setup.also("[limits]\nunproven_per_address = \"2/day\"").start();
    stage.ask(&gateway, &Call::get(METADATA), (200, "{}")).await;
    stage.ask(&gateway, &Call::post("/api/oauth/register", "{}"), (201, "{}")).await;
    gateway.ask(&Call::post("/oauth/register", "{}")).await.refused(429, "rate");
    gateway.ask(&Call::get(METADATA)).await.refused(429, "rate");
    gateway
        .pass(&mut stage.postiz, &Call::post("/mcp-oauth", &tool_call(1)).bearer(&Key::new()))
        .await;
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_registration_has_a_size() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let long = Call::post("/oauth/register", &format!("\"{}\"", "x".repeat(64 << 10)));
    gateway.ask(&long).await.refused(413, "body_too_large");
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn the_rules_of_the_route_hold_on_its_oauth() {
    let mut stage = Stage::new().await;
    let (ours, elsewhere) = (Key::new(), Key::new());
    let setup =
        stage.setup("oauth = \"upstream\"\nrate = \"1/day\"\norigins = [\"https://a.test\"]");
    let setup = setup.consumer("one", &ours, "");
    let gateway = setup.consumer("other", &elsewhere, "routes = [\"marker\"]\n").start();
    let call = |target: &str| Call::post(target, &tool_call(1));
    gateway.ask(&call("/mcp-oauth").bearer(&elsewhere)).await.refused(401, "unauthorized");
    gateway
        .ask(&call("/mcp-oauth").bearer(&ours).field("origin", "https://b.test"))
        .await
        .refused(403, "origin");
    gateway.pass(&mut stage.postiz, &call("/mcp-oauth").bearer(&ours)).await;
    // One bucket for all paths of the route.
    for target in ["/mcp-oauth", "/api/mcp-oauth-claude", "/api/mcp"] {
        gateway.ask(&call(target).bearer(&ours)).await.refused(200, "rate");
    }
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_address_that_the_route_keeps_out_is_kept_out_of_its_oauth() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("allow = [\"192.0.2.0/24\"]");
    for call in [Call::get(METADATA), Call::post("/mcp-oauth", "{}"), form("/oauth/token", "a=b")] {
        gateway.ask(&call).await.refused(403, "address");
    }
    stage.postiz.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn no_code_or_token_of_these_pages_is_in_the_log() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let (code, token) = (Key::new(), Key::new());
    for target in [METADATA, "/oauth/userinfo", "/api/oauth/userinfo"] {
        let call = Call::get(&format!("{target}?code={}&state=s", code.encoded())).bearer(&token);
        let (_, seen) = stage.ask(&gateway, &call, (200, "{}")).await;
        assert!(seen.contains("?code="), "a page's query goes on: {seen}");
        let path = target.to_owned();
        gateway.logged("the page", |line| line["path"] == *path).await;
    }
    let refused = Call::get(&format!("/oauth/token?code={}", code.encoded()));
    gateway.ask(&refused).await.refused(405, "method");
    // The harness looks for both in every sink when the gateway is dropped.
}

#[tokio::test]
async fn a_code_that_travelled_in_clear_is_not_redirected() {
    let stage = Stage::new().await;
    let gateway = stage.setup("oauth = \"upstream\"").tls().redirect().start();
    let from = std::net::Ipv4Addr::LOCALHOST;
    for call in [form("/oauth/token", "code=1"), Call::post("/mcp-oauth", "{}")] {
        gateway.client_of("redirect", from).await.ask(&call).await.refused(403, "insecure");
    }
    let page = Call::get("/oauth/authorize");
    assert_eq!(gateway.client_of("redirect", from).await.ask(&page).await.status, 308);
}

#[tokio::test]
async fn a_host_of_another_route_has_none_of_it() {
    let mut stage = Stage::new().await;
    let gateway = stage.boot("");
    let call = Call::get(METADATA).host("site.test");
    assert_eq!(gateway.pass(&mut stage.site, &call).await.target, METADATA);
    gateway.ask(&Call::get("/mcp-oauth").host("site.test")).await.refused(421, "host");
    stage.postiz.saw_nothing(&gateway).await;
}
