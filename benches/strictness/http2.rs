//! HTTP/2, as raw frames over TLS.

use std::net::SocketAddr;

use fluke_hpack::Decoder;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    Outcome,
    cases::{Case, KEY, Must, Protocol},
    http1::PATIENCE,
    trust::Trust,
};

#[allow(dead_code, reason = "the suite uses the rest")]
#[path = "../../tests/suite/http2/frames.rs"]
mod frames;
#[allow(dead_code, reason = "the suite uses the rest")]
#[path = "../../tests/suite/http2/rows.rs"]
mod rows;

use frames::Frame;
use rows::Answer;

pub(crate) fn cases() -> Vec<Case> {
    let rows = [rows::bytes(), rows::framing(), rows::pseudo(), rows::hosts(), rows::sizes()];
    let mut cases: Vec<Case> = rows.into_iter().flatten().map(case).collect();
    cases.sort_by_key(|case| case.number);
    cases
}

fn case(row: rows::Row) -> Case {
    let (strict, must) = match row.answer {
        Answer::Reset => ("RST/GOAWAY".to_owned(), Must::Refuse),
        Answer::ResetOr400 => ("RST/400".to_owned(), Must::Refuse),
        Answer::Cut(text) => ("RST/400, cut".to_owned(), Must::Withhold(text)),
        Answer::Status(status, _) => (status.to_string(), Must::Refuse),
        Answer::TooLarge => ("431/GOAWAY".to_owned(), Must::Refuse),
    };
    let bytes = [frames::PREFACE, &frames::settings(&[]), &row.frames(KEY)].concat();
    let rows::Row { number, what, .. } = row;
    Case { number, what, strict, must, protocol: Protocol::Http2, bytes }
}

/// Sends frames on a fresh connection, and says what was answered.
pub(crate) async fn ask(peer: SocketAddr, bytes: &[u8], trust: &Trust) -> Outcome<String> {
    let socket = TcpStream::connect(peer).await?;
    let tls = trust.connect(socket).await?;
    let (mut reader, mut writer) = tokio::io::split(tls);
    let mut said = Said { said: Vec::new(), read: Vec::new(), decoder: Decoder::new() };
    let send = async {
        let _ = writer.write_all(bytes).await;
        let _ = writer.flush().await;
        std::future::pending::<()>().await;
    };
    let heard = tokio::select! {
        () = send => Ok(()),
        heard = time::timeout(PATIENCE, said.hear(&mut reader)) => heard,
    };
    Ok(match (said.said.is_empty(), heard) {
        (false, _) => said.said.join(","),
        (true, Ok(())) => "close".to_owned(),
        (true, Err(_)) => "wait".to_owned(),
    })
}

/// What was answered so far.
struct Said {
    said: Vec<String>,
    read: Vec<u8>,
    decoder: Decoder<'static>,
}

impl Said {
    /// Until the stream or the connection is over.
    async fn hear(&mut self, from: &mut (impl AsyncRead + Unpin)) {
        let mut over = false;
        loop {
            while let Some(frame) = Frame::take(&mut self.read) {
                over |= self.understand(&frame);
            }
            // What came along with the end was said with it.
            if over || matches!(from.read_buf(&mut self.read).await, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    /// Whether it ends the stream.
    fn understand(&mut self, frame: &Frame) -> bool {
        match frame.kind {
            frames::HEADERS => {
                let status = self.status(frame.block());
                self.said.extend(status);
                frame.has(frames::END_STREAM)
            }
            frames::DATA => frame.has(frames::END_STREAM),
            frames::RST_STREAM => {
                self.said.push(format!("R{}", frame.code()));
                true
            }
            frames::GOAWAY if frame.code() != 0 => {
                self.said.push(format!("GA{}", frame.code()));
                true
            }
            _ => false,
        }
    }

    fn status(&mut self, block: &[u8]) -> Option<String> {
        let fields = self.decoder.decode(block).ok()?;
        let (_, status) = fields.into_iter().find(|(name, _)| name == b":status")?;
        String::from_utf8(status).ok()
    }
}
