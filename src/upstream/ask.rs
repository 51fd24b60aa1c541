use std::{io, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Server, Unreachable, instance::Instance};
use crate::{
    snapshot::Endpoint,
    types::Method,
    wire::{
        BodyDecoder, Connection, Decoded, Fields, NoAnswer, ResponseHead, Transport, end_head,
        next_response_head, write_content_length, write_field, write_request_line,
    },
};

const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// A request of the gateway's own, on behalf of no client.
pub struct Question<'q> {
    /// The method.
    pub method: Method,
    /// Path and query, visible ASCII. It may hold a key.
    pub path: &'q [u8],
    /// Fields beside those of every question, their names in lower case. They may hold a key.
    pub fields: &'q [(&'q str, &'q [u8])],
    /// The body, if the method has one.
    pub body: Option<&'q [u8]>,
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the beginning of the connection to the end of the body.
    pub time: Duration,
    /// The largest body that is kept, in bytes.
    pub body: usize,
}

/// The answer to a question. It may hold anything, so it is never shown.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// What is left of the fields when framing and hop-by-hop are gone.
    pub fields: Fields,
    /// The body, as far as the bounds let it come.
    pub body: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Reply {
    /// Whether the body is of a media type, whatever its parameters.
    pub fn is_of(&self, essence: &str) -> bool {
        self.fields.media_type() == essence.as_bytes()
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The gateway itself has no descriptor for it: nobody was asked.
    #[error("the gateway has no descriptor left")]
    NoRoom,
    /// No connection could be made.
    #[error("it can't be reached")]
    Unreachable,
    /// No head came within the bounds.
    #[error("it doesn't answer in time")]
    Late,
    /// The server ended before its answer did.
    #[error("it ended before it answered")]
    Gone,
    /// What came isn't HTTP, or could be read in two ways.
    #[error("its answer can't be read")]
    Unreadable,
}

impl Server {
    /// Asks one endpoint a question, on a connection that carries nothing else: no exchange of a client
    /// is ever behind it.
    ///
    /// # Errors
    /// Where no answer came within the bounds. A body that goes on is cut instead: some streams never
    /// end, and their beginning tells enough.
    pub async fn ask(
        &self,
        endpoint: &Endpoint,
        question: &Question<'_>,
        bounds: Bounds,
    ) -> Result<Reply, NoReply> {
        let until = Instant::now() + bounds.time;
        let connect = async {
            let instance = self.at(endpoint).ok_or(Unreachable::Lost)?;
            self.connect_anew(instance, bounds.time).await
        };
        let answered =
            Box::pin(timeout_at(until, answer(connect, endpoint, question, bounds.time)));
        let (mut connection, head) = answered.await.unwrap_or(Err(NoReply::Late))?;
        let mut reply =
            Reply { status: head.status, fields: head.fields, body: Bytes::new(), whole: false };
        let mut decoder = BodyDecoder::new(head.framing);
        let mut body = Vec::new();
        loop {
            match decoder.decode(connection.buffer()).map_err(|_| NoReply::Unreadable)? {
                Decoded::Data(data) => {
                    let room = bounds.body.saturating_sub(body.len());
                    body.extend_from_slice(data.get(..room).unwrap_or(&data));
                    if data.len() > room {
                        break;
                    }
                }
                Decoded::NeedMore => match timeout_at(until, connection.fill()).await {
                    Ok(Ok(0)) if decoder.end_of_input().is_ok() => {}
                    Ok(Ok(0) | Err(_)) => return Err(NoReply::Gone),
                    Ok(Ok(_)) => {}
                    Err(_) => break,
                },
                Decoded::Done => {
                    reply.whole = true;
                    break;
                }
            }
        }
        reply.body = body.into();
        Ok(reply)
    }

    /// The status of an endpoint's answer. How the connection was made says nothing more of it than
    /// the answer does.
    pub(super) async fn ask_whether_well(
        &self,
        instance: &Instance,
        question: &Question<'_>,
        patience: Duration,
    ) -> Result<StatusCode, NoReply> {
        let connect = async { instance.open(patience).await.map(Connection::new) };
        let answered = answer(connect, &instance.endpoint, question, patience);
        let answered = Box::pin(timeout(patience, answered)).await;
        answered.unwrap_or(Err(NoReply::Late)).map(|(_, head)| head.status)
    }
}

/// Sends the question and waits for the head of its answer.
async fn answer(
    connect: impl Future<Output = Result<Connection<Transport>, Unreachable>>,
    endpoint: &Endpoint,
    question: &Question<'_>,
    patience: Duration,
) -> Result<(Connection<Transport>, ResponseHead), NoReply> {
    let connected = connect.await;
    let mut connection = connected.map_err(|why| match why {
        Unreachable::NoRoom => NoReply::NoRoom,
        Unreachable::Refused | Unreachable::Late | Unreachable::Lost => NoReply::Unreachable,
    })?;
    let written = connection.write_all(&written(endpoint, question), patience).await;
    if written.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        return Err(NoReply::Late);
    }
    // Where it couldn't be written, an early answer may be there all the same.
    let wanted = (question.method, patience);
    match next_response_head(&mut connection, wanted, None).await {
        Ok(head) => Ok((connection, head)),
        Err(NoAnswer::Gone) => Err(NoReply::Gone),
        Err(NoAnswer::Late) => Err(NoReply::Late),
        Err(NoAnswer::Unreadable(_) | NoAnswer::Unasked) => Err(NoReply::Unreadable),
    }
}

fn written(endpoint: &Endpoint, question: &Question<'_>) -> Vec<u8> {
    let Question { method, path, fields, body } = *question;
    let mut out = Vec::with_capacity(512);
    write_request_line(&mut out, method, path);
    write_field(&mut out, "host", endpoint.authority.as_bytes());
    write_field(&mut out, "user-agent", USER_AGENT.as_bytes());
    write_field(&mut out, "accept", b"application/json, text/event-stream");
    write_field(&mut out, "connection", b"close");
    for (name, value) in fields {
        write_field(&mut out, name, value);
    }
    if let Some(body) = body {
        write_content_length(&mut out, body.len());
    }
    end_head(&mut out);
    out.extend_from_slice(body.unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::upstream::tests::server_at;

    const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), body: 8 };
    const GET: Question<'_> =
        Question { method: Method::Get, path: b"/a?b=1", fields: &[], body: None };

    /// What is asked, and what comes of the answer. The server ends where its script does, or hangs
    /// where that ends in dots.
    async fn ask(question: &Question<'_>, script: &str) -> (String, Result<Reply, NoReply>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = server_at(listener.local_addr().unwrap());
        let (script, hangs) =
            script.strip_suffix("...").map_or((script, false), |before| (before, true));
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let count = socket.read(&mut asked).await.unwrap();
            asked.truncate(count);
            socket.write_all(script.as_bytes()).await.unwrap();
            let open: Option<TcpStream> = hangs.then_some(socket);
            (String::from_utf8(asked).unwrap(), open)
        };
        let time = if hangs { Duration::from_millis(500) } else { BOUNDS.time };
        let asking =
            server.ask(server.upstream.endpoints.first(), question, Bounds { time, ..BOUNDS });
        let (reply, (asked, _open)) = tokio::join!(asking, serve);
        (asked, reply)
    }

    #[tokio::test]
    async fn a_question_says_who_asks_and_has_its_own_fields_and_body() {
        let question = Question {
            method: Method::Post,
            fields: &[("content-type", b"application/json")],
            body: Some(b"{}"),
            ..GET
        };
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: Application/JSON; charset=utf-8\r\n\
                      content-length: 2\r\n\r\n[]";
        let (asked, reply) = ask(&question, answer).await;
        let (line, fields) = asked.split_once("\r\n").unwrap();
        assert_eq!(line, "POST /a?b=1 HTTP/1.1");
        let host = fields.strip_prefix("host: 127.0.0.1:").unwrap();
        let (_, rest) = host.split_once("\r\n").unwrap();
        assert_eq!(
            rest,
            format!(
                "user-agent: {USER_AGENT}\r\naccept: application/json, text/event-stream\r\n\
                 connection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
            )
        );
        let reply = reply.unwrap();
        assert_eq!((reply.status, &*reply.body, reply.whole), (StatusCode::OK, &b"[]"[..], true));
        assert!(reply.is_of("application/json") && !reply.is_of("text/html"));
    }

    #[tokio::test]
    async fn a_body_is_kept_within_bounds_of_size_and_time() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for (answer, body, whole) in [
            ("HTTP/1.1 404 No\r\ncontent-length: 8\r\n\r\n12345678", "12345678", true),
            ("HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n123456789", "12345678", false),
            ("HTTP/1.1 200 OK\r\n\r\n1234", "1234", true),
            ("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "", true),
            (&format!("{chunked}4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n"), "12345678", true),
            (&format!("{chunked}3\r\n...\r\n..."), "...", false),
        ] {
            let reply = ask(&GET, answer).await.1.unwrap();
            assert_eq!((&*reply.body, reply.whole), (body.as_bytes(), whole), "{answer}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_told_apart_from_a_bad_one() {
        for (answer, why) in [
            ("", NoReply::Gone),
            ("HTTP/1.1 200 OK\r\n...", NoReply::Late),
            ("SSH-2.0-x\r\n", NoReply::Unreadable),
            ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", NoReply::Unreadable),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n1", NoReply::Gone),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx", NoReply::Unreadable),
        ] {
            assert_eq!(ask(&GET, answer).await.1.err(), Some(why), "{answer}");
        }
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let server = server_at(gone);
        let reply = server.ask(server.upstream.endpoints.first(), &GET, BOUNDS).await;
        assert_eq!(reply.err(), Some(NoReply::Unreachable));
    }
}
