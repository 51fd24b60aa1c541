//! The strict reading, row by row.

use tokio::task::JoinHandle;

use super::{
    PROTOCOL_ERROR, boot, call, frames,
    rows::{self, Answer, Row},
};
use crate::harness::{Gateway, Heard, Http2, Key, Upstream};

/// Sends each row on a connection of its own: it is refused as it says and nothing of it reaches the
/// upstream (or it is cut as it says); where the connection lives, it serves another request. Every
/// row that fails is named.
async fn all_refused(rows: Vec<Row>) {
    let (mut upstream, gateway, key) = boot("").await;
    let mut failures = Vec::new();
    for row in rows {
        let (number, what, answer) = (row.number, row.what, row.answer);
        let mut fails = |how: String| failures.push(format!("{number} ({what}): {how}"));
        let mut http2 = gateway.http2().await;
        http2.send(row.frames(key.text())).await;
        let refused = tokio::spawn(async move { (refusal(&row, &mut http2).await, http2) });
        if let Answer::Cut(text) = answer {
            passes_without(text, &mut upstream, &refused).await;
        }
        match refused.await {
            Ok((Ok(Lives::Yes), http2)) => serves(http2, &mut upstream, &gateway, &key).await,
            Ok((Ok(Lives::No), _)) => {}
            Ok((Err(how), _)) => fails(how),
            Err(failure) => {
                fails(failure.into_panic().downcast_ref::<String>().cloned().unwrap_or_default());
            }
        }
        let saw = upstream.saw(&gateway).await;
        if !saw.is_empty() {
            fails(format!("the upstream saw {saw:?}"));
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// Answers the row's request where it is passed on, which it is without the text.
async fn passes_without<T>(text: &str, upstream: &mut Upstream, refused: &JoinHandle<T>) {
    let refused = async {
        while !refused.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = refused => {}
        seen = upstream.answer("{}") => {
            let all = format!("{} {:?} {}", seen.target, seen.fields, seen.text());
            assert!(!all.contains(text), "{text}: {all}");
        }
    }
}

/// Whether the connection serves other streams.
enum Lives {
    Yes,
    No,
}

/// Holds the first thing that is said to what the row asks for.
async fn refusal(row: &Row, http2: &mut Http2) -> Result<Lives, String> {
    let malformed = matches!(row.answer, Answer::Reset | Answer::ResetOr400 | Answer::Cut(_));
    match (http2.next(1).await, row.answer) {
        (Heard::Reset(PROTOCOL_ERROR), _) if malformed => Ok(Lives::Yes),
        (Heard::Farewell(PROTOCOL_ERROR), _) if malformed => Ok(Lives::No),
        (Heard::Farewell(_), Answer::TooLarge) => Ok(Lives::No),
        (Heard::Head { fields, .. }, answer) => status(row, answer, &fields[0].1),
        (heard, answer) => Err(format!("{heard:?} and not {answer:?}")),
    }
}

fn status(row: &Row, answer: Answer, status: &str) -> Result<Lives, String> {
    let fine = match answer {
        Answer::Reset => false,
        Answer::ResetOr400 => status == "400",
        Answer::Status(wanted, _) => status == wanted.to_string(),
        Answer::TooLarge => status == "431",
        Answer::Cut(_) => matches!(status, "200" | "400"),
    };
    if fine { Ok(Lives::Yes) } else { Err(format!("{status} and not {:?}", row.answer)) }
}

/// Proves that only a stream was refused.
async fn serves(mut http2: Http2, upstream: &mut Upstream, gateway: &Gateway, key: &Key) {
    http2.send(call(3, key)).await;
    assert_eq!(upstream.answer("{}").await.text(), rows::PING);
    assert_eq!(http2.answer(3).await.status, 200);
    upstream.saw_nothing(gateway).await;
}

#[tokio::test]
async fn bytes_that_would_end_a_line_elsewhere_are_refused() {
    all_refused(rows::bytes()).await;
}

#[tokio::test]
async fn a_body_whose_length_is_in_doubt_is_refused() {
    all_refused(rows::framing()).await;
}

#[tokio::test]
async fn pseudo_fields_that_are_in_doubt_are_refused() {
    all_refused(rows::pseudo()).await;
}

#[tokio::test]
async fn an_authority_that_is_in_doubt_is_refused() {
    all_refused(rows::hosts()).await;
}

#[tokio::test]
async fn what_is_too_large_or_not_spoken_is_refused() {
    all_refused(rows::sizes()).await;
}

#[tokio::test]
async fn row_h36_trailers_end_here_whatever_they_say() {
    for name in ["content-length", "x-forwarded-for", "transfer-encodin"] {
        let (mut upstream, gateway, key) = boot("").await;
        let mut http2 = gateway.http2().await;
        let fields = rows::with_key(&rows::post(&[]), key.text());
        let trailers = frames::block(&[(name.into(), "3".into())]);
        let bytes = [
            frames::head(1, false, &frames::block(&fields)),
            frames::data(1, false, rows::PING.as_bytes()),
            frames::head(1, true, &trailers),
        ];
        http2.send(bytes.concat()).await;
        let seen = upstream.answer("{}").await;
        assert_eq!(seen.text(), rows::PING);
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.field("content-length"), Some(rows::PING.len().to_string().as_str()));
        assert_eq!(http2.answer(1).await.status, 200);
        upstream.saw_nothing(&gateway).await;
    }
}

/// What a refusal says in HTTP/1.1, it says here.
#[tokio::test]
async fn a_refusal_with_a_status_has_its_reason() {
    let (_upstream, gateway, key) = boot("").await;
    let mut http2 = gateway.http2().await;
    let mut stream = 1;
    for row in rows::sizes() {
        if let Answer::Status(status, reason) = row.answer {
            let fields = frames::block(&rows::with_key(&row.fields, key.text()));
            http2.send(frames::head(stream, true, &fields)).await;
            http2.answer(stream).await.refused(status, reason);
            stream += 2;
        }
    }
    assert!(stream > 1, "a row has a status");
}

#[tokio::test]
async fn a_host_of_another_route_is_421() {
    let upstream = Upstream::start().await;
    let setup = crate::harness::Setup::new(&upstream).tls();
    let gateway = setup.route("hosts = [\"gateway.test\"]").start();
    let mut http2 = gateway.http2().await;
    let mut fields = rows::get(&[]);
    fields[2].1 = b"other.test".to_vec();
    http2.send(super::request(1, &fields, None, &Key::new())).await;
    http2.answer(1).await.refused(421, "host");
}
