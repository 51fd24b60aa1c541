//! Every denial, driven through the whole gateway: what the client gets of it, to the last field, and
//! what the operator reads.

mod in_step;
mod scene;
mod scenes;

use portcullis::types::{Denial as D, Malformation as M};
use serde_json::{Value, json};

use self::scene::{Making, Refused};
use crate::{
    client_certificates::who_shows_a_key_and_anothers_certificate_looks_like_who_has_no_key,
    ending::a_call_that_waits_is_refused_and_one_on_its_stream_is_told_there,
    harness::{Answer, Call, Key, Setup, Upstream},
    noon,
};

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Keeps,
    Closes,
}
use Then::{Closes, Keeps};

/// A refusal as the client and the operator have to see it.
struct Row {
    status: u16,
    code: i32,
    /// The operator's word. The client's is the same, but for a key's refusal.
    reason: &'static str,
    id: Value,
    then: Then,
    /// The fields that not every refusal has.
    fields: Vec<(&'static str, &'static str)>,
}

/// Makes a test of each row, and of all denials one match without a wildcard: a new one doesn't
/// compile before it has a row here. Under `otherwise` stand those that are told in another way than
/// by an answer, each with the test of that.
macro_rules! every_denial {
    (
        malformed { $($what:ident => $malformed:ident $malformed_status:literal;)+ }
        denied {
            $($denial:pat => $scene:ident
                $status:literal $code:literal $reason:literal id $id:tt $then:ident [$($field:tt)*];)+
        }
        otherwise { $($other:pat => $test:ident;)+ }
    ) => {
        const _: fn(D) = |denial| match denial {
            D::Malformed(what) => match what {
                $(M::$what => {})+
            }
            $($denial => {})+
            $($other => { let _: fn() = $test; })+
        };
        $(#[tokio::test]
        async fn $malformed() {
            let row = malformed($malformed_status);
            let refused = scenes::$malformed().await.refused().await;
            holds(refused.because(M::$what), row).await;
        })+
        $(#[tokio::test]
        async fn $scene() {
            let (status, code, reason) = ($status, $code, $reason);
            let (id, then, fields) = (json!($id), $then, vec![$($field)*]);
            let row = Row { status, code, reason, id, then, fields };
            holds(scenes::$scene().await.refused().await, row).await;
        })+

        /// Every scene, with its name and the operator's word for it.
        const SCENES: &[(&str, &str, Making)] = &[
            $((stringify!($malformed), "malformed", || Box::pin(scenes::$malformed())),)+
            $((stringify!($scene), $reason, || Box::pin(scenes::$scene())),)+
        ];
    };
}

fn malformed(status: u16) -> Row {
    Row {
        status,
        code: 4000,
        reason: "malformed",
        id: Value::Null,
        then: Closes,
        fields: Vec::new(),
    }
}

const ALLOW: (&str, &str) = ("allow", "GET, POST, DELETE, OPTIONS");
const CHALLENGE: (&str, &str) = ("www-authenticate", "Bearer realm=\"portcullis\"");

/// Reasons that say exactly when the same request could pass.
const WAITS: [&str; 3] = ["rate", "banned", "budget"];

/// The wait that is each request's own, told by its id.
fn spread(request_id: &str, reason: &str) -> String {
    let (least, most) = if reason == "streams" { (10, 20) } else { (1, 5) };
    let id = u64::from_str_radix(request_id, 16).unwrap();
    (least + id % (most - least + 1)).to_string()
}

const fn after(seconds: &'static str) -> (&'static str, &'static str) {
    ("retry-after", seconds)
}

every_denial! {
    malformed {
        RequestLine            => request_line          400;
        Version                => version               505;
        LineEnd                => line_end              400;
        Field                  => field                 400;
        FieldName              => field_name            400;
        Framing                => framing               400;
        TransferCoding         => transfer_coding       501;
        Chunk                  => chunk                 400;
        Host                   => host_field            400;
        Target                 => target                400;
        Path                   => path                  400;
        Connection             => connection            400;
    }
    denied {
        D::TargetTooLong       => target_too_long       414 4140   "target_too_long"      id null Closes [];
        D::HeadTooLarge(_)     => head_too_large        431 4310   "head_too_large"       id null Closes [];
        D::Timeout(_)          => timeout               408 4080   "timeout"              id null Closes [];
        D::Expectation         => expectation           417 4170   "expectation"          id null Closes [];
        D::NoRoute             => no_route              404 4040   "no_route"             id 7    Keeps  [];
        D::Host                => host                  421 4210   "host"                 id 7    Keeps  [];
        D::Method              => method                405 4050   "method"               id null Keeps  [ALLOW];
        D::MediaType           => media_type            415 4150   "media_type"           id 7    Keeps  [];
        D::Address             => address               403 4030   "address"              id 7    Keeps  [];
        D::Banned { .. }       => banned                403 4033   "banned"               id null Closes [after("60")];
        D::Origin              => origin                403 4031   "origin"               id 7    Keeps  [];
        D::Insecure            => insecure              403 4032   "insecure"             id 7    Keeps  [];
        D::CredentialAmbiguous => credential_ambiguous  400 4001   "credential_ambiguous" id 7    Keeps  [];
        D::KeyMissing          => key_missing           401 4010   "key_missing"          id 7    Keeps  [CHALLENGE];
        D::KeyUnknown          => key_unknown           401 4010   "key_unknown"          id 7    Keeps  [CHALLENGE];
        D::KeyExpired          => key_expired           401 4010   "key_expired"          id 7    Keeps  [CHALLENGE];
        D::KeyRevoked          => key_revoked           401 4010   "key_revoked"          id 7    Keeps  [CHALLENGE];
        D::Session             => session               404 4042   "session"              id 7    Keeps  [];
        D::Rate { .. }         => rate                  200 4290   "rate"                 id 7    Keeps  [after("86400")];
        D::Budget { .. }       => budget                200 4292   "budget"               id 7    Keeps  [after("the day")];
        D::DiscoverRate { .. } => discover_rate         503 5031   "rate"                 id 7    Keeps  [after("8640")];
        D::Streams(_)          => streams               429 4291   "streams"              id 7    Keeps  [after("spread")];
        D::Overload(_)         => overload              503 5030   "overload"             id null Closes [after("spread")];
        D::BodyTooLarge        => body_too_large        413 4130   "body_too_large"       id null Closes [];
        D::NotJson             => not_json              400 -32700 "not_json"             id null Keeps  [];
        D::NotRpc              => not_rpc               400 -32600 "not_rpc"              id null Keeps  [];
        D::HeadMismatch        => head_mismatch         400 -32020 "head_mismatch"        id 7    Keeps  [];
        D::Tool                => tool                  200 -32602 "tool"                 id 7    Keeps  [];
        D::Argument            => argument              200 -32602 "argument"             id 7    Keeps  [];
        D::Prompt              => prompt                200 -32602 "prompt"               id 7    Keeps  [];
        D::Resource            => resource              200 -32602 "resource"             id 7    Keeps  [];
        D::MethodDenied        => method_denied         200 -32601 "method_denied"        id 7    Keeps  [];
        D::MethodGone          => method_gone           404 -32601 "method_denied"        id 7    Keeps  [];
        D::Discovery           => discovery             404 4041   "discovery"            id 7    Keeps  [];
        D::UpstreamDown        => upstream_down         502 5020   "upstream_down"        id 7    Keeps  [];
        D::UpstreamSlow(_)     => upstream_slow         504 5040   "upstream_slow"        id 7    Keeps  [];
        D::UpstreamBad         => upstream_bad          502 5021   "upstream_bad"         id 7    Keeps  [];
    }
    otherwise {
        D::UpstreamGone        => upstream_gone_is_the_last_event_of_the_call;
        D::Certificate         => who_shows_a_key_and_anothers_certificate_looks_like_who_has_no_key;
        D::Killed              => a_call_that_waits_is_refused_and_one_on_its_stream_is_told_there;
    }
}

#[tokio::test]
async fn a_rate_that_nobody_reads_in_band_is_429() {
    let row = Row {
        status: 429,
        code: 4290,
        reason: "rate",
        id: Value::Null,
        then: Keeps,
        fields: vec![after("8640")],
    };
    holds(scenes::rate_of_a_notification().await.refused().await, row).await;
}

#[tokio::test]
async fn a_call_whose_record_has_to_come_first_and_can_not_is_503() {
    let row = Row {
        status: 503,
        code: 5030,
        reason: "overload",
        id: json!(7),
        then: Keeps,
        fields: vec![after("spread")],
    };
    let refused = scenes::unrecorded().await.refused().await;
    let limit = ["limit=\"audit\""];
    refused.gateway.metric_becomes("portcullis_limits_reached_total", &limit, 1.0).await;
    refused.gateway.finds_its_audit().await;
    holds(refused, row).await;
}

#[tokio::test]
async fn a_refusal_that_closes_is_heard_to_its_end_though_the_client_still_sends() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    for target in ["/nowhere", "/api/a/../mcp"] {
        let mut client = gateway.client().await;
        let body = "x".repeat(200 << 10);
        let call = Call::post(target, &body).bytes();
        // Closing at once would reset the connection, because bytes of the body are left unread.
        client.raw(&call[..call.len() / 2]).await;
        assert!(client.answer().await.closes(), "{target}");
        assert!(!client.is_reset().await, "{target}");
    }
}

#[tokio::test]
async fn upstream_gone_is_the_last_event_of_the_call() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&scenes::post(&Key::new())).await;
    let from_upstream = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    from_upstream.hang_up();
    let event = stream.next_event().await.expect("an error event");
    let error = serde_json::from_str(&event.data).unwrap();
    let request_id = is_an_error(&error, (5022, "upstream_gone"), &json!(7));
    assert_eq!(stream.next_event().await, None);
    let line = gateway.logged("the end", |line| line["event"] == "exchange").await;
    let said = (&line["request_id"], &line["reason"], &line["outcome"]);
    assert_eq!(said, (&request_id.into(), &"upstream_gone".into(), &"upstream_gone".into()));
}

/// Holds a refusal to its row, on the wire and in what the operator reads.
async fn holds(refused: Refused, row: Row) {
    // In this order, so that the client goes before the gateway does.
    let Refused { gateway, answer, mut client } = refused;
    let challenged = row.fields.contains(&CHALLENGE);
    // Missing, wrong and expired look alike from outside.
    let told = if challenged { "unauthorized" } else { row.reason };
    answer.refused(row.status, told);
    let request_id = is_an_error(&answer.json(), (row.code, told), &row.id);
    for name in ["retry-after", "allow", "www-authenticate"] {
        let expected = row.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        match (answer.field(name), expected) {
            (Some(seconds), Some(most)) if WAITS.contains(&told) => waits(&answer, seconds, most),
            (Some(seconds), Some("spread")) => assert_eq!(seconds, spread(&request_id, told)),
            (found, expected) => assert_eq!(found, expected, "{name}: {answer:?}"),
        }
    }
    let this = |line: &Value| line["request_id"] == request_id.as_str();
    let line = gateway.logged("the refusal", this).await;
    assert_eq!((&line["reason"], &line["status"]), (&row.reason.into(), &row.status.into()));
    assert_eq!(line["outcome"], "refused");
    let word = format!("reason=\"{}\"", row.reason);
    gateway.metric_becomes("portcullis_refusals_total", &[&word], 1.0).await;
    assert_eq!(answer.closes(), row.then == Closes, "{answer:?}");
    match row.then {
        Closes => client.is_closed().await,
        // What follows on the connection is read as a request of its own.
        Keeps => assert!([308, 404].contains(&client.ask(&Call::get("/nowhere")).await.status)),
    }
}

/// Holds an error to its code, its word and its id, and to saying nothing more. Gives its request's id.
fn is_an_error(error: &Value, (code, reason): (i32, &str), id: &Value) -> String {
    assert_eq!((&error["jsonrpc"], &error["id"]), (&"2.0".into(), id), "{error}");
    assert_eq!(error["error"]["code"], code, "{error}");
    // The specification's own texts have no full stop.
    let own = code < -32600 && code > -32700;
    let text = error["error"]["message"].as_str().unwrap();
    assert!(own || text.ends_with('.'), "{error}");
    let data = error["error"]["data"].as_object().unwrap();
    assert_eq!(data["reason"], reason, "{error}");
    let more = data.keys().filter(|name| !["reason", "request_id"].contains(&name.as_str()));
    let expected = if WAITS.contains(&reason) { &["retry_after_ms"][..] } else { &[] };
    assert_eq!(more.collect::<Vec<_>>(), expected, "{error}");
    data["request_id"].as_str().unwrap().to_owned()
}

/// The wait is told twice, and a machine may take a moment of it.
fn waits(answer: &Answer, seconds: &str, most: &str) {
    let seconds: u64 = seconds.parse().unwrap();
    let most = if most == "the day" { noon::left_of_day() } else { most.parse().unwrap() };
    let exact = answer.json()["error"]["data"]["retry_after_ms"].as_u64().unwrap();
    assert!((most - 60..=most).contains(&seconds), "{seconds} of {most}");
    assert!((1000 * (seconds - 1)..=1000 * seconds).contains(&exact), "{exact} ms, {seconds} s");
}
