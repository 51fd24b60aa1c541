//! Every cap of the configuration is counted where it is reached.

use crate::harness::{Call, Gateway, Key, Setup, Upstream, tool_call};

const METRIC: &str = "portcullis_limits_reached_total";

fn call(key: &Key) -> Call {
    Call::post("/api/mcp", &tool_call(1)).bearer(key)
}

async fn reached(gateway: &Gateway, limit: &str) {
    gateway.metric_becomes(METRIC, &[&format!("limit=\"{limit}\"")], 1.0).await;
    assert!((gateway.metric(METRIC, &[]) - 1.0).abs() < 0.1, "{limit} alone");
}

/// The settings of a section, as the table of the README has them.
fn settings(section: &str) -> Vec<String> {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let mut rows =
        readme.lines().skip_while(|line| !line.starts_with(&format!("| **`[{section}]`**")));
    let first = rows.next().unwrap();
    let own = rows.take_while(|line| line.starts_with("| `"));
    let names = |row: &str| {
        let cell = row.split('|').nth(1).unwrap().replace(&format!("**`[{section}]`**"), "");
        let words = cell.split('`').skip(1).step_by(2);
        words.map(|name| format!("{section}.{name}")).collect::<Vec<_>>()
    };
    std::iter::once(first).chain(own).flat_map(names).collect()
}

#[tokio::test]
async fn each_limit_and_each_timeout_has_its_series_from_the_start() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let metrics = gateway.admin("/metrics");
    // It says when a day begins, and caps nothing.
    let caps = |name: &String| name != "limits.time_zone";
    for limit in settings("limits").into_iter().chain(settings("timeouts")).filter(caps) {
        let series = format!("{METRIC}{{limit=\"{limit}\"}} 0");
        assert!(metrics.lines().any(|line| line == series), "{series}");
    }
}

#[tokio::test]
async fn what_a_head_is_refused_for_is_counted_by_its_cap() {
    for (limit, lines, status) in [
        ("limits.target", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(300)), 414),
        (
            "limits.head",
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(999)),
            431,
        ),
        (
            "limits.fields",
            format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: a\r\n".repeat(9)),
            431,
        ),
    ] {
        let upstream = Upstream::start().await;
        let limits = "[limits]\ntarget = \"256B\"\nhead = \"512B\"\nfields = 8";
        let gateway = Setup::new(&upstream).also(limits).start();
        let mut client = gateway.client().await;
        client.raw(lines).await;
        assert_eq!(client.answer().await.status, status, "{limit}");
        reached(&gateway, limit).await;
    }
}

#[tokio::test]
async fn who_is_too_slow_is_counted_by_what_for() {
    let timeouts = "[timeouts]\nhead = \"60ms\"\nidle = \"60ms\"\nbody = \"60ms\"\n\
                    upstream_first_byte = \"60ms\"\nhandshake = \"60ms\"";
    for (limit, calls, bytes) in [
        ("timeouts.head", 0, ""),
        ("timeouts.head", 0, "GET / HT"),
        ("timeouts.head", 1, "GET / HT"),
        ("timeouts.idle", 1, ""),
        (
            "timeouts.body",
            0,
            "POST /api/mcp HTTP/1.1\r\nhost: gateway.test\r\nauthorization: k\r\n\
          content-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        ),
    ] {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).also(timeouts).start();
        let mut client = gateway.client().await;
        for _ in 0..calls {
            client.send(&call(&Key::new())).await;
            upstream.answer("{}").await;
            client.answer().await;
        }
        client.raw(bytes).await;
        client.rest().await;
        reached(&gateway, limit).await;
    }
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).tls().also(timeouts).start();
    let mut client = gateway.client().await;
    client.send(&call(&Key::new())).await;
    let _unanswered = upstream.next().await;
    client.answer().await.refused(504, "upstream_slow");
    reached(&gateway, "timeouts.upstream_first_byte").await;
    gateway.client_of("https", std::net::Ipv4Addr::LOCALHOST).await.is_closed().await;
    gateway.metric_becomes(METRIC, &["timeouts.handshake"], 1.0).await;
}

#[tokio::test]
async fn what_a_key_has_too_much_of_is_counted_by_its_cap() {
    let mut upstream = Upstream::start().await;
    let (one, two) = (Key::new(), Key::new());
    let setup =
        Setup::new(&upstream).route("rate = \"1/day\"\nmax_streams = 1\nmax_body = \"1KiB\"");
    let setup = setup.consumer("one", &one, "").consumer("two", &two, "rate = \"1/day\"\n");
    let gateway = setup.also("[limits]\nunproven_per_address = \"1/day\"").start();
    let count = async |limit: &str| {
        gateway.metric_becomes(METRIC, &[&format!("limit=\"{limit}\"")], 1.0).await;
    };
    for (key, limit) in [(&one, "routes.rate"), (&two, "consumers.rate")] {
        gateway.pass(&mut upstream, &call(key)).await;
        gateway.ask(&call(key)).await.refused(200, "rate");
        count(limit).await;
    }
    let mut stranger = gateway.client().await;
    stranger.send(&call(&Key::new())).await;
    upstream.next().await.respond(401, &[], "no").await;
    stranger.answer().await;
    stranger.ask(&call(&Key::new())).await.refused(200, "rate");
    count("limits.unproven_per_address").await;
    gateway.ask(&call(&one).body(&"x".repeat(2000))).await.refused(413, "body_too_large");
    count("routes.max_body").await;
    assert!((gateway.metric(METRIC, &[]) - 4.0).abs() < 0.1);
}

#[tokio::test]
async fn a_comment_in_the_silence_of_a_stream_and_its_cut_are_counted() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nkeep_alive_comment = \"50ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    let mut client = gateway.client().await;
    client.send(&Call::get("/api/mcp").bearer(&Key::new())).await;
    let _stream = upstream.next().await.stream(&[]).await;
    let mut events = client.stream().await;
    events.next_comment().await.unwrap();
    assert!(gateway.metric(METRIC, &["timeouts.keep_alive_comment"]) >= 1.0);
}
