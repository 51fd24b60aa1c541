//! A site over HTTP/2: bodies stream both ways, and one that was cut never looks whole.

use std::{future::Future, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::{
    CANCEL, NO_ERROR,
    frames::{self, Field, data, head, reset},
    rows,
};
use crate::harness::{Gateway, Setup, Upstream};

/// A site whose bytes the test reads and writes itself.
async fn boot() -> (TcpListener, Gateway, Upstream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::start().await;
    let site = listener.local_addr().unwrap();
    let setup = Setup::new(&upstream).tls().routes(
        "[[routes]]\nname = \"site\"\nkind = \"web\"\nupstream = \"site\"\npaths = [\"/\"]\n\
         hosts = [\"gateway.test\"]\n",
    );
    let setup = setup.also(&format!("[upstreams.site]\nendpoints = [\"http://{site}\"]"));
    (listener, setup.start(), upstream)
}

/// A POST to the site with these fields.
fn upload(more: &[(&str, &str)]) -> Vec<Field> {
    let mut fields = rows::post(more);
    fields[3].1 = b"/upload".to_vec();
    fields
}

async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(Duration::from_secs(10), happening).await;
    happened.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Reads until the text is there, and gives all of it.
async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while memchr::memmem::find(&read, text.as_bytes()).is_none() {
        let count = soon(text, socket.read_buf(&mut read)).await.unwrap();
        assert!(count > 0, "ended before {text}: {}", read.escape_ascii());
    }
    String::from_utf8(read).unwrap()
}

/// RFC 9113 8.2.3: for HTTP/1.1 the crumbs are one field again.
#[tokio::test]
async fn the_crumbs_of_a_cookie_are_put_together() {
    let (site, gateway, _upstream) = boot().await;
    let mut http2 = gateway.http2().await;
    let fields = rows::get(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2")]);
    let mut fields = rows::with_key(&fields, "x");
    fields[3].1 = b"/page?q=1".to_vec();
    http2.send(head(1, true, &frames::block(&fields))).await;
    let (mut socket, _) = soon("a connection", site.accept()).await.unwrap();
    let seen = read_until(&mut socket, "\r\n\r\n").await;
    assert!(seen.starts_with("GET /page?q=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\ncookie: a=1; b=2\r\n"), "{seen}");
    assert_eq!(
        seen.to_ascii_lowercase().matches("\r\nhost: gateway.test\r\n").count(),
        1,
        "{seen}"
    );
}

/// As a chunk, the empty frame that ends many uploads would be an end of its own, and the real one
/// behind it the beginning of another request.
#[tokio::test]
async fn an_empty_frame_ends_an_upload_once() {
    let (site, gateway, _upstream) = boot().await;
    let mut http2 = gateway.http2().await;
    http2.send(head(1, false, &frames::block(&upload(&[])))).await;
    http2.send([data(1, false, b"hello"), data(1, false, b""), data(1, true, b"")].concat()).await;
    let (mut socket, _) = soon("a connection", site.accept()).await.unwrap();
    let sent = read_until(&mut socket, "0\r\n\r\n").await;
    assert!(sent.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{sent}");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await.unwrap();
    assert_eq!(http2.answer(1).await.text(), "ok");
    let mut page = rows::with_key(&rows::get(&[]), "x");
    page[3].1 = b"/next".to_vec();
    http2.send(head(3, true, &frames::block(&page))).await;
    let next = read_until(&mut socket, "\r\n\r\n").await;
    assert!(next.starts_with("GET /next HTTP/1.1\r\n"), "{next}");
}

#[tokio::test]
async fn an_upload_streams_with_its_length_or_in_chunks() {
    for more in [&[][..], &[("content-length", "9")]] {
        let (site, gateway, _upstream) = boot().await;
        let mut http2 = gateway.http2().await;
        http2.send(head(1, false, &frames::block(&upload(more)))).await;
        http2.send(data(1, false, b"12345")).await;
        let (mut socket, _) = soon("a connection", site.accept()).await.unwrap();
        let begun = read_until(&mut socket, "12345").await;
        let field =
            if more.is_empty() { "transfer-encoding: chunked" } else { "content-length: 9" };
        assert!(begun.to_ascii_lowercase().contains(field), "{begun}");
        http2.send(data(1, true, b"6789")).await;
        let rest =
            read_until(&mut socket, if more.is_empty() { "0\r\n\r\n" } else { "6789" }).await;
        assert!(rest.contains("6789"), "{rest}");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await.unwrap();
        assert_eq!(http2.answer(1).await.text(), "ok");
    }
}

/// Half an upload is on its way when the rest turns out to be none: the site must not take it for
/// whole, and nothing else may be sent behind it.
#[tokio::test]
async fn an_upload_that_is_cut_never_looks_whole() {
    let trailers =
        |name: &str, value: &str| head(1, true, &frames::block(&[(name.into(), value.into())]));
    let length = &[("content-length", "9")][..];
    let cuts = [
        ("an end before its length", length, data(1, true, b"56")),
        ("more than its length", length, data(1, true, b"567890")),
        ("trailers before its length", length, trailers("x", "1")),
        ("a reset", length, reset(1, CANCEL)),
        ("a reset without an error", length, reset(1, NO_ERROR)),
        ("a reset in chunks", &[], reset(1, CANCEL)),
        ("a reset without an error in chunks", &[], reset(1, NO_ERROR)),
        ("trailers of a connection", &[], trailers("connection", "close")),
        ("trailers with CR LF", &[], trailers("x", "a\r\nb: c")),
        ("trailers with a name in upper case", &[], trailers("X-A", "b")),
        ("trailers that don't end", &[], head(1, false, &frames::block(&[]))),
        ("an error of the connection", &[], frames::window_update(0, 0)),
    ];
    for (what, more, cut) in cuts {
        let (site, gateway, _upstream) = boot().await;
        let mut http2 = gateway.http2().await;
        http2.send(head(1, false, &frames::block(&upload(more)))).await;
        http2.send(data(1, false, b"1234")).await;
        let (mut socket, _) = soon(what, site.accept()).await.unwrap();
        read_until(&mut socket, "1234").await;
        http2.send(cut).await;
        let mut rest = Vec::new();
        // However it ends.
        let _ = soon(what, socket.read_to_end(&mut rest)).await;
        let rest = rest.escape_ascii().to_string();
        assert!(!rest.contains(r"0\r\n\r\n"), "{what}: {rest}");
        assert!(rest.len() < 5, "{what}: {rest}");
    }
}

/// Pages are larger than windows.
#[tokio::test]
async fn a_download_larger_than_a_window_comes_whole() {
    let (site, gateway, _upstream) = boot().await;
    let page = "0123456789abcdef".repeat(64 * 1024);
    let sent = page.clone();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = site.accept().await.unwrap();
        read_until(&mut socket, "\r\n\r\n").await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{sent}", sent.len());
        tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
        socket
    });
    let client = super::friendly::Friendly::connect(&gateway).await;
    let got = soon("the page", client.page("/page")).await;
    assert!(got == page, "{} bytes of {}", got.len(), page.len());
    client.leave().await;
    drop(serving);
}
