//! `portcullis revoke`, `unrevoke` and `revocations`: keys that count no more at the gateway that runs,
//! whatever its configuration says.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    printed::Printed,
    run::fail,
    socket::{SocketArguments, asked},
};
use crate::{
    admin::{Ask, RevocationAnswer, RevocationsAnswer, RevokeRequest, RevokedAnswer},
    types::{Method, Name},
};

/// Whose keys are meant.
#[derive(Args)]
pub(super) struct ConsumerArguments {
    /// The consumer's name.
    name: String,
    #[command(flatten)]
    socket: SocketArguments,
}

/// Exit code 1 where the gateway can't be asked or refuses, with the reason on standard error.
pub(super) fn revoke(ConsumerArguments { name, socket }: &ConsumerArguments) -> ExitCode {
    finish(named(name).and_then(|name| {
        let body = serde_json::to_vec(&RevokeRequest { consumer: name })?;
        let ask = Ask { method: Method::Post, path: "/revocations", body: Some(&body) };
        told(&asked(socket, &ask)?)
    }))
}

/// The same.
pub(super) fn unrevoke(ConsumerArguments { name, socket }: &ConsumerArguments) -> ExitCode {
    finish(named(name).and_then(|name| {
        // Its text is letters, digits and what a path has anyway.
        let path = format!("/revocations/{name}");
        let ask = Ask { method: Method::Delete, path: &path, body: None };
        told(&asked(socket, &ask)?)
    }))
}

/// The same.
pub(super) fn list(socket: &SocketArguments) -> ExitCode {
    let ask = Ask { method: Method::Get, path: "/revocations", body: None };
    let listed = asked(socket, &ask).and_then(|answer| {
        let RevocationsAnswer { revocations } = answer;
        Ok(Printed::stdout().revocations(&revocations)?)
    });
    finish(listed)
}

fn finish(done: Result<(), Box<dyn Error>>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

/// What can't be a name isn't repeated: it may be the key itself.
fn named(name: &str) -> Result<String, Box<dyn Error>> {
    let name = Name::parse(name).ok_or("what is revoked is a consumer, by its name")?;
    Ok(name.to_string())
}

/// What was done; a failure where it won't outlast the gateway, though it should.
fn told(answer: &RevokedAnswer) -> Result<(), Box<dyn Error>> {
    Printed::stdout().revoked(answer)?;
    if answer.kept || !answer.state {
        return Ok(());
    }
    Err("it counts, but it isn't in the state directory: it would be over with the next restart. The \
         gateway's log says why, and it goes on trying; ask again"
        .into())
}

impl<W: Write> Printed<W> {
    fn revoked(&mut self, answer: &RevokedAnswer) -> io::Result<()> {
        if !self.eyes {
            return self.lines(std::slice::from_ref(answer));
        }
        let RevokedAnswer { consumer, revoked, ended, state, .. } = answer;
        let until = if *state { "" } else { " Without [state]: until the gateway ends." };
        if *revoked {
            writeln!(self.out, "{consumer} is revoked; {ended} ended.{until}")
        } else {
            writeln!(self.out, "{consumer} is no longer revoked.{until}")
        }
    }

    fn revocations(&mut self, revocations: &[RevocationAnswer]) -> io::Result<()> {
        if !self.eyes {
            return self.lines(revocations);
        }
        if revocations.is_empty() {
            return writeln!(self.out, "Nobody is revoked.");
        }
        let head = ["CONSUMER", "SINCE", "KEYS"].map(str::to_owned);
        let row = |one: &RevocationAnswer| {
            [one.consumer.clone(), one.since.clone(), one.keys.to_string()]
        };
        let rows: Vec<_> = std::iter::once(head).chain(revocations.iter().map(row)).collect();
        self.table(&rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_to_eyes_in_a_sentence() {
        let told = |revoked, state| {
            let mut out = Printed { out: Vec::new(), eyes: true };
            let consumer = "claude".to_owned();
            out.revoked(&RevokedAnswer { consumer, revoked, ended: 2, kept: state, state })
                .unwrap();
            String::from_utf8(out.out).unwrap()
        };
        assert_eq!(told(true, true), "claude is revoked; 2 ended.\n");
        assert!(told(true, false).contains("until the gateway ends"));
        assert_eq!(told(false, true), "claude is no longer revoked.\n");
    }

    #[test]
    fn what_is_not_kept_though_it_should_be_is_a_failure() {
        let answer = |kept, state| RevokedAnswer {
            consumer: "claude".to_owned(),
            revoked: true,
            ended: 0,
            kept,
            state,
        };
        assert!(told(&answer(true, true)).is_ok() && told(&answer(false, false)).is_ok());
        assert!(told(&answer(false, true)).unwrap_err().to_string().contains("restart"));
    }

    #[test]
    fn what_is_no_name_is_not_repeated() {
        let error = named("k e y").unwrap_err().to_string();
        assert!(!error.contains("k e y"), "{error}");
    }
}
