//! `portcullis status` and `portcullis kill`: what is under way at the gateway that runs, and its end.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    printed::{Printed, shown_time},
    run::fail,
    socket::{SocketArguments, asked},
};
use crate::{
    admin::{Ask, KillAnswer, KillRequest, LiveAnswer, StatusAnswer},
    types::{Method, Untrusted},
};

/// What is to end.
#[derive(Args)]
pub(super) struct KillArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    socket: SocketArguments,
}

/// Which of it.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// All that came with a key: of this consumer, or shown in the log as fp:XXXXXXXX.
    #[arg(long, value_name = "NAME|fp:XXXXXXXX")]
    key: Option<String>,
    /// All that came from an address or a net.
    #[arg(long, value_name = "NET")]
    address: Option<String>,
    /// All of a session: its id as the client has it, or its fingerprint.
    #[arg(long, value_name = "ID|fp:XXXXXXXX")]
    session: Option<String>,
    /// A single one, by the id that the status and the log have.
    #[arg(long, value_name = "ID")]
    stream: Option<String>,
    /// All there is.
    #[arg(long)]
    all: bool,
}

impl Which {
    fn request(&self) -> KillRequest {
        let of = |text: &Option<String>, make: fn(String) -> KillRequest| text.clone().map(make);
        of(&self.key, KillRequest::Key)
            .or_else(|| of(&self.address, KillRequest::Address))
            .or_else(|| of(&self.session, KillRequest::Session))
            .or_else(|| of(&self.stream, KillRequest::Stream))
            .unwrap_or(KillRequest::All(true))
    }
}

/// Exit code 1 where the gateway can't be asked, with the reason on standard error.
pub(super) fn run(socket: &SocketArguments) -> ExitCode {
    match list(socket, &mut Printed::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn list(socket: &SocketArguments, out: &mut Printed<impl Write>) -> Result<(), Box<dyn Error>> {
    let ask = Ask { method: Method::Get, path: "/status", body: None };
    let StatusAnswer { live } = asked(socket, &ask)?;
    Ok(out.live(&live)?)
}

/// The same, and where nothing was ended.
pub(super) fn kill(arguments: &KillArguments) -> ExitCode {
    match end(arguments, &mut Printed::stdout()) {
        Ok(0) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn end(
    KillArguments { which, socket }: &KillArguments,
    out: &mut Printed<impl Write>,
) -> Result<u64, Box<dyn Error>> {
    let body = serde_json::to_vec(&which.request())?;
    let ask = Ask { method: Method::Post, path: "/kill", body: Some(&body) };
    let answer: KillAnswer = asked(socket, &ask)?;
    if out.eyes {
        writeln!(out.out, "{} ended.", answer.ended)?;
    } else {
        out.lines(std::slice::from_ref(&answer))?;
    }
    Ok(answer.ended)
}

impl<W: Write> Printed<W> {
    fn live(&mut self, live: &[LiveAnswer]) -> io::Result<()> {
        if !self.eyes {
            return self.lines(live);
        }
        let head = [
            "STREAM", "KIND", "ROUTE", "CONSUMER", "CLIENT", "KEY", "SESSION", "AGE", "EVENTS",
            "BYTES", "LAST", "CALLS",
        ];
        let rows = std::iter::once(head.map(str::to_owned)).chain(live.iter().map(row));
        if !live.is_empty() {
            self.table(&rows.collect::<Vec<_>>())?;
        }
        let of = |kind: &str| live.iter().filter(|one| one.kind == kind).count();
        let (streams, requests, tunnels) = (of("stream"), of("request"), of("tunnel"));
        writeln!(
            self.out,
            "{} under way: streams {streams}, requests {requests}, tunnels {tunnels}.",
            live.len()
        )
    }
}

fn row(one: &LiveAnswer) -> [String; 12] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    // A client's names go to a terminal.
    let tools = Untrusted::new(&one.tools.join(", ")).to_string();
    [
        one.stream.clone(),
        one.kind.clone(),
        one.route.clone(),
        or_none(&one.consumer),
        one.client.clone(),
        or_none(&one.key),
        or_none(&one.session),
        time(one.age_seconds),
        one.events.to_string(),
        one.bytes.to_string(),
        one.last_event_seconds.map_or_else(|| "-".to_owned(), time),
        if tools.is_empty() { or_none(&one.mcp_method) } else { tools },
    ]
}

fn time(seconds: f64) -> String {
    let time = std::time::Duration::try_from_secs_f64(seconds);
    shown_time(time.map_or(0, |time| time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(kind: &str, consumer: Option<&str>, tools: &[&str]) -> LiveAnswer {
        LiveAnswer {
            stream: "0123456789abcdef".to_owned(),
            kind: kind.to_owned(),
            route: "mcp".to_owned(),
            consumer: consumer.map(str::to_owned),
            client: "192.0.2.7".to_owned(),
            key: Some("fp:01234567".to_owned()),
            session: None,
            mcp_method: Some("tools/call".to_owned()),
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            age_seconds: 90.5,
            events: 3,
            bytes: 1200,
            last_event_seconds: (kind == "stream").then_some(4.2),
        }
    }

    fn printed(eyes: bool, live: &[LiveAnswer]) -> String {
        let mut printed = Printed { out: Vec::new(), eyes };
        printed.live(live).unwrap();
        String::from_utf8(printed.out).unwrap()
    }

    #[test]
    fn eyes_get_a_table_with_a_sum_and_programs_an_object_a_line() {
        let live = [one("stream", Some("claude"), &["post\u{1b}[31m"]), one("request", None, &[])];
        let table = "\
STREAM            KIND     ROUTE  CONSUMER  CLIENT     KEY          SESSION  AGE     EVENTS  BYTES  LAST  CALLS
0123456789abcdef  stream   mcp    claude    192.0.2.7  fp:01234567  -        1m 30s  3       1200   4s    post?[31m
0123456789abcdef  request  mcp    -         192.0.2.7  fp:01234567  -        1m 30s  3       1200   -     tools/call
2 under way: streams 1, requests 1, tunnels 0.
";
        assert_eq!(printed(true, &live), table);
        assert_eq!(printed(true, &[]), "0 under way: streams 0, requests 0, tunnels 0.\n");
        assert_eq!(printed(false, &[]), "");
        let lines = printed(false, &live);
        let read = lines.lines().map(|line| serde_json::from_str::<LiveAnswer>(line).unwrap());
        assert_eq!(read.map(|one| one.kind).collect::<Vec<_>>(), ["stream", "request"]);
    }
}
