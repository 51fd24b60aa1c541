//! HTTP/1.1, as raw bytes in clear.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    Outcome,
    cases::{Case, Must, Protocol},
};

#[allow(dead_code, reason = "the suite uses the rest")]
#[path = "../../tests/suite/strict/passing.rs"]
mod passing;
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the suite uses the rest, and may panic"
)]
#[path = "../../tests/suite/strict/rows.rs"]
mod rows;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1300);

pub(crate) fn cases() -> Vec<Case> {
    let refused = [rows::framing(), rows::lines(), rows::hosts(), rows::targets(), rows::chunks()];
    let refused = refused.into_iter().flatten().map(|row| Case {
        number: row.number,
        what: row.what,
        strict: format!("{} close", row.status),
        must: unless_cleaned(row.number),
        protocol: Protocol::Http1 { answers: 1 },
        bytes: row.bytes,
    });
    let passing = passing::all().into_iter().map(|row| {
        let (strict, must) = fate(row.number);
        let protocol = Protocol::Http1 { answers: answers(row.number) };
        Case {
            number: row.number,
            what: row.what,
            strict: strict.to_owned(),
            must,
            protocol,
            bytes: row.bytes,
        }
    });
    let mut cases: Vec<Case> = refused.chain(passing).collect();
    cases.sort_by_key(|case| case.number.split(',').next().and_then(|n| n.parse::<u32>().ok()));
    cases
}

/// Rows that Portcullis refuses and that may as well pass cleaned: slashes are merged, a later minor
/// version is 1.1 (RFC 9110 2.5), `Connection` doesn't take Host away.
fn unless_cleaned(number: &str) -> Must {
    match number {
        "54" => Must::Withhold("get //"),
        "66" => Must::Pass,
        "104" => Must::Keep("host:"),
        _ => Must::Refuse,
    }
}

/// What has to become of a row that isn't simply refused.
fn fate(number: &str) -> (&'static str, Must) {
    match number {
        "18" | "71" => ("pass", Must::Pass),
        "34" | "106" => ("pass or 400", Must::Pass),
        "85" => ("drop", Must::Withhold("content-length: 3")),
        "86" => ("drop", Must::Withhold("192.0.2.1")),
        "95" => ("strip", Must::Withhold("expect:")),
        "98" | "99" => ("strip", Must::Withhold("upgrade:")),
        "100" => ("drain", Must::Requests(2)),
        "101" => ("405 or drain", Must::Requests(1)),
        "103" => ("one answer", Must::Requests(1)),
        "105" => ("overwrite", Must::Withhold("192.0.2.1")),
        "107" => ("408", Must::Requests(0)),
        _ => ("405", Must::Refuse),
    }
}

/// How many answers a row may get.
fn answers(number: &str) -> usize {
    if matches!(number, "99" | "100" | "103") { 2 } else { 1 }
}

/// Sends bytes on a fresh connection, and says what was answered.
pub(crate) async fn ask(peer: SocketAddr, bytes: &[u8], answers: usize) -> Outcome<String> {
    let mut socket = TcpStream::connect(peer).await?;
    let (mut reader, mut writer) = socket.split();
    let mut said = Said::default();
    let send = async {
        // A peer that has refused may have closed already; its answer tells.
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let heard = tokio::select! {
        () = send => Ok(()),
        heard = time::timeout(PATIENCE, said.hear(&mut reader, bytes, answers)) => heard,
    };
    Ok(match (said.statuses.is_empty(), heard) {
        (false, _) => said.statuses.join(","),
        (true, Ok(())) if said.read.is_empty() => "close".to_owned(),
        (true, Ok(())) => "0.9".to_owned(),
        (true, Err(_)) => "wait".to_owned(),
    })
}

/// What was answered so far.
#[derive(Default)]
struct Said {
    statuses: Vec<String>,
    finals: usize,
    /// Read and not yet understood.
    read: Vec<u8>,
}

impl Said {
    /// Until so many final answers came, or the end.
    async fn hear(&mut self, from: &mut (impl AsyncRead + Unpin), asked: &[u8], answers: usize) {
        while self.finals < answers {
            if self.understand(asked.starts_with(b"HEAD ")).is_none() {
                match from.read_buf(&mut self.read).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        }
    }

    /// Takes one answer off what was read, where one is whole.
    fn understand(&mut self, to_head: bool) -> Option<()> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(end) = head.parse(&self.read).ok()? else { return None };
        let status = head.code?;
        let rest = self.read.get(end..)?;
        let length = if status < 200 || to_head { 0 } else { length(head.headers, rest)? };
        self.statuses.push(status.to_string());
        self.finals += usize::from(status >= 200 || status == 101);
        self.read.drain(..end + length);
        Some(())
    }
}

/// How much of what follows a head is its body, where all of it is there.
fn length(fields: &[httparse::Header<'_>], rest: &[u8]) -> Option<usize> {
    let field = |name: &str| {
        let found = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(found.value).ok()
    };
    if field("transfer-encoding").is_some() {
        return Some(memchr::memmem::find(rest, b"0\r\n\r\n")? + 5);
    }
    match field("content-length") {
        Some(length) => length.parse().ok().filter(|length| rest.len() >= *length),
        // To the end of the connection: what was read of it will do.
        None => Some(rest.len()),
    }
}
