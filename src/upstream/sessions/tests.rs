use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::advance,
};

use super::*;
use crate::{
    snapshot::{Endpoint, Endpoints, Scheme, Upstream},
    types::Name,
};

const IDLE: Duration = Duration::from_secs(1800);
const SECOND: Duration = Duration::from_secs(1);

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn server(session_idle: Option<Duration>, port: u16) -> Server {
    Server::new(Arc::new(Upstream {
        name: Name::parse("test").unwrap(),
        endpoints: Endpoints::one(Endpoint {
            scheme: Scheme::Http,
            host: "127.0.0.1".into(),
            port,
            authority: "127.0.0.1".into(),
        }),
        health: None,
        strip_prefix: Vec::new(),
        dialect: None,
        tls: None,
        session_idle,
        pin: None,
        max_requests: None,
        shared_streams: true,
    }))
}

fn in_use(server: &Server, id: &str) -> Option<InUse> {
    server.use_session((server.upstream.endpoints.first(), &secret(id)), || Some(secret(id)))
}

/// What would be ended now.
fn due(server: &Server) -> Vec<String> {
    let sessions = server.sessions.as_ref().unwrap();
    let take = || match sessions.table().next(Instant::now(), IDLE) {
        Next::End(ending) => Some(ending.request.expose().to_owned()),
        Next::Wait(_) | Next::Nothing => None,
    };
    std::iter::from_fn(take).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_due_once_when_nothing_was_open_in_it_for_so_long() {
    let server = server(Some(IDLE), 1);
    let (open, other) = (in_use(&server, "open"), in_use(&server, "other"));
    let again = in_use(&server, "open");
    drop((open, other));
    advance(IDLE - SECOND).await;
    // Its time begins anew.
    drop(in_use(&server, "other"));
    advance(SECOND).await;
    assert!(due(&server).is_empty(), "one was used, of the other a request is open");
    drop(again);
    advance(IDLE - SECOND).await;
    assert_eq!(due(&server), ["other"]);
    advance(SECOND).await;
    assert_eq!(due(&server), ["open"]);
    advance(2 * IDLE).await;
    assert!(due(&server).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_over_is_not_ended_whoever_still_used_it() {
    let server = server(Some(IDLE), 1);
    let (mine, late) = (in_use(&server, "x").unwrap(), in_use(&server, "x"));
    mine.over();
    // Another of that id is another.
    let next = in_use(&server, "x");
    drop(late);
    advance(2 * IDLE).await;
    assert!(due(&server).is_empty(), "a request is open in the second");
    drop(next);
    advance(IDLE).await;
    assert_eq!(due(&server), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_unused_makes_room_and_is_not_ended() {
    let server = server(Some(IDLE), 1);
    let held = in_use(&server, "held");
    for number in 0..MOST {
        drop(in_use(&server, &number.to_string()));
    }
    advance(IDLE).await;
    let due = due(&server);
    assert_eq!((due.len(), &*due[0]), (MOST - 1, "1"), "all but the first and the one in use");
    let open: Vec<_> = (1..MOST).map(|number| in_use(&server, &number.to_string())).collect();
    assert!(open.iter().all(Option::is_some) && in_use(&server, "one more").is_none());
    assert!(in_use(&server, "held").is_some());
    drop(held);
}

#[test]
fn where_nothing_is_configured_or_the_request_is_long_nothing_is_kept() {
    assert!(in_use(&server(None, 1), "x").is_none());
    let server = server(Some(IDLE), 1);
    let long = |length: usize| {
        server.use_session((server.upstream.endpoints.first(), &secret("x")), || {
            Some(secret(&"x".repeat(length)))
        })
    };
    assert!(long(LONGEST_ENDING + 1).is_none() && long(LONGEST_ENDING).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_holds_up_the_next_for_a_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server(Some(IDLE), listener.local_addr().unwrap().port());
    for id in ["silent", "refusing", "answered"] {
        drop(in_use(&server, id));
    }
    let next = || async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64];
        let count = socket.read(&mut request).await.unwrap();
        (String::from_utf8(request[..count].to_vec()).unwrap(), socket)
    };
    let told = async {
        let (request, _silent): (_, TcpStream) = next().await;
        assert_eq!(request, "silent");
        let asked = Instant::now();
        let (request, refusing) = next().await;
        assert_eq!(request, "refusing");
        assert_eq!(asked.elapsed().as_secs(), PATIENCE.as_secs());
        drop(refusing);
        let (request, mut socket) = next().await;
        assert_eq!(request, "answered");
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0, "the connection isn't kept");
    };
    tokio::select! {
        () = server.end_idle_sessions() => {}
        () = told => {}
    }
}
