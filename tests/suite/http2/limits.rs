//! What one connection may take up: fields, streams, room that the client doesn't make, time.

use super::{
    NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, boot, call,
    frames::{self, END_HEADERS, END_STREAM, INITIAL_WINDOW_SIZE, frame, head, window_update},
    listen, rows,
};
use crate::harness::{Gateway, Heard, Http2, Key, Setup, Upstream};

/// A field block that puts a field into the table (RFC 7541 6.2.1) and then repeats it by a byte each.
fn bomb(key: &Key, name: &str, value: &[u8], times: usize) -> Vec<u8> {
    let mut block = frames::block(&rows::with_key(&rows::get(&[]), key.text()));
    let mut inserted = frames::block(&[(name.into(), value.to_vec())]);
    inserted[0] = 0x40;
    block.extend(inserted);
    // The newest field of the table stands behind the 61 that are always there.
    block.extend(std::iter::repeat_n(0x80 | 62, times));
    block
}

/// The "HTTP/2 bomb": one byte each makes a field, and crumbs of a cookie are fields.
#[tokio::test]
async fn fields_that_cost_a_byte_each_are_counted_as_fields() {
    let (mut upstream, gateway, key) = boot("").await;
    let long = b"a".repeat(3500);
    for (name, value, times) in [
        ("cookie", b"a=1".as_slice(), 70),
        ("cookie", b"", 4000),
        ("x", b"1", 70),
        ("x", b"1", 12_000),
        ("x", &long, 5),
        ("x", &long, 12_000),
    ] {
        let mut http2 = gateway.http2().await;
        http2.send(head(1, true, &bomb(&key, name, value, times))).await;
        match http2.next(1).await {
            Heard::Head { fields, .. } => assert_eq!(fields[0].1, "431", "{name} {times}"),
            Heard::Farewell(code) => assert_ne!(code, NO_ERROR, "{name} {times}"),
            heard => panic!("{name} {times}: {heard:?}"),
        }
        upstream.saw_nothing(&gateway).await;
    }
}

/// The other way round: this many a browser may send. Cookies are a person's; a call has none.
#[tokio::test]
async fn a_head_just_within_the_limits_passes() {
    let (mut upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    http2.send(head(1, true, &bomb(&key, "cookie", b"a=1", 50))).await;
    assert_eq!(upstream.answer("{}").await.field("cookie"), None);
    assert_eq!(http2.answer(1).await.status, 200);
    http2.send(head(3, true, &bomb(&key, "x", b"1", 50))).await;
    let seen = upstream.answer("{}").await;
    assert_eq!(seen.fields.iter().filter(|(name, value)| name == "x" && value == "1").count(), 51);
    assert_eq!(http2.answer(3).await.status, 200);
}

#[tokio::test]
async fn a_stream_too_many_is_refused_alone() {
    let (mut upstream, gateway, _) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut requests = Vec::new();
    for n in 0..32 {
        http2.send(listen(2 * n + 1, &Key::new())).await;
        requests.push(upstream.next().await);
    }
    http2.send(listen(65, &Key::new())).await;
    assert_eq!(http2.next(65).await, Heard::Reset(REFUSED_STREAM));
    let refused = ["code=\"refused_stream\""];
    gateway.metric_becomes("portcullis_http2_errors_total", &refused, 1.0).await;
    requests.pop().unwrap().respond(200, &[], "{}").await;
    assert_eq!(http2.answer(63).await.status, 200);
    http2.send(call(67, &Key::new())).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(67).await.status, 200);
}

/// None of it becomes a request, so no record has it.
#[tokio::test]
async fn what_is_refused_below_requests_is_counted_by_its_code() {
    let (_upstream, gateway, key) = boot("").await;
    let count = async |code: &str, count: f64| {
        gateway.metric_becomes("portcullis_http2_errors_total", &[code], count).await;
    };
    let mut malformed = gateway.http2().await;
    let upper = frames::block(&rows::with_key(&rows::get(&[("X-Upper", "1")]), key.text()));
    malformed.send(head(1, true, &upper)).await;
    assert_eq!(malformed.farewell().await, PROTOCOL_ERROR);
    count("protocol_error", 1.0).await;
    let mut large = gateway.http2().await;
    large.send(head(1, true, &bomb(&key, "x", &b"a".repeat(3500), 10))).await;
    let Heard::Head { fields, .. } = large.next(1).await else { panic!("no answer") };
    assert_eq!(fields[0].1, "431");
    count("list_too_large", 1.0).await;
    let mut flood = gateway.http2().await;
    flood.send(frame(6, 0, 0, &[0; 8]).repeat(100)).await;
    flood.is_closed().await;
    count("enhance_your_calm", 1.0).await;
}

/// A client that makes no room holds what waits for it for as long as a client of HTTP/1.1 that
/// doesn't read, and no other stream with it.
#[tokio::test]
async fn a_stream_that_makes_no_room_ends_alone() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nwrite_stall = \"300ms\"").await;
    let mut http2 = gateway.http2_with(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    http2.send([listen(1, &key), window_update(1, 1000)].concat()).await;
    let mut lives = upstream.next().await.stream(&[]).await;
    assert_eq!(http2.head(1).await.0.status, 200);
    http2.send(listen(3, &key)).await;
    let mut held = upstream.next().await.stream(&[]).await;
    http2.send(call(5, &key)).await;
    upstream.answer("{}").await;
    held.event("message", "{}").await;
    for stream in [3, 5] {
        assert_eq!(http2.head(stream).await.0.status, 200);
        let ended = http2.next(stream).await;
        assert!(matches!(ended, Heard::Reset(code) if code != NO_ERROR), "{stream}: {ended:?}");
    }
    held.is_abandoned().await;
    lives.event("message", "still here").await;
    let Heard::Data { bytes, ended: false } = http2.next(1).await else { panic!("it ended") };
    assert_eq!(bytes, b"event: message\ndata: still here\n\n");
    lives.finish().await;
}

/// The window of the connection is every stream's: where it is used up, they all stall.
#[tokio::test]
async fn a_connection_that_makes_no_room_lets_go_of_the_upstream() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nwrite_stall = \"300ms\"").await;
    let mut http2 = gateway.http2_with(&[(INITIAL_WINDOW_SIZE, 1 << 30)]).await;
    http2.send(listen(1, &key)).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    for _ in 0..2 {
        stream.event("message", &"x".repeat(40 * 1024)).await;
    }
    stream.is_abandoned().await;
    gateway.logged("its end", |line| line["outcome"] == "client_gone").await;
}

/// Windows as wide as they come, and nobody who reads.
#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_the_upstream_with_it() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nwrite_stall = \"300ms\"").await;
    let mut http2 = gateway.http2_with(&[(INITIAL_WINDOW_SIZE, 1 << 30)]).await;
    http2.send([window_update(0, 1 << 30), listen(1, &key)].concat()).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let event = "x".repeat(64 * 1024);
    let flood = async {
        loop {
            stream.event("message", &event).await;
        }
    };
    tokio::select! {
        () = flood => {}
        line = gateway.logged("the end", |line| line["event"] == "exchange") => {
            assert_eq!(line["outcome"], "client_gone");
        }
    }
    gateway.metric_becomes("portcullis_connections_open", &["https"], 0.0).await;
}

/// A byte at a time is progress, but not for ever.
#[tokio::test]
async fn room_for_a_byte_at_a_time_does_not_hold_an_answer_for_ever() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nwrite_stall = \"300ms\"").await;
    let mut http2 = gateway.http2_with(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    http2.send(call(1, &key)).await;
    upstream.answer(&"x".repeat(700)).await;
    assert_eq!(http2.head(1).await.0.status, 200);
    loop {
        http2.send(window_update(1, 1)).await;
        match http2.next(1).await {
            Heard::Data { ended: false, .. } => tokio::time::sleep(TICK).await,
            Heard::Reset(code) => break assert_ne!(code, NO_ERROR),
            heard => panic!("{heard:?}"),
        }
    }
}

/// How often the slow reader makes room: its pace is what the test is about.
const TICK: std::time::Duration = std::time::Duration::from_millis(20);

#[tokio::test]
async fn a_body_that_never_comes_is_given_up_and_the_connection_lives() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nbody = \"150ms\"").await;
    for more in [&[][..], &[("content-length", "40")]] {
        let mut http2 = gateway.http2().await;
        let fields = frames::block(&rows::with_key(&rows::post(more), key.text()));
        http2.send(head(1, false, &fields)).await;
        http2.send(frames::data(1, false, b"{")).await;
        http2.answer(1).await.refused(408, "timeout");
        upstream.saw_nothing(&gateway).await;
        http2.send(call(3, &key)).await;
        upstream.answer("{}").await;
        assert_eq!(http2.answer(3).await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_more_ends() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nidle = \"150ms\"\nhead = \"150ms\"").await;
    let unfinished = frame(frames::HEADERS, END_STREAM, 3, b"\x82\x87");
    let silences: [(&str, &[u8]); 3] =
        [("nothing", b""), ("half a frame", &unfinished[..5]), ("half a head", &unfinished)];
    for (what, bytes) in silences {
        let mut http2 = gateway.http2().await;
        http2.send(call(1, &key)).await;
        upstream.answer("{}").await;
        assert_eq!(http2.answer(1).await.status, 200, "{what}");
        http2.send(bytes).await;
        http2.is_closed().await;
    }
    for greeting in [&b""[..], &frames::PREFACE[..9], frames::PREFACE] {
        let mut http2 = gateway.http2_ungreeted().await;
        http2.send(greeting).await;
        http2.is_closed().await;
    }
    upstream.saw_nothing(&gateway).await;
}

/// Pings keep a connection from nothing.
#[tokio::test]
async fn an_idle_connection_is_told_goodbye() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nidle = \"150ms\"").await;
    let mut http2 = gateway.http2().await;
    http2.send(call(1, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(1).await.status, 200);
    http2.send(frame(frames::PING, 0, 0, &[0; 8])).await;
    assert_eq!(http2.farewell().await, NO_ERROR);
    http2.is_closed().await;
}

/// It may have come hours before the file did.
#[tokio::test]
async fn an_idle_connection_waits_as_long_as_the_file_in_force_says() {
    let (mut upstream, gateway, key) = boot("[timeouts]\nidle = \"60s\"").await;
    let mut http2 = gateway.http2().await;
    gateway.apply(|text| text.replace("idle = \"60s\"", "idle = \"150ms\""), |_| {});
    http2.send(call(1, &key)).await;
    upstream.answer("{}").await;
    assert_eq!(http2.answer(1).await.status, 200);
    assert_eq!(http2.farewell().await, NO_ERROR);
    http2.is_closed().await;
}

/// RFC 9113: errors of the connection, after which nothing can be trusted.
#[tokio::test]
async fn what_breaks_the_connection_ends_it() {
    let (mut upstream, gateway, key) = boot("").await;
    let fields = frames::block(&rows::with_key(&rows::get(&[]), key.text()));
    let request = |stream| head(stream, true, &fields);
    let mut promise = 2_u32.to_be_bytes().to_vec();
    promise.extend(&fields);
    let cases = [
        ("PUSH_PROMISE", frame(frames::PUSH_PROMISE, END_HEADERS, 1, &promise)),
        ("a stream of the server's", request(2)),
        ("a head of the connection", request(0)),
        ("DATA of the connection", frames::data(0, false, b"x")),
        ("DATA of an idle stream", frames::data(1, false, b"x")),
        ("RST_STREAM of an idle stream", frames::reset(1, 8)),
        ("CONTINUATION of nothing", frame(frames::CONTINUATION, END_HEADERS, 1, &fields)),
        ("another frame inside a head", {
            let begun = frame(frames::HEADERS, END_STREAM, 1, &fields);
            [begun, frame(frames::PING, 0, 0, &[0; 8])].concat()
        }),
        ("another stream inside a head", {
            let begun = frame(frames::HEADERS, END_STREAM, 1, &fields);
            [begun, frame(frames::CONTINUATION, END_HEADERS, 3, &[])].concat()
        }),
        ("padding that is longer than its frame", frame(frames::DATA, 0x8, 1, &[9, 0])),
        ("PING of seven bytes", frame(frames::PING, 0, 0, &[0; 7])),
        ("PING of a stream", frame(frames::PING, 0, 1, &[0; 8])),
        ("SETTINGS of a stream", frame(frames::SETTINGS, 0, 1, &[])),
        ("SETTINGS of five bytes", frame(frames::SETTINGS, 0, 0, &[0; 5])),
        ("a window above 2^31-1", frames::settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])),
        ("a connection window above 2^31-1", window_update(0, (1 << 31) - 1)),
        ("a window of nothing", window_update(0, 0)),
        ("a frame that is too large", frame(frames::DATA, 0, 1, &[0; 16 * 1024 + 1])),
        ("index 0 of the table", frame(frames::HEADERS, 0x5, 1, &[0x80])),
        ("an index that isn't there", frame(frames::HEADERS, 0x5, 1, &[0xff, 0x80, 0x08])),
        ("half a field", frame(frames::HEADERS, 0x5, 1, &[0, 1, b'x', 9])),
    ];
    for (what, bytes) in cases {
        let mut http2 = gateway.http2().await;
        http2.send(bytes).await;
        assert_ne!(ended(&mut http2, what).await, NO_ERROR, "{what}");
        upstream.saw_nothing(&gateway).await;
    }
}

async fn ended(http2: &mut Http2, what: &str) -> u32 {
    match http2.next(0).await {
        Heard::Farewell(code) => code,
        heard => panic!("{what}: {heard:?}"),
    }
}

#[tokio::test]
async fn a_client_that_greets_in_http_1_is_closed() {
    let (mut upstream, gateway, _) = boot("").await;
    for greeting in [
        "GET /api/mcp/KEY HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame of settings",
    ] {
        let mut http2 = gateway.http2_ungreeted().await;
        http2.send(greeting).await;
        let said = http2.next(0).await;
        let refused = matches!(said, Heard::Closed | Heard::Farewell(PROTOCOL_ERROR | 6));
        assert!(refused, "{greeting}: {said:?}");
        http2.is_closed().await;
    }
    upstream.saw_nothing(&gateway).await;
}

/// Of three requests at once two are answered.
async fn the_third_finds_no_place(gateway: &Gateway, upstream: &mut Upstream) {
    let key = Key::new();
    let mut http2 = gateway.http2().await;
    http2.send([call(1, &key), call(3, &key), call(5, &key)].concat()).await;
    let refused = http2.answer(5).await;
    assert_eq!((refused.status, refused.reason().as_str()), (503, "overload"));
    for _ in 0..2 {
        upstream.answer("{}").await;
    }
    for stream in [1, 3] {
        assert_eq!(http2.answer(stream).await.status, 200);
    }
}

/// Each request may take a connection upstream: together they have as many places as connections.
#[tokio::test]
async fn requests_of_a_connection_are_counted_with_connections() {
    let mut upstream = Upstream::start().await;
    let limits = "[limits]\nconnections_per_address = 3";
    let gateway = Setup::new(&upstream).also(limits).tls().start();
    the_third_finds_no_place(&gateway, &mut upstream).await;
    gateway.metric_becomes("portcullis_refusals_total", &["reason=\"overload\""], 1.0).await;
}

/// Behind its one address are many clients.
#[tokio::test]
async fn requests_of_a_trusted_proxys_connection_are_counted_in_all_alone() {
    let mut upstream = Upstream::start().await;
    let limits = "[limits]\nconnections_per_address = 1\nconnections = 3\n\
                  [access]\ntrusted_proxies = [\"127.0.0.1\"]";
    let gateway = Setup::new(&upstream).also(limits).tls().start();
    the_third_finds_no_place(&gateway, &mut upstream).await;
}

/// A client that makes no room for the answers has guessed all the same.
#[tokio::test]
async fn a_wrong_key_counts_before_anyone_takes_the_answer() {
    let upstream = Upstream::start().await;
    let setup = Setup::new(&upstream).route("unknown_keys = \"refuse\"").tls();
    let gateway = setup.also("[bans]\nwrong_keys = \"1/day\"").start();
    let mut http2 = gateway.http2().await;
    http2.send(frames::settings(&[(INITIAL_WINDOW_SIZE, 0)])).await;
    http2.send([call(1, &Key::new()), call(3, &Key::new())].concat()).await;
    gateway.metric_becomes("portcullis_bans_total", &[], 1.0).await;
}

#[tokio::test]
async fn a_connection_of_who_is_banned_ends() {
    let (mut upstream, gateway, _) = boot("[bans]\nwrong_keys = \"1/day\"").await;
    let mut http2 = gateway.http2().await;
    for stream in [1, 3] {
        http2.send(call(stream, &Key::new())).await;
        upstream.next().await.respond(401, &[], "").await;
        assert_eq!(http2.answer(stream).await.status, 401);
    }
    gateway.metric_becomes("portcullis_bans_total", &[], 1.0).await;
    http2.send(call(5, &Key::new())).await;
    assert_eq!(http2.answer(5).await.status, 403);
    assert_eq!(http2.next(7).await, Heard::Farewell(NO_ERROR));
}
