//! The PROXY header: whom a load balancer speaks for.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::AsyncWriteExt;

use crate::harness::{Call, Client, Gateway, Key, Request, Setup, Upstream, tool_call};

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const CONNECTIONS: &str = "portcullis_connections_total";

fn post(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

/// A gateway whose listener `told` is in clear and wants a header, from 127.0.0.2 alone.
fn told(upstream: &Upstream, access: &str) -> Setup {
    Setup::new(upstream)
        .also("[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true")
        .also(&format!("[access]\ntrusted_proxies = [\"127.0.0.2\"]\n{access}"))
}

fn line(source: &str) -> Vec<u8> {
    let family = if source.contains(':') { "TCP6" } else { "TCP4" };
    let to = if source.contains(':') { "::1" } else { "127.0.0.1" };
    format!("PROXY {family} {source} {to} 56324 443\r\n").into_bytes()
}

/// Version 2, with something behind the addresses.
fn block(source: &str) -> Vec<u8> {
    let (family, addresses) = match source.parse().unwrap() {
        IpAddr::V4(v4) => (0x11, [v4.octets(), [127, 0, 0, 1]].concat()),
        IpAddr::V6(v6) => (0x21, [v6.octets(), [0; 16]].concat()),
    };
    let behind = [&addresses[..], &[0xdc, 4, 1, 0xbb], &[0x05, 0, 3, 1, 2, 3]].concat();
    let length = u16::try_from(behind.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, &behind].concat()
}

/// A connection of the proxy on which a header was sent.
async fn said(gateway: &Gateway, header: &[u8]) -> Client {
    let mut client = gateway.client_of("told", PROXY).await;
    client.raw(header).await;
    client
}

#[tokio::test]
async fn the_told_address_is_the_peer_for_the_log_the_upstream_and_the_policy() {
    let mut upstream = Upstream::start().await;
    let gateway =
        told(&upstream, "").route("deny = [\"198.51.100.0/24\", \"2001:db8:bad::/48\"]").start();
    let key = Key::new();
    for (source, address, allowed) in [
        ("203.0.113.7", "203.0.113.7", true),
        ("::ffff:203.0.113.8", "203.0.113.8", true),
        ("2001:db8::7", "2001:db8::7", true),
        ("198.51.100.7", "198.51.100.7", false),
        ("::ffff:198.51.100.8", "198.51.100.8", false),
        ("2001:db8:bad::7", "2001:db8:bad::7", false),
    ] {
        for header in [line(source), block(source)] {
            // The request may come in one piece with the header, and is all there.
            let mut client = gateway.client_of("told", PROXY).await;
            client.raw([header, post(&key).bytes()].concat()).await;
            if allowed {
                let seen = upstream.answer("{}").await;
                assert_eq!(seen.field("x-forwarded-for"), Some(address));
                assert_eq!(client.answer().await.status, 200);
            } else {
                client.answer().await.refused(403, "address");
            }
            gateway.logged(address, |line| line["client"] == address).await;
        }
    }
    assert_eq!(gateway.metric(CONNECTIONS, &["told", "accepted"]), 12.0);
}

#[tokio::test]
async fn no_byte_of_tls_is_lost_behind_a_header_that_comes_byte_by_byte() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).tls().also(
        "[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n\
         tls = { certificates = [{ cert = \"cert.pem\", key = \"key.pem\" }] }\n\
         [access]\ntrusted_proxies = [\"127.0.0.2\"]",
    );
    let gateway = setup.start();
    for header in [line("203.0.113.7"), block("203.0.113.7")] {
        let mut socket = gateway.socket("told", PROXY).await;
        socket.set_nodelay(true).unwrap();
        for byte in header.chunks(1) {
            socket.write_all(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
        let transport = gateway.tls_over(socket, &[]).await;
        let mut client = gateway.client_on(transport);
        client.send(&post(&Key::new())).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some("203.0.113.7"));
        assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
        client.answer().await;
    }
}

#[tokio::test]
async fn a_connection_without_a_sound_header_is_closed_and_counted() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").also("[timeouts]\nhandshake = \"1s\"").start();
    let request = post(&Key::new()).bytes();
    let mut counted = 0.0;
    for header in [
        &request[..],
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1\r\n",
        b"PROXY TCP4 203.0.113.7 127.0.0.1 1 1\n",
        &[b"PROXY UNKNOWN ", [b'x'; 100].as_slice()].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\x16\x03\x01\x02\0\x01",
        // Late: each waits for more until the deadline of a handshake.
        b"",
        b"PROXY TCP4 203.0.113.7",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01",
    ] {
        said(&gateway, header).await.is_closed().await;
        counted += 1.0;
        gateway.metric_becomes(CONNECTIONS, &["told", "proxy_header"], counted).await;
    }
    assert_eq!(gateway.metric(CONNECTIONS, &["told"]), counted, "each is counted once");
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn a_header_is_taken_from_trusted_proxies_alone() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").start();
    let mut client = gateway.client_of("told", STRANGER).await;
    client.raw([line("203.0.113.7"), post(&Key::new()).bytes()].concat()).await;
    client.is_closed().await;
    gateway.metric_becomes(CONNECTIONS, &["told", "proxy_header"], 1.0).await;
    // And nowhere but where it is wanted.
    let mut client = gateway.client_of("http", PROXY).await;
    client.raw(line("203.0.113.7")).await;
    assert_eq!(client.answer().await.status, 400);
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn whom_the_proxy_tells_is_let_in_by_access_before_tls_as_any_other() {
    let upstream = Upstream::start().await;
    let lists = "allow = [\"127.0.0.0/8\", \"203.0.113.0/24\"]\ndeny = [\"203.0.113.9\"]";
    let gateway = told(&upstream, lists).start();
    for source in ["203.0.113.9", "198.51.100.1"] {
        said(&gateway, &line(source)).await.is_closed().await;
        said(&gateway, &block(source)).await.is_closed().await;
    }
    gateway.metric_becomes(CONNECTIONS, &["told", "\"address\""], 4.0).await;
    let mut client = said(&gateway, &line("203.0.113.7")).await;
    client.ask(&Call::get("/nothing")).await.refused(404, "no_route");
    assert_eq!(gateway.metric(CONNECTIONS, &["told", "proxy_header"]), 0.0);
}

#[tokio::test]
async fn a_told_address_that_an_observed_list_would_refuse_is_counted_and_served() {
    let upstream = Upstream::start().await;
    let gateway =
        told(&upstream, "deny = { nets = [\"203.0.113.0/24\"], mode = \"observe\" }").start();
    let mut client = said(&gateway, &block("203.0.113.7")).await;
    client.ask(&Call::get("/nothing")).await.refused(404, "no_route");
    let observed = "portcullis_observed_refusals_total";
    gateway.metric_becomes(observed, &["route=\"\""], 1.0).await;
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_keeps_its_own_address() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").start();
    let mut client = said(&gateway, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await;
    client.send(&post(&Key::new())).await;
    let seen = upstream.answer("{}").await;
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.2"));
    client.answer().await;
}

/// It is some client's connection, and what that says of addresses isn't the proxy's word.
#[tokio::test]
async fn a_source_that_the_proxy_cant_tell_is_nobodys_address() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").start();
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0"] {
        let mut client = said(&gateway, header).await;
        client.send(&post(&Key::new()).field("x-forwarded-for", "203.0.113.99")).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some("0.0.0.0"));
        client.answer().await;
    }
    let gateway = told(&upstream, "allow = [\"127.0.0.0/8\", \"203.0.113.0/24\"]").start();
    let mut client = said(&gateway, b"PROXY UNKNOWN\r\n").await;
    client.is_closed().await;
}

#[tokio::test]
async fn a_forwarding_header_is_believed_where_the_told_peer_is_trusted() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .also("[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nproxy_protocol = true")
        .also("[access]\ntrusted_proxies = [\"127.0.0.2\", \"192.0.2.0/24\"]")
        .start();
    for (source, address) in [("192.0.2.1", "198.51.100.7"), ("203.0.113.7", "203.0.113.7")] {
        let mut client = said(&gateway, &line(source)).await;
        client.send(&post(&Key::new()).field("x-forwarded-for", "198.51.100.7")).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.field("x-forwarded-for"), Some(address));
        client.answer().await;
    }
}

#[tokio::test]
async fn connections_are_counted_by_the_told_address_and_not_by_the_proxys() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").also("[limits]\nconnections_per_address = 2").start();
    let mut open = Vec::new();
    for source in ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.1"] {
        let client = said(&gateway, &line(source)).await;
        open.push(busy(client, &mut upstream).await);
    }
    said(&gateway, &line("203.0.113.1")).await.is_closed().await;
    gateway.metric_becomes(CONNECTIONS, &["told", "\"connections\""], 1.0).await;
    // A trusted proxy without a header is behind no cap of one address either.
    for _ in 0..4 {
        open.push(busy(gateway.client_of("http", PROXY).await, &mut upstream).await);
    }
    // Whoever isn't trusted is.
    for _ in 0..2 {
        open.push(busy(gateway.client_of("http", STRANGER).await, &mut upstream).await);
    }
    gateway.client_of("http", STRANGER).await.is_closed().await;
}

#[tokio::test]
async fn connections_of_proxies_count_in_all() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").also("[limits]\nconnections = 2").start();
    let held = busy(said(&gateway, &line("203.0.113.1")).await, &mut upstream).await;
    // Before its header, a connection has its place in all, and waits for one who comes.
    let mut waiting = gateway.client_of("told", PROXY).await;
    let next = busy(said(&gateway, &line("203.0.113.2")).await, &mut upstream).await;
    waiting.is_closed().await;
    gateway.metric_becomes(CONNECTIONS, &["told", "\"shed\""], 1.0).await;
    gateway.client_of("told", PROXY).await.is_closed().await;
    gateway.metric_becomes(CONNECTIONS, &["told", "\"connections\""], 1.0).await;
    drop((held, next));
}

/// A call under way, for as long as its upstream says nothing: nobody makes way who is busy.
async fn busy(mut client: Client, upstream: &mut Upstream) -> (Client, Request) {
    client.send(&post(&Key::new())).await;
    let call = upstream.next().await;
    (client, call)
}

#[tokio::test]
async fn a_redirect_listener_takes_the_header_too() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream)
        .tls()
        .also(
            "[[listeners]]\nname = \"told\"\naddress = \"127.0.0.1:0\"\nredirect = \"https\"\n\
             proxy_protocol = true\n[access]\ntrusted_proxies = [\"127.0.0.2\"]",
        )
        .start();
    let mut client = said(&gateway, &block("203.0.113.7")).await;
    assert_eq!(client.ask(&Call::get("/page")).await.status, 308);
    gateway.logged("the redirect", |line| line["client"] == "203.0.113.7").await;
    let mut client = gateway.client_of("told", PROXY).await;
    client.send(&Call::get("/page")).await;
    client.is_closed().await;
}

#[tokio::test]
async fn a_proxy_that_may_tell_nothing_any_more_brings_nothing_on_what_it_has_open() {
    let mut upstream = Upstream::start().await;
    let gateway = told(&upstream, "").start();
    let key = Key::new();
    for (trusted, deny) in [("127.0.0.9", "192.0.2.1"), ("127.0.0.2", "127.0.0.2")] {
        gateway.apply(|text| text, |_| {});
        let mut client = said(&gateway, &line("203.0.113.7")).await;
        client.send(&post(&key)).await;
        upstream.answer("{}").await;
        assert_eq!(client.answer().await.status, 200);
        let now = format!("trusted_proxies = [\"{trusted}\"]\ndeny = [\"{deny}\"]");
        gateway.apply(|text| text.replace("trusted_proxies = [\"127.0.0.2\"]", &now), |_| {});
        client.send(&post(&key)).await;
        client.answer().await.refused(403, "address");
    }
}
