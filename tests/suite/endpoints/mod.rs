//! An upstream at several endpoints: a key, a session and a stream stay where they are, and where one
//! endpoint is lost, what can be done elsewhere is done there.

mod health;
mod lost;
mod sessions;

use tokio::select;

use crate::harness::{
    Answer, Call, Client, Gateway, Key, Request, Seen, Setup, Upstream, tool_call,
};

/// A server at two endpoints, both held by the test.
struct Pair([Upstream; 2]);

impl Pair {
    async fn start() -> Self {
        Self([Upstream::start().await, Upstream::start().await])
    }

    fn setup(&self) -> Setup {
        Setup::new(&self.0[0]).and(&self.0[1])
    }

    /// The next request, and which of the two gets it.
    async fn next(&mut self) -> (usize, Request) {
        let [one, other] = &mut self.0;
        select! {
            request = one.next() => (0, request),
            request = other.next() => (1, request),
        }
    }

    /// Sends a call of a client that is answered with `{}`, and says who got it.
    async fn pass(&mut self, client: &mut Client, call: &Call) -> (usize, Seen) {
        client.send(call).await;
        let (at, request) = self.next().await;
        let seen = request.respond(200, &[("content-type", "application/json")], "{}").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, "{}"));
        (at, seen)
    }

    /// Another server in the place of one that has gone.
    async fn put_back(&mut self, at: usize, address: std::net::SocketAddr) {
        self.0[at] = Upstream::start_on(&address.to_string()).await;
    }

    /// Takes one away, and says where it was.
    async fn lose(&mut self, at: usize) -> std::net::SocketAddr {
        // Nobody asks for the address of this one.
        let nobody = Upstream::start().await;
        std::mem::replace(&mut self.0[at], nobody).leave().await
    }

    fn authority(&self, at: usize) -> String {
        self.0[at].address().to_string()
    }
}

fn post(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(7)).bearer(key)
}

/// A call on a connection of its own, so that any worker may have it.
async fn ask(gateway: &Gateway, call: &Call) -> Answer {
    gateway.client().await.ask(call).await
}

#[tokio::test]
async fn all_calls_of_one_key_go_to_one_endpoint_and_each_endpoint_has_some_keys() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let mut of_each = [0; 2];
    for _ in 0..24 {
        let key = Key::new();
        let (own, seen) = pair.pass(&mut gateway.client().await, &post(&key)).await;
        assert_eq!(seen.field("host"), Some(&*pair.authority(own)));
        of_each[own] += 1;
        let in_path = Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1));
        for call in [post(&key), in_path, Call::get("/api/mcp").bearer(&key)] {
            assert_eq!(pair.pass(&mut gateway.client().await, &call).await.0, own);
        }
    }
    assert!(of_each.iter().all(|count| *count > 0), "{of_each:?}");
}

#[tokio::test]
async fn clients_of_one_upstream_key_meet_at_one_endpoint() {
    let mut pair = Pair::start().await;
    let (alice, bob, real) = (Key::new(), Key::new(), Key::new());
    let setup = pair.setup().injected("alice", &alice, &real, "");
    let gateway = setup.injected("bob", &bob, &real, "").start();
    let (own, _) = pair.pass(&mut gateway.client().await, &post(&alice)).await;
    assert_eq!(pair.pass(&mut gateway.client().await, &post(&bob)).await.0, own);
}

#[tokio::test]
async fn visitors_of_a_site_stay_at_one_endpoint_and_see_no_address_of_it() {
    let mut pair = Pair::start().await;
    let routes =
        "[[routes]]\nname = \"site\"\nupstream = \"postiz\"\npaths = [\"/api\"]\nkind = \"web\"\n";
    let gateway = pair.setup().routes(routes).start();
    let page = Call::new("GET", "/api/page");
    let (own, _) = pair.pass(&mut gateway.client().await, &page).await;
    for _ in 0..4 {
        let mut client = gateway.client().await;
        client.send(&page).await;
        let (at, request) = pair.next().await;
        assert_eq!(at, own);
        let location = format!("http://{}/next", pair.authority(own));
        request.respond(302, &[("location", &location)], "").await;
        let answer = client.answer().await;
        assert_eq!(answer.field("location"), Some("http://gateway.test/api/next"));
    }
}

#[tokio::test]
async fn a_redirect_to_another_endpoint_is_not_followed() {
    let mut pair = Pair::start().await;
    let gateway = pair.setup().start();
    let key = Key::new();
    let mut client = gateway.client().await;
    client.send(&post(&key)).await;
    let (own, request) = pair.next().await;
    let elsewhere = format!("http://{}/mcp/", pair.authority(1 - own));
    request.respond(307, &[("location", &elsewhere)], "").await;
    client.answer().await.refused(502, "upstream_bad");
    client.send(&post(&key)).await;
    let (_, request) = pair.next().await;
    let own_slash = format!("http://{}/mcp/", pair.authority(own));
    request.respond(307, &[("location", &own_slash)], "").await;
    let (at, request) = pair.next().await;
    assert_eq!((at, &*request.target), (own, "/mcp/"));
    request.respond(200, &[], "{}").await;
    assert_eq!(client.answer().await.status, 200);
}
