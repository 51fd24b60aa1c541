//! The other side: its connections are kept and used with care, and its failures are told apart.

use crate::harness::{Call, Key, Setup, Upstream, tool_call};

fn post(key: &Key) -> Call {
    Call::post(&format!("/api/mcp/{}", key.text()), &tool_call(1))
}

#[tokio::test]
async fn a_connection_is_used_again_and_a_closed_one_is_not() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let key = Key::new();
    // One client: each worker keeps connections of its own.
    let mut client = gateway.client().await;
    for (connection, hangs_up) in [(0, false), (0, false), (0, true), (1, false)] {
        client.send(&post(&key)).await;
        let mut request = upstream.next().await;
        assert_eq!(request.connection, connection);
        if hangs_up {
            request.raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            request.hang_up();
        } else {
            request.respond(200, &[], "{}").await;
        }
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_wants_closed_is_not_kept() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    for (index, head) in
        ["HTTP/1.1 200 OK\r\nconnection: close", "HTTP/1.0 200 OK"].iter().enumerate()
    {
        let mut client = gateway.client().await;
        client.send(&post(&Key::new())).await;
        let mut request = upstream.next().await;
        assert_eq!(request.connection, index);
        request.raw(format!("{head}\r\ncontent-length: 2\r\n\r\n{{}}")).await;
        assert_eq!(client.answer().await.text(), "{}");
        request.is_abandoned().await;
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_are_nobodys_answer() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut request = upstream.next().await;
    let stray = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray";
    request.raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{{}}{stray}")).await;
    assert_eq!(client.answer().await.text(), "{}");
    // The same client at once: its worker would use the connection again before it is swept.
    client.send(&post(&Key::new())).await;
    assert_eq!(upstream.answer("{}").await.connection, 1);
    assert_eq!(client.answer().await.text(), "{}");
    request.is_abandoned().await;
}

#[tokio::test]
async fn a_request_that_may_have_been_read_is_never_sent_twice() {
    for (kept, reset) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut upstream = Upstream::start().await;
        let gateway = Setup::new(&upstream).start();
        let call = post(&Key::new());
        let mut client = gateway.client().await;
        if kept {
            client.send(&call).await;
            upstream.answer("{}").await;
            client.answer().await;
        }
        client.send(&call).await;
        let request = upstream.next().await;
        assert_eq!(request.connection, 0, "a kept connection is used");
        if reset {
            request.reset()
        } else {
            request.hang_up()
        }
        client.answer().await.refused(502, "upstream_down");
        upstream.saw_nothing(&gateway).await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502() {
    let upstream = Upstream::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let gateway = elsewhere(Setup::new(&upstream), &endpoint, "").start();
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.ask(&post(&Key::new())).await.refused(502, "upstream_down");
    }
}

/// An upstream `other` in the place of the harness's own, for the calls of [`post`].
fn elsewhere(setup: Setup, endpoint: &str, more: &str) -> Setup {
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"other\"\npaths = [\"/api/mcp/{key}\"]\n\
                 unknown_keys = \"forward\"\n";
    let other = format!("[upstreams.other]\nendpoints = [\"{endpoint}\"]\n{more}");
    setup.routes(route).also(&other)
}

#[tokio::test]
async fn without_a_name_service_the_gateway_starts_and_refuses_only_what_needs_the_name() {
    let mut upstream = Upstream::start().await;
    // RFC 6761 6.4: nobody ever has a name below `invalid`.
    let quick = "[timeouts]\nupstream_connect = \"300ms\"";
    let gateway = elsewhere(Setup::new(&upstream), "http://postiz.invalid:3000", quick).start();
    for _ in 0..2 {
        gateway.ask(&post(&Key::new())).await.refused(502, "upstream_down");
    }
    assert!(gateway.admin("/readyz").starts_with("HTTP/1.1 200"));
    upstream.saw_nothing(&gateway).await;
}

#[tokio::test]
async fn an_upstream_is_reached_by_name_and_over_either_family() {
    for (listens, host) in
        [("127.0.0.1:0", "127.0.0.1"), ("127.0.0.1:0", "localhost"), ("[::1]:0", "[::1]")]
    {
        let mut upstream = Upstream::start_on(listens).await;
        let authority = format!("{host}:{}", upstream.address().port());
        let endpoint = format!("http://{authority}");
        let gateway = elsewhere(Setup::new(&upstream), &endpoint, "").start();
        let seen = gateway.pass(&mut upstream, &post(&Key::new())).await;
        assert_eq!(seen.field("host"), Some(authority.as_str()));
    }
}

#[tokio::test]
async fn an_upstream_that_is_slow_to_begin_is_504() {
    let mut upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nupstream_first_byte = \"100ms\"";
    let gateway = Setup::new(&upstream).also(timeouts).start();
    for begun in ["", "HTTP/1.1 200 OK\r\nx: "] {
        let mut client = gateway.client().await;
        client.send(&post(&Key::new())).await;
        let mut request = upstream.next().await;
        request.raw(begun).await;
        client.answer().await.refused(504, "upstream_slow");
        request.is_abandoned().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_plainly_http_is_502() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x16\x03\x01\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\nx: y\n\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n x: folded\r\n\r\n",
    ] {
        let mut client = gateway.client().await;
        client.send(&post(&Key::new())).await;
        let mut request = upstream.next().await;
        request.raw(answer).await;
        client.answer().await.refused(502, "upstream_bad");
        request.is_abandoned().await;
    }
}

/// More than any head may have, in bytes.
const TOO_MUCH: usize = 1 << 20;

#[tokio::test]
async fn an_upstream_that_says_too_much_is_502_and_streams_beside_it_notice_nothing() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut listens = gateway.client().await;
    listens.send(&Call::get("/api/mcp").bearer(&Key::new())).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    stream.event("message", "{}").await;
    let mut events = listens.stream().await;
    events.next_event().await.unwrap();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(TOO_MUCH));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(TOO_MUCH / 6));
    for answer in [long, many] {
        let mut client = gateway.client().await;
        client.send(&post(&Key::new())).await;
        let mut request = upstream.next().await;
        request.raw(answer).await;
        client.answer().await.refused(502, "upstream_bad");
        request.is_abandoned().await;
        stream.event("message", "{}").await;
        assert!(events.next_event().await.is_some());
    }
}

#[tokio::test]
async fn a_line_of_a_stream_that_never_ends_passes_and_is_held_nowhere() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&Call::get("/api/mcp").bearer(&Key::new())).await;
    let mut stream = upstream.next().await.stream(&[]).await;
    let reads = async { client.rest().await.len() };
    let writes = async {
        stream.send("data: ").await;
        for _ in 0..64 {
            stream.send("x".repeat(TOO_MUCH / 16)).await;
        }
        stream.hang_up();
    };
    let (read, ()) = tokio::join!(reads, writes);
    assert!(read > 4 * TOO_MUCH, "{read}");
}

#[tokio::test]
async fn answers_before_the_answer_are_passed_over() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    let mut request = upstream.next().await;
    request.raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await;
    request.respond(200, &[], "{}").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text(), answer.informational.len()), (200, "{}", 0));
}

#[tokio::test]
async fn answers_before_the_answer_are_counted() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new(&upstream).start();
    let mut client = gateway.client().await;
    client.send(&post(&Key::new())).await;
    upstream.next().await.raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17)).await;
    client.answer().await.refused(502, "upstream_bad");
}

#[tokio::test]
async fn an_upstream_that_reads_nothing_is_504_without_another_wait() {
    let mut upstream = Upstream::start().await;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let more = format!(
        "[upstreams.other]\nendpoints = [\"http://{}\"]\n[timeouts]\nwrite_stall = \"200ms\"",
        deaf.local_addr().unwrap()
    );
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"other\"\npaths = [\"/api/mcp/{key}\"]\n\
                 unknown_keys = \"forward\"\nmax_body = \"32MiB\"\n";
    let gateway = Setup::new(&upstream).routes(route).also(&more).start();
    let padding = "x".repeat(24 << 20);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{padding}"}}}}"#);
    let call = Call::post(&format!("/api/mcp/{}", Key::new().text()), &body);
    let ask = async { gateway.ask(&call).await };
    let accept = async { deaf.accept().await.unwrap() };
    let (answer, _socket) = tokio::join!(ask, accept);
    answer.refused(504, "upstream_slow");
    upstream.untouched();
}

#[tokio::test]
async fn an_early_answer_counts_and_its_connection_carries_nothing_more() {
    let mut upstream = Upstream::start().await;
    let early = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other =
        format!("[upstreams.other]\nendpoints = [\"http://{}\"]", early.local_addr().unwrap());
    let route = "[[routes]]\nname = \"mcp\"\nupstream = \"other\"\npaths = [\"/api/mcp/{key}\"]\n\
                 unknown_keys = \"forward\"\nmax_body = \"32MiB\"\n";
    let gateway = Setup::new(&upstream).routes(route).also(&other).start();
    let padding = "x".repeat(24 << 20);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{padding}"}}}}"#);
    let call = Call::post(&format!("/api/mcp/{}", Key::new().text()), &body);
    let mut client = gateway.client().await;
    let ask = async { client.ask(&call).await };
    let answer = async {
        let (mut socket, _) = early.accept().await.unwrap();
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}";
        tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await.unwrap();
        socket
    };
    // The socket stays open and unread: nothing but the answer can end the wait.
    let (answer, socket) = tokio::join!(ask, answer);
    assert_eq!((answer.status, answer.text()), (413, "{}"));
    // The same client, so that it is the same worker's pool.
    let next = async { client.ask(&post(&Key::new())).await };
    let fresh = async { early.accept().await.unwrap() };
    tokio::select! {
        _ = fresh => {}
        answer = next => panic!("the half-read connection was used again: {answer:?}"),
    }
    drop(socket);
    upstream.untouched();
}
