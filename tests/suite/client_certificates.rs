//! Client certificates: who has to show one, and whose it is.

use std::process::{Command, Stdio};

use rcgen::{CertificateParams, DnType, date_time_ymd};
use serde_json::json;

use crate::harness::{Authority, Call, Gateway, Key, Pair, Setup, Upstream, tool_call, within};

const REQUIRED: &str = ", client_ca = \"clients.pem\"";
const OPTIONAL: &str = ", client_ca = \"clients.pem\", client_auth = \"optional\"";
const H1: &[&[u8]] = &[b"http/1.1"];

/// A gateway that asks for certificates, and an authority of clients.
struct Scene {
    authority: Authority,
    upstream: Upstream,
    /// The key that goes upstream for `agent`, who has none.
    injected: Key,
    /// That of `both`, who shows a certificate with it.
    both: Key,
    /// That of `keyed`, who has no certificate.
    keyed: Key,
}

impl Scene {
    async fn new() -> Self {
        let (upstream, authority) = (Upstream::start().await, Authority::new());
        let [injected, both, keyed] = std::array::from_fn(|_| Key::new());
        Self { authority, upstream, injected, both, keyed }
    }

    fn setup(&self, tls: &str) -> Setup {
        Setup::new(&self.upstream)
            .tls_and(tls)
            .file("clients.pem", &self.authority.pem())
            .operator()
            .route("unknown_keys = \"refuse\"\n")
            .certified("agent", "san_dns = \"agent.example.com\"", &self.injected)
            .consumer("both", &self.both, "certificate = { subject_cn = \"both\" }\n")
            .consumer("keyed", &self.keyed, "")
    }

    /// A certificate with this DNS name.
    fn named(&self, name: &str) -> Pair {
        self.authority.client(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// A certificate with this common name.
    fn called(&self, name: &str) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        self.authority.client(params)
    }

    /// Asks, and is answered by the server behind; the key that came there.
    async fn passes(&mut self, gateway: &Gateway, shown: &Pair, call: Call) -> Option<String> {
        let mut client = gateway.tls_client_as(shown, H1).await;
        client.send(&call).await;
        let seen = self.upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
        seen.field("authorization").map(str::to_owned)
    }
}

fn call() -> Call {
    Call::post("/api/mcp", &tool_call(7))
}

/// Refused, and it looks as if there were no key at all; for the operator's eyes there is a reason.
async fn is_refused(gateway: &Gateway, shown: &Pair, call: Call, reason: &str) {
    let mut client = gateway.tls_client_as(shown, H1).await;
    let answer = client.ask(&call).await;
    answer.refused(401, "unauthorized");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    let said = |line: &serde_json::Value| line["event"] == "exchange" && line["reason"] == reason;
    gateway.logged(reason, said).await;
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_comes_in_without_one_that_is_believed() {
    let scene = Scene::new().await;
    let gateway = scene.setup(REQUIRED).start();
    let stranger = Authority::new().client(CertificateParams::default());
    let mut over = CertificateParams::default();
    (over.not_before, over.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    let over = scene.authority.client(over);
    for (times, shown) in [(1.0, None), (2.0, Some(&stranger)), (3.0, Some(&over))] {
        assert!(gateway.turns_away(shown).await);
        let outcome = ["outcome=\"certificate\""];
        gateway.metric_becomes("portcullis_tls_handshakes_total", &outcome, times).await;
    }
    assert!(!gateway.turns_away(Some(&scene.named("anybody.example.com"))).await);
}

#[tokio::test]
async fn where_it_is_optional_a_key_alone_still_does_and_a_false_certificate_does_not() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let stranger = Authority::new().client(CertificateParams::default());
    assert!(gateway.turns_away(Some(&stranger)).await);
    let mut client = gateway.tls_client().await;
    client.send(&call().bearer(&scene.keyed)).await;
    scene.upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200);
    client.ask(&call()).await.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_certificate_alone_is_the_consumer_that_it_names_and_its_upstream_key_goes_on() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let agent = scene.named("agent.example.com");
    let key = scene.passes(&gateway, &agent, call()).await;
    assert_eq!(key.as_deref(), Some(&*format!("Bearer {}", scene.injected.text())));
    let line = gateway.logged("the call", |line| line["consumer"] == "agent").await;
    assert_eq!(line["status"], 200);
    assert!(!line.to_string().contains("example.com"), "{line}");
}

#[tokio::test]
async fn the_same_by_http2() {
    use crate::http2::frames;
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let agent = scene.named("agent.example.com");
    let mut http2 = gateway.http2_as(&agent).await;
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/api/mcp"),
        (":authority", "gateway.test"),
        ("content-type", "application/json"),
    ];
    let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let head = frames::head(1, false, &frames::block(&fields));
    http2.send([head, frames::data(1, true, tool_call(7).as_bytes())].concat()).await;
    let seen = scene.upstream.answer("{}").await;
    let sent = format!("Bearer {}", scene.injected.text());
    assert_eq!(seen.field("authorization"), Some(&*sent));
    assert_eq!(http2.answer(1).await.status, 200);
}

#[tokio::test]
async fn a_key_counts_with_its_certificate_alone_and_a_certificate_with_no_other_key() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let (agent, both) = (scene.named("agent.example.com"), scene.called("both"));
    let anybody = scene.called("anybody");
    let bearer = |key: &Key| call().bearer(key);
    assert!(scene.passes(&gateway, &both, bearer(&scene.both.clone())).await.is_some());
    assert!(scene.passes(&gateway, &anybody, bearer(&scene.keyed.clone())).await.is_some());
    is_refused(&gateway, &anybody, bearer(&scene.both), "certificate").await;
    is_refused(&gateway, &agent, bearer(&scene.both), "certificate").await;
    is_refused(&gateway, &agent, bearer(&scene.keyed), "certificate").await;
    is_refused(&gateway, &both, call(), "key_missing").await;
    is_refused(&gateway, &agent, bearer(&Key::new()), "key_unknown").await;
    let mut plain = gateway.tls_client().await;
    plain.ask(&bearer(&scene.both)).await.refused(401, "unauthorized");
}

#[tokio::test]
pub(crate) async fn who_shows_a_key_and_anothers_certificate_looks_like_who_has_no_key() {
    let scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let agent = scene.named("agent.example.com");
    is_refused(&gateway, &agent, call().bearer(&scene.keyed), "certificate").await;
    is_refused(&gateway, &scene.called("nobody"), call(), "key_missing").await;
}

#[tokio::test]
async fn a_certificate_with_names_of_two_consumers_is_nobodys() {
    let scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let mut params = CertificateParams::new(vec!["agent.example.com".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "both");
    let two = scene.authority.client(params);
    is_refused(&gateway, &two, call().bearer(&scene.both), "certificate").await;
}

#[tokio::test]
async fn a_reload_that_names_another_certificate_ends_the_stream_and_revoke_and_kill_work() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let agent = scene.named("agent.example.com");
    let listen = Call::get("/api/mcp").field("accept", "text/event-stream");
    for how in ["reload", "kill", "revoke"] {
        let mut client = gateway.tls_client_as(&agent, H1).await;
        client.send(&listen).await;
        let mut stream = scene.upstream.next().await.stream(&[]).await;
        stream.event("message", "{}").await;
        let mut events = client.stream().await;
        events.next_event().await.unwrap();
        match how {
            "reload" => {
                let other = |text: String| text.replace("agent.example.com", "other.example.com");
                gateway.apply(other, |_| {});
            }
            "kill" => assert_eq!(gateway.kill(&json!({"key": "agent"})), 1),
            _ => {
                let (status, said) =
                    gateway.operate("POST /revocations", &json!({"consumer": "agent"}));
                assert_eq!((status, &said["ended"]), (200, &json!(1)));
            }
        }
        while events.next_event().await.is_some() {}
        gateway.apply(|text| text, |_| {});
    }
    is_refused(&gateway, &agent, call(), "key_revoked").await;
}

#[tokio::test]
async fn a_stream_ends_with_the_certificate_that_it_came_with() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let mut params = CertificateParams::new(vec!["agent.example.com".to_owned()]).unwrap();
    params.not_after = std::time::SystemTime::now().into();
    params.not_after += std::time::Duration::from_secs(2);
    let agent = scene.authority.client(params);
    let mut client = gateway.tls_client_as(&agent, H1).await;
    client.send(&Call::get("/api/mcp").field("accept", "text/event-stream")).await;
    let mut stream = scene.upstream.next().await.stream(&[]).await;
    stream.event("message", "{}").await;
    let mut events = client.stream().await;
    events.next_event().await.unwrap();
    // An operator's word to others changes nothing of that.
    assert_eq!(gateway.kill(&json!({"key": "both"})), 0);
    while events.next_event().await.is_some() {}
    gateway.logged("its end", |line| line["reason"] == "key_expired").await;
}

/// A certificate with that DNS name and number.
fn numbered(authority: &Authority, name: &str, serial: u64) -> Pair {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.serial_number = Some(serial.into());
    authority.client(params)
}

#[tokio::test]
async fn who_is_connected_is_held_against_a_new_list_and_a_new_authority() {
    for by_list in [true, false] {
        let mut scene = Scene::new().await;
        let tls = format!("{OPTIONAL}, client_crl = \"revoked.pem\"");
        let setup = scene.setup(&tls).file("revoked.pem", &scene.authority.revoking(&[1]));
        let gateway = setup.start();
        let agent = numbered(&scene.authority, "agent.example.com", 2);
        let mut listens = gateway.tls_client_as(&agent, H1).await;
        listens.send(&Call::get("/api/mcp").field("accept", "text/event-stream")).await;
        let mut stream = scene.upstream.next().await.stream(&[]).await;
        stream.event("message", "{}").await;
        let mut events = listens.stream().await;
        events.next_event().await.unwrap();
        let mut kept = gateway.tls_client_as(&agent, H1).await;
        kept.send(&call()).await;
        scene.upstream.answer("{}").await;
        assert_eq!(kept.answer().await.status, 200);
        if by_list {
            gateway.put("revoked.pem", &scene.authority.revoking(&[1, 2]));
        } else {
            let other = Authority::new();
            gateway.put("revoked.pem", &other.revoking(&[1]));
            gateway.put("clients.pem", &other.pem());
        }
        while events.next_event().await.is_some() {}
        kept.ask(&call()).await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn where_a_reload_asks_for_certificates_no_more_none_stands_for_anybody() {
    let scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let mut kept = gateway.tls_client_as(&scene.named("agent.example.com"), H1).await;
    let without = |text: String| {
        let consumers =
            text.split("[[consumers]]").filter(|block| !block.contains("certificate = {"));
        consumers.collect::<Vec<_>>().join("[[consumers]]").replace(OPTIONAL, "")
    };
    gateway.apply(without, |_| {});
    kept.ask(&call()).await.refused(401, "unauthorized");
}

async fn comes_to_be_turned_away(gateway: &Gateway, shown: &Pair) {
    let turned_away = async { while !gateway.turns_away(Some(shown)).await {} };
    within("a new file to count", turned_away).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_turned_away_once_the_list_says_so() {
    let scene = Scene::new().await;
    let tls = format!("{REQUIRED}, client_crl = \"revoked.pem\"");
    let setup = scene.setup(&tls).file("revoked.pem", &scene.authority.revoking(&[1]));
    let gateway = setup.start();
    let [first, second] = [1, 2].map(|serial| numbered(&scene.authority, "a.test", serial));
    assert!(gateway.turns_away(Some(&first)).await);
    assert!(!gateway.turns_away(Some(&second)).await);
    gateway.put("revoked.pem", &scene.authority.revoking(&[1, 2]));
    comes_to_be_turned_away(&gateway, &second).await;
}

#[tokio::test]
async fn another_authority_takes_the_place_of_the_old_one_by_its_file() {
    let scene = Scene::new().await;
    let gateway = scene.setup(REQUIRED).start();
    let (old, authority) = (scene.named("agent.example.com"), Authority::new());
    let new = authority.client(CertificateParams::default());
    assert!(!gateway.turns_away(Some(&old)).await && gateway.turns_away(Some(&new)).await);
    gateway.put("clients.pem", &authority.pem());
    comes_to_be_turned_away(&gateway, &old).await;
    assert!(!gateway.turns_away(Some(&new)).await);
}

#[tokio::test]
async fn what_a_client_says_of_its_certificate_in_fields_reaches_nobody() {
    let mut scene = Scene::new().await;
    let gateway = scene.setup(OPTIONAL).start();
    let names = [
        "client-cert",
        "x-client-cert",
        "x-ssl-client-verify",
        "x-forwarded-client-cert",
        "tls-client-cert",
        "x-client-cn",
        "x-spiffe-id",
        "cf-client-cert-der-base64",
        "x-peer-certificate",
        "client.cert",
        "x-remote-user",
    ];
    let forged = names.iter().fold(call().bearer(&scene.keyed), |call, name| call.field(name, "x"));
    let mut client = gateway.tls_client().await;
    client.send(&forged).await;
    let seen = scene.upstream.answer("{}").await;
    for name in names {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn curl_comes_in_with_its_certificate() {
    let mut scene = Scene::new().await;
    let agent = scene.named("agent.example.com");
    let setup = scene.setup(REQUIRED).pair("agent", &agent);
    let gateway = setup.start();
    let at = gateway.address("https");
    let curl = |shown: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "10", "--write-out", " %{http_code}"]);
        command.args(["--cacert", "cert.pem"]).current_dir(gateway.dir());
        command.args(["--connect-to", &format!("::{at}"), "--data", &tool_call(7)]);
        command.args(["-H", "content-type: application/json"]).args(shown);
        command.arg("https://gateway.test/api/mcp").stdout(Stdio::piped()).spawn().unwrap()
    };
    let called = curl(&["--cert", "agent.pem", "--key", "agent.key"]);
    scene.upstream.answer("{}").await;
    let output = called.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{} 200");
    let output = curl(&[]).wait_with_output().unwrap();
    assert!(!output.status.success());
}
