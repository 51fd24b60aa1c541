//! A site beside the MCP server: pages, uploads, downloads, WebSocket.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::harness::{Call, Client, Gateway, Key, Setup, Upstream, call_with_id, tool_call};

/// An MCP route and, for all else of the host, a site; both on one upstream.
fn site(upstream: &Upstream, lines: &str) -> Setup {
    Setup::new(upstream)
        .routes(&format!(
            "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nunknown_keys = \"forward\"\n\
             paths = [\"/api/mcp/{{key}}\", \"/api/mcp\"]\nhosts = [\"gateway.test\"]\n\
             [[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
             hosts = [\"gateway.test\", \"site.test\"]\n{lines}\n"
        ))
        .also(&format!("[upstreams.site]\nendpoints = [\"http://{}\"]", upstream.address()))
}

async fn boot(lines: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = site(&upstream, lines).start();
    (upstream, gateway)
}

/// A site whose bytes the test reads and writes itself.
async fn raw_site(lines: &str) -> (TcpListener, Gateway, Upstream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream)
        .routes(&format!(
            "[[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
             hosts = [\"gateway.test\"]\n{lines}\n"
        ))
        .also(&format!(
            "[upstreams.site]\nendpoints = [\"http://{}\"]",
            listener.local_addr().unwrap()
        ));
    (listener, setup.start(), upstream)
}

/// Reads until the text is there, and gives all of it.
async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while memchr::memmem::find(&read, text.as_bytes()).is_none() {
        let count = socket.read_buf(&mut read).await.unwrap();
        assert!(count > 0, "ended before {text}: {}", read.escape_ascii());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_page_passes_with_its_cookies_and_the_clients_host() {
    let (mut upstream, gateway) = boot("").await;
    let mut client = gateway.client().await;
    let call = Call::new("GET", "/launches/caf%C3%A9%20x//y?a=[1]|{b}&c=%2F")
        .field("cookie", "auth=1")
        .field("authorization", "raw-key")
        .field("accept-encoding", "br")
        .field("referer", "http://gateway.test/launches")
        .field("range", "bytes=0-9")
        .field("x-forwarded-for", "192.0.2.1")
        .field("x-original-url", "/admin")
        .field("x-middleware-subrequest", "middleware");
    client.send(&call).await;
    let request = upstream.next().await;
    let fields = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-encoding", "br"),
        ("x-powered-by", "Express"),
        ("etag", "\"1\""),
    ];
    let seen = request.respond(206, &fields, "page").await;
    assert_eq!(seen.target, "/launches/caf%C3%A9%20x//y?a=[1]|{b}&c=%2F", "as it came");
    assert_eq!(seen.field("host"), Some("gateway.test"));
    assert_eq!(seen.field("cookie"), Some("auth=1"));
    assert_eq!(seen.field("authorization"), Some("raw-key"));
    assert_eq!(seen.field("accept-encoding"), Some("br"));
    assert_eq!(seen.field("range"), Some("bytes=0-9"));
    assert_eq!(seen.field("referer"), Some("http://gateway.test/launches"));
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"), "not what a stranger says");
    assert_eq!(seen.field("x-original-url"), None);
    assert_eq!(seen.field("x-middleware-subrequest"), None);
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (206, "page"));
    let cookies = answer.fields.iter().filter(|(name, _)| name == "set-cookie").count();
    assert_eq!((cookies, answer.field("etag")), (2, Some("\"1\"")));
    assert_eq!(answer.field("content-encoding"), Some("br"));
    assert_eq!(answer.field("x-powered-by"), None);
}

#[tokio::test]
async fn a_page_that_was_come_from_by_a_key_is_not_told() {
    let (mut upstream, gateway) = boot("").await;
    for referer in [
        "http://gateway.test/api/mcp/key-in-a-page",
        "http://gateway.test/a/../b",
        "//gateway.test/api/mcp/key-in-a-page",
        "/api/mcp/key-in-a-page",
        "http://gateway.test/login?next=%2FAPI%2fmcp%2Fkey-in-a-page",
        "http:gateway.test\\api/mcp/key-in-a-page",
    ] {
        let call = Call::new("GET", "/").field("referer", referer);
        let seen = gateway.pass(&mut upstream, &call).await;
        assert_eq!(seen.field("referer"), None, "{referer}");
    }
}

#[tokio::test]
async fn every_method_of_a_site_passes_and_head_has_its_length_and_no_body() {
    let (mut upstream, gateway) = boot("").await;
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "POST"] {
        let call = Call::new(method, "/things/1").body("{}");
        let seen = gateway.pass(&mut upstream, &call).await;
        assert_eq!((seen.method.as_str(), seen.text()), (method, "{}"));
    }
    let mut client = gateway.client().await;
    client.send(&Call::new("HEAD", "/file")).await;
    let mut request = upstream.next().await;
    assert_eq!(request.method, "HEAD");
    request.raw("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    request.keep();
    let answer = client.answer_to_head().await;
    assert_eq!((answer.status, answer.field("content-length")), (200, Some("1234")));
    assert!(!answer.closes());
    client.send(&Call::new("GET", "/file").field("if-none-match", "\"1\"")).await;
    let mut request = upstream.next().await;
    request.raw("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n").await;
    request.keep();
    assert_eq!(client.answer_to_head().await.status, 304);
    client.send(&Call::new("GET", "/again")).await;
    upstream.answer("{}").await;
    assert_eq!(client.answer().await.status, 200, "the connection is in step");
}

#[tokio::test]
async fn no_spelling_of_an_mcp_path_reaches_the_site() {
    let (mut upstream, gateway) = boot("").await;
    let key = Key::new();
    for spelling in [
        "//api/mcp/K",
        "/api//mcp/K",
        "/api;x/mcp/K",
        "/%61pi/mcp/K",
        "/api/%6Dcp/K",
        "/api%2fmcp%2fK",
        "/%2561pi/mcp/K",
        "/api/x/../mcp/K",
        "/api/x/%2e%2e/mcp/K",
        "/api\\mcp\\K",
        "/api/mcp/K/%20",
        "/API/MCP/K?x={",
    ] {
        let target = spelling.replace('K', key.text());
        for host in ["gateway.test", "site.test"] {
            let answer = gateway.ask(&Call::new("GET", &target).host(host)).await;
            answer.refused(400, "malformed");
        }
    }
    upstream.saw_nothing(&gateway).await;
    let target = format!("/api/mcp/{}", key.text());
    let seen = gateway.pass(&mut upstream, &Call::post(&target, &call_with_id(1, "ping"))).await;
    assert_eq!(seen.target, format!("/mcp/{}", key.text()), "plainly spelled it is MCP");
    let plain = Call::new("GET", "/api/mcpx").host("gateway.test");
    assert_eq!(gateway.pass(&mut upstream, &plain).await.target, "/api/mcpx", "another path");
}

#[tokio::test]
async fn an_mcp_path_of_another_host_or_behind_another_prefix_is_no_page() {
    let (mut upstream, gateway) = boot("").await;
    let body = call_with_id(1, "initialize");
    let elsewhere = |key: &str| Call::post(&format!("/api/mcp/{key}"), &body).host("site.test");
    gateway.ask(&elsewhere("abc")).await.refused(421, "host");
    gateway.ask(&elsewhere("a=b")).await.refused(400, "malformed");
    // The upstream takes /api off for the MCP route alone; what it would be without is MCP there.
    for target in ["/mcp/K", "/MCP/K/sse", "/mcp"] {
        gateway.ask(&Call::post(target, &body)).await.refused(404, "no_route");
    }
    gateway.ask(&Call::post("/%6dcp/K", &body)).await.refused(404, "no_route");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn what_two_servers_resolve_differently_is_refused_on_a_site_too() {
    let (mut upstream, gateway) = boot("").await;
    for target in ["/a/../b", "/a/%2e%2e/b", "/a%5cb", "/a%00", "/%zz", "/a/..;/b"] {
        gateway.ask(&Call::new("GET", target)).await.refused(400, "malformed");
    }
    for method in ["GET", "HEAD"] {
        let mut client = gateway.client().await;
        client.send(&Call::new(method, "/a").body("GET /b HTTP/1.1\r\n\r\n")).await;
        let answer = client.answer_to_head().await;
        assert_eq!((answer.status, answer.closes()), (400, true), "a body without a meaning");
    }
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_route_is_found_only_where_every_reading_of_the_path_leads() {
    let upstream = Upstream::start().await;
    let more = "[[routes]]\nname = \"office\"\nkind = \"web\"\nupstream = \"site\"\n\
                paths = [\"/admin\"]\nhosts = [\"gateway.test\"]\nallow = [\"192.0.2.1\"]\n";
    let gateway = site(&upstream, more).start();
    gateway.ask(&Call::new("GET", "/ADMIN/x")).await.refused(403, "address");
    for target in ["/%61dmin", "//admin", "/admin;x/y", "/x%2f..%2fadmin"] {
        gateway.ask(&Call::new("GET", target)).await.refused(400, "malformed");
    }
}

#[tokio::test]
async fn the_upstreams_own_origin_is_put_for_ours_in_a_redirect() {
    let (mut upstream, gateway) = boot("").await;
    let own = format!("http://{}", upstream.address());
    for (location, public) in [
        (format!("{own}/login?x=1"), "http://gateway.test/login?x=1"),
        (own.clone(), "http://gateway.test"),
        ("/login".to_owned(), "/login"),
        (format!("{own}5/x"), &*format!("{own}5/x")),
        ("https://elsewhere.test/".to_owned(), "https://elsewhere.test/"),
    ] {
        let mut client = gateway.client().await;
        client.send(&Call::new("GET", "/")).await;
        upstream.next().await.respond(302, &[("location", &location)], "").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("location")), (302, Some(public)));
    }
}

#[tokio::test]
async fn an_upload_goes_on_as_it_comes_and_the_answer_comes_back() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client
        .raw("POST /upload HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 10\r\n\r\nhello")
        .await;
    let (mut site, _) = listener.accept().await.unwrap();
    let begun = read_until(&mut site, "hello").await;
    assert!(begun.contains("content-length: 10\r\n"), "{begun}");
    client.raw("world").await;
    read_until(&mut site, "world").await;
    site.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (201, "ok", false));
}

#[tokio::test]
async fn an_upload_in_chunks_is_chunked_anew() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client.raw("PUT /u HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.raw("5;ext=1\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n").await;
    let (mut site, _) = listener.accept().await.unwrap();
    let seen = read_until(&mut site, "0\r\n\r\n").await;
    assert!(seen.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{seen}");
    assert!(seen.contains("transfer-encoding: chunked\r\n") && !seen.contains("content-length"));
    site.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.status, 204);
}

#[tokio::test]
async fn an_expectation_of_100_is_met_once_the_site_is_connected() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    let head = "POST /u HTTP/1.1\r\nhost: gateway.test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    client.raw(head).await;
    client.is_told_to_continue().await;
    client.raw("ab").await;
    let (mut site, _) = listener.accept().await.unwrap();
    let seen = read_until(&mut site, "ab").await;
    assert!(!seen.contains("expect"), "{seen}");
    site.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn an_interim_answer_ends_no_upload() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client.raw("POST /u HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 4\r\n\r\nab").await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "ab").await;
    site.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 10").await.unwrap();
    site.write_all(b"0 Continue\r\n\r\n").await.unwrap();
    client.raw("cd").await;
    read_until(&mut site, "cd").await;
    site.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (200, "ok", false));
}

#[tokio::test]
async fn an_early_answer_ends_an_upload_and_is_read() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client.raw("POST /u HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 1000000\r\n\r\nab").await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "ab").await;
    site.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (413, "big", true));
    client.raw("GET /smuggled HTTP/1.1\r\nhost: gateway.test\r\n\r\n").await;
    client.is_closed().await;
    assert_eq!(site.read(&mut [0; 16]).await.unwrap(), 0, "its connection carries nothing more");
}

#[tokio::test]
async fn a_client_that_leaves_its_upload_leaves_no_whole_body_behind() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client
        .raw("POST /u HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    client.raw("2\r\nab\r\n").await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "ab\r\n").await;
    drop(client);
    let mut rest = Vec::new();
    let _ = site.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "no end of the body");
    gateway.logged("the client left", |line| line["outcome"] == "client_gone").await;
}

#[tokio::test]
async fn a_body_over_the_routes_bound_is_refused_before_or_while_it_comes() {
    let (listener, gateway, _upstream) = raw_site("max_body = \"10B\"").await;
    let long = Call::new("POST", "/u").body("12345678901");
    gateway.ask(&long).await.refused(413, "body_too_large");
    let mut client = gateway.client().await;
    client
        .raw("POST /u HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "\r\n\r\n").await;
    client.raw("b\r\n12345678901\r\n").await;
    client.answer().await.refused(413, "body_too_large");
}

#[tokio::test]
async fn an_upload_that_stops_is_answered_408() {
    let (listener, gateway, _upstream) = raw_site("[timeouts]\nbody = \"100ms\"").await;
    let mut client = gateway.client().await;
    client.raw("POST /u HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 10\r\n\r\nab").await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "ab").await;
    client.answer().await.refused(408, "timeout");
    assert_eq!(site.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_address_pays_for_its_visits_and_no_key_is_asked_for() {
    let (mut upstream, gateway) = boot("rate = \"1/h\"\nburst = 2").await;
    for _ in 0..2 {
        gateway.pass(&mut upstream, &Call::new("GET", "/")).await;
    }
    let answer = gateway.ask(&Call::new("GET", "/")).await;
    assert!(answer.refused(429, "rate").field("retry-after").is_some());
    let key = Key::new();
    let call = Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1));
    gateway.pass(&mut upstream, &call).await;
}

#[tokio::test]
async fn a_person_reads_a_refusal_as_text_and_a_program_as_json() {
    let (_upstream, gateway) = boot("deny = [\"127.0.0.0/8\"]").await;
    let page = Call::new("GET", "/").field("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = gateway.ask(&page).await;
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (403, Some("text/plain; charset=utf-8"))
    );
    assert!(answer.text().starts_with("This address isn't allowed here.\n\naddress, request "));
    for accept in ["application/json", "*/*", "text/html, application/json"] {
        let answer = gateway.ask(&Call::new("GET", "/").field("accept", accept)).await;
        answer.refused(403, "address");
    }
    let mcp = Call::new("GET", "/api/mcp").field("accept", "text/html");
    gateway.ask(&mcp).await.refused(401, "unauthorized");
    let trace = gateway.ask(&Call::new("TRACE", "/")).await;
    let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    assert_eq!(trace.refused(405, "method").field("allow"), Some(methods));
}

#[tokio::test]
async fn a_path_of_a_site_is_logged_without_its_query() {
    let (mut upstream, gateway) = boot("").await;
    let canary = Key::new();
    let call = Call::new("GET", &format!("/launches/x%20y?code={}", canary.text()));
    gateway.pass(&mut upstream, &call).await;
    let line = gateway.logged("the page", |line| line["route"] == "site").await;
    assert_eq!(line["path"], "/launches/x%20y");
    let call = Call::new("GET", &format!("/x/mcp/{}", canary.text()));
    gateway.pass(&mut upstream, &call).await;
    gateway.logged("the other page", |line| line["path"] == "/x/mcp/*").await;
}

#[tokio::test]
async fn events_of_a_site_pass_unheld() {
    let (mut upstream, gateway) = boot("").await;
    let mut client = gateway.client().await;
    client.send(&Call::get("/events")).await;
    let mut streaming = upstream.next().await.stream(&[]).await;
    let mut stream = client.stream().await;
    assert_eq!(stream.head.field("x-accel-buffering"), Some("no"));
    for data in ["one", "two"] {
        streaming.event("tick", data).await;
        assert_eq!(stream.next_event().await.unwrap().data, data);
    }
    drop(stream);
    streaming.is_abandoned().await;
}

const OFFER: &str = "GET /socket HTTP/1.1\r\nhost: gateway.test\r\nconnection: keep-alive, Upgrade\r\n\
                     upgrade: WebSocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n";

async fn head_of(client: &mut Client) -> (u16, Option<String>) {
    let head = client.answer_to_head().await;
    (head.status, head.field("upgrade").map(str::to_owned))
}

#[tokio::test]
async fn a_websocket_is_a_tunnel_once_the_site_has_switched() {
    let (listener, gateway, _upstream) = raw_site("upgrade = [\"websocket\"]").await;
    let mut client = gateway.client().await;
    client.raw([OFFER, "early"].concat()).await;
    let (mut site, _) = listener.accept().await.unwrap();
    let offer = read_until(&mut site, "\r\n\r\n").await;
    assert!(offer.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{offer}");
    assert!(offer.ends_with("\r\n\r\n"), "nothing behind the offer is believed: {offer}");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: y\r\n\r\nhello";
    site.write_all(switch.as_bytes()).await.unwrap();
    read_until(&mut site, "early").await;
    let head = client.one_switch().await;
    assert_eq!(head.field("sec-websocket-accept"), Some("y"));
    assert_eq!(head.field("connection"), Some("upgrade"));
    assert_eq!(client.exactly(5).await.unwrap(), b"hello");
    client.raw("frame").await;
    read_until(&mut site, "frame").await;
    drop(client);
    assert_eq!(site.read(&mut [0; 1]).await.unwrap(), 0, "the client left");
    drop(site);
    let line = gateway.logged("the tunnel", |line| line["event"] == "exchange").await;
    assert_eq!((&line["status"], &line["outcome"]), (&101.into(), &"answered".into()));
}

#[tokio::test]
async fn a_site_that_does_not_switch_answers_and_nothing_behind_the_offer_is_a_request() {
    let (listener, gateway, _upstream) = raw_site("upgrade = [\"websocket\"]").await;
    let mut client = gateway.client().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: gateway.test\r\n\r\n";
    client.raw([OFFER, smuggled].concat()).await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "\r\n\r\n").await;
    site.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.closes()), (403, "no", true));
    client.is_closed().await;
}

#[tokio::test]
async fn nothing_behind_an_offer_that_is_refused_here_is_a_request() {
    let lines = "upgrade = [\"websocket\"]\nrate = \"1/h\"\nburst = 1";
    let (listener, gateway, _upstream) = raw_site(lines).await;
    let visitor = gateway.client().await;
    drop(visitor);
    let mut client = gateway.client().await;
    client.send(&Call::new("GET", "/")).await;
    let (mut site, _) = listener.accept().await.unwrap();
    read_until(&mut site, "\r\n\r\n").await;
    site.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.status, 204);
    client.raw([OFFER, "GET / HTTP/1.1\r\nhost: gateway.test\r\n\r\n"].concat()).await;
    assert!(client.answer().await.refused(429, "rate").closes());
    client.is_closed().await;
}

#[tokio::test]
async fn an_offer_is_not_taken_where_the_route_does_not_say_so() {
    let (listener, gateway, _upstream) = raw_site("").await;
    let mut client = gateway.client().await;
    client.raw(OFFER).await;
    let (mut site, _) = listener.accept().await.unwrap();
    let seen = read_until(&mut site, "\r\n\r\n").await;
    assert!(!seen.contains("upgrade"), "{seen}");
    site.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(head_of(&mut client).await, (502, None), "a switch that nobody asked for");
}

#[tokio::test]
async fn a_redirect_listener_redirects_pages_and_no_spelling_of_a_key() {
    let upstream = Upstream::start().await;
    let gateway = site(&upstream, "").tls().redirect().start();
    let ask = async |target: &str| {
        let mut client = gateway.client_of("redirect", [127, 0, 0, 1].into()).await;
        client.ask(&Call::new("GET", target)).await
    };
    let port = gateway.address("https").port();
    let moved = ask("/launches/a%20b?x={1}").await;
    // The configured port is 0 here; the bound one isn't known to the configuration.
    let location = moved.field("location").unwrap().replace(":0/", &format!(":{port}/"));
    assert_eq!(moved.status, 308);
    assert_eq!(location, format!("https://gateway.test:{port}/launches/a%20b?x={{1}}"));
    for target in ["/api/mcp/K", "/api//mcp/K", "/%61pi/mcp/K"] {
        ask(target).await.refused(403, "insecure");
    }
}

/// The site's route is for any host; the MCP route names its own.
#[tokio::test]
async fn no_host_leads_an_mcp_path_of_another_host_to_the_site_where_nobody_asks_for_a_key() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .routes(
            "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nunknown_keys = \"refuse\"\n\
             paths = [\"/api/mcp/{key}\", \"/api/mcp\"]\nhosts = [\"gateway.test\"]\n\
             [[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n",
        )
        .also(&format!("[upstreams.site]\nendpoints = [\"http://{}\"]", upstream.address()))
        .start();
    // Spelled plainly, as the keys of Postiz are.
    let target = "/api/mcp/0123456789abcdef";
    for host in ["elsewhere.test", "127.0.0.1"] {
        let mut client = gateway.client().await;
        client.send(&Call::post(target, &call_with_id(1, "ping")).host(host)).await;
        assert_eq!(client.answer_to_head().await.status / 100, 4, "{host}");
    }
    upstream.saw_nothing(&gateway).await;
}

/// `new URL(request.url, base).pathname`, by which many servers on Node route, takes what follows
/// two slashes for a host (RFC 3986 4.2); Python's `urlsplit` does too.
#[tokio::test]
async fn a_path_that_some_servers_take_for_an_authority_and_an_mcp_path_is_refused() {
    let (mut upstream, gateway) = boot("").await;
    let key = Key::new();
    for spelling in ["//x/api/mcp/K", "//x@y:80/api/mcp/K", "//[::1]/api/mcp", "///api/mcp/K"] {
        let target = spelling.replace('K', key.text());
        gateway.ask(&Call::new("GET", &target)).await.refused(400, "malformed");
    }
    upstream.saw_nothing(&gateway).await;
}

/// Express and Starlette cut nothing off at `;`: for them it is a key, and a route that asks for one
/// is the whole of what leads there.
#[tokio::test]
async fn a_key_that_begins_with_a_semicolon_is_still_where_a_key_stands() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .routes(
            "[[routes]]\nname = \"mcp\"\nupstream = \"postiz\"\nunknown_keys = \"refuse\"\n\
             paths = [\"/api/sse/{key}\"]\nhosts = [\"gateway.test\"]\n\
             [[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
             hosts = [\"gateway.test\"]\n",
        )
        .also(&format!("[upstreams.site]\nendpoints = [\"http://{}\"]", upstream.address()))
        .start();
    for target in ["/api/sse/;K", "/api/sse/%3bK", "/api/sse%2f;K"] {
        gateway.ask(&Call::new("GET", target)).await.refused(400, "malformed");
    }
    upstream.saw_nothing(&gateway).await;
}
