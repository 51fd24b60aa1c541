//! The command line's side of the admin socket: one request, one answer.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::BytesMut;
use http::StatusCode;
use serde::Deserialize;

use super::socket::connect;
use crate::{
    types::Method,
    wire::{
        BodyDecoder, Decoded, HeadLimits, HeadScan, end_head, read_response_head,
        write_content_length, write_field, write_request_line,
    },
};

/// How long the gateway may take for any part of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: a full table of bans is a tenth of it.
const MOST: u64 = 64 << 20;

/// Why the admin socket gives no answer, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There is nothing.
    #[error("{}: there is no socket; is the gateway running, with `[admin] socket`?", .0.display())]
    Absent(PathBuf),
    /// Nobody listens.
    #[error("{}: nobody answers; the gateway that made it has ended", .0.display())]
    Nobody(PathBuf),
    /// Another user's.
    #[error("{}: no permission; ask as the user that the gateway runs as, or as root", .0.display())]
    NotAllowed(PathBuf),
    /// Something else of the system's.
    #[error("{}: {source}", .path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It answers something else than the gateway does.
    #[error("{}: what answers there isn't the gateway", .0.display())]
    Unreadable(PathBuf),
    /// The gateway refuses.
    #[error("{0}")]
    Refused(String),
}

/// What is asked.
pub struct Ask<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: Method,
    /// The path: visible ASCII.
    pub path: &'a str,
    /// The body, where there is one.
    pub body: Option<&'a [u8]>,
}

/// Asks the gateway behind a socket. Gives the body of its answer.
///
/// # Errors
/// Where nobody answers, or what answers refuses.
pub fn ask(socket: &Path, ask: &Ask<'_>) -> Result<Vec<u8>, NoAnswer> {
    ask_within(socket, ask, PATIENCE)
}

/// The same, where any part of it may take so long.
pub(super) fn ask_within(
    socket: &Path,
    ask: &Ask<'_>,
    patience: Duration,
) -> Result<Vec<u8>, NoAnswer> {
    let bytes = exchange(socket, ask, patience).map_err(|source| {
        let path = socket.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => NoAnswer::Absent(path),
            io::ErrorKind::ConnectionRefused => NoAnswer::Nobody(path),
            io::ErrorKind::PermissionDenied => NoAnswer::NotAllowed(path),
            _ => NoAnswer::Failed { path, source },
        }
    })?;
    let answer = read(&bytes, ask.method);
    let (status, body) = answer.ok_or_else(|| NoAnswer::Unreadable(socket.to_owned()))?;
    if status.is_success() { Ok(body) } else { Err(NoAnswer::Refused(refusal(status, &body))) }
}

fn exchange(socket: &Path, ask: &Ask<'_>, patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut request = Vec::new();
    write_request_line(&mut request, ask.method, ask.path.as_bytes());
    write_field(&mut request, "host", b"localhost");
    write_field(&mut request, "connection", b"close");
    let body = ask.body.unwrap_or_default();
    if ask.body.is_some() {
        write_field(&mut request, "content-type", b"application/json");
        write_content_length(&mut request, body.len());
    }
    end_head(&mut request);
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer that is there to its end.
fn read(bytes: &[u8], method: Method) -> Option<(StatusCode, Vec<u8>)> {
    let mut rest = BytesMut::from(bytes);
    let limits = HeadLimits { target: 0, head: 16 << 10, fields: 64 };
    let head = read_response_head(&mut HeadScan::default(), &mut rest, limits, method).ok()??;
    let mut decoder = BodyDecoder::new(head.framing);
    let mut body = Vec::new();
    loop {
        match decoder.decode(&mut rest).ok()? {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::NeedMore => {
                decoder.end_of_input().ok()?;
                break;
            }
            Decoded::Done => break,
        }
    }
    Some((head.status, body))
}

/// What a refusal says.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: Why,
    }
    #[derive(Deserialize)]
    struct Why {
        reason: String,
        message: Option<String>,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { error: Why { message: Some(message), .. } }) => message,
        Ok(Refusal { error: Why { reason, .. } }) => format!("the gateway refuses: {reason}"),
        Err(_) => format!("the gateway answers {status}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const LIST: Ask<'static> = Ask { method: Method::Get, path: "/bans", body: None };

    /// What is said of an answer.
    fn said(answer: &'static str) -> Result<String, String> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let serve = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let count = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(head[..count].to_vec()).unwrap()
        });
        let said = ask(&path, &LIST);
        let asked = serve.join().unwrap();
        assert_eq!(asked, "GET /bans HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        said.map(|body| String::from_utf8(body).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_is_read_whatever_its_framing_and_a_refusal_is_told() {
        for whole in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nok",
        ] {
            assert_eq!(said(whole), Ok("ok".to_owned()));
        }
        for (answer, text) in [
            ("HTTP/1.1 404 x\r\n\r\n{\"error\":{\"reason\":\"r\",\"message\":\"Why.\"}}", "Why."),
            ("HTTP/1.1 404 x\r\n\r\n{\"error\":{\"reason\":\"no_route\"}}", "refuses: no_route"),
            ("HTTP/1.1 500 x\r\n\r\n<html>", "answers 500"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "isn't the gateway"),
            ("SSH-2.0-x\r\n\r\n", "isn't the gateway"),
            ("", "isn't the gateway"),
        ] {
            let error = said(answer).unwrap_err();
            assert!(error.contains(text), "{answer}: {error}");
        }
    }

    #[test]
    fn where_nobody_answers_it_is_said_why() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("s");
        let said = || ask(&path, &LIST).unwrap_err().to_string();
        assert!(said().contains("there is no socket"));
        drop(UnixListener::bind(&path).unwrap());
        assert!(said().contains("nobody answers"));
    }
}
