//! `portcullis ban`: who is banned by the gateway that runs.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;

use super::{
    printed::{Printed, shown_time},
    run::fail,
    socket::{SocketArguments, asked},
};
use crate::{
    admin::{Ask, BanAnswer, BanRequest, BansAnswer},
    config,
    types::Method,
};

/// What is done with bans.
#[derive(Subcommand)]
pub(super) enum BanCommand {
    /// All that hold now: a table on a terminal, a JSON object a line else.
    List {
        #[command(flatten)]
        socket: SocketArguments,
    },
    /// Ban an address or a net, for a while or until it is lifted.
    Add {
        /// An address or a net: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32.
        net: String,
        /// How long: 30m, 12h. Left out: until it is lifted.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<String>,
        #[command(flatten)]
        socket: SocketArguments,
    },
    /// Lift the ban of exactly this address or net, whoever banned it.
    Lift {
        /// An address or a net, as the list shows it.
        net: String,
        #[command(flatten)]
        socket: SocketArguments,
    },
}

/// Exit code 1 where the gateway can't be asked or refuses, with the reason on standard error.
pub(super) fn run(command: &BanCommand) -> ExitCode {
    let mut out = Printed::stdout();
    match answer(command, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn answer(command: &BanCommand, out: &mut Printed<impl Write>) -> Result<(), Box<dyn Error>> {
    match command {
        BanCommand::List { socket } => {
            let ask = Ask { method: Method::Get, path: "/bans", body: None };
            let BansAnswer { bans } = asked(socket, &ask)?;
            out.bans(&bans)?;
        }
        BanCommand::Add { net, lasts, socket } => {
            // Here too, so that a slip is told without a gateway.
            let net = config::net(net)?.to_string();
            if let Some(lasts) = lasts {
                config::ban_length(lasts)?;
            }
            let body = serde_json::to_vec(&BanRequest { net, lasts: lasts.clone() })?;
            let ask = Ask { method: Method::Post, path: "/bans", body: Some(&body) };
            out.bans(&[asked::<BanAnswer>(socket, &ask)?])?;
        }
        BanCommand::Lift { net, socket } => {
            // Its text is digits, dots, colons and one slash.
            let net = config::net(net)?.to_string();
            let path = format!("/bans/{}", net.replace('/', "%2F"));
            let ask = Ask { method: Method::Delete, path: &path, body: None };
            let lifted: serde_json::Value = asked(socket, &ask)?;
            out.lifted(&lifted)?;
        }
    }
    Ok(())
}

impl<W: Write> Printed<W> {
    fn bans(&mut self, bans: &[BanAnswer]) -> io::Result<()> {
        if !self.eyes {
            return self.lines(bans);
        }
        if bans.is_empty() {
            return writeln!(self.out, "Nobody is banned.");
        }
        let head = ["NET", "UNTIL", "LEFT", "STRIKES", "CAUSE"].map(str::to_owned);
        let row = |ban: &BanAnswer| {
            let until = ban.until.clone().unwrap_or_else(|| "lifted".to_owned());
            let left = ban.left_seconds.map_or_else(|| "-".to_owned(), shown_time);
            [ban.net.clone(), until, left, ban.strikes.to_string(), ban.cause.clone()]
        };
        let rows: Vec<_> = std::iter::once(head).chain(bans.iter().map(row)).collect();
        self.table(&rows)
    }

    fn lifted(&mut self, lifted: &serde_json::Value) -> io::Result<()> {
        if self.eyes {
            let net = lifted.get("net").and_then(serde_json::Value::as_str);
            return writeln!(self.out, "{} is no longer banned.", net.unwrap_or("It"));
        }
        writeln!(self.out, "{lifted}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bans() -> [BanAnswer; 2] {
        let ban = |net: &str, left: Option<u64>, cause: &str| BanAnswer {
            net: net.to_owned(),
            until: left.map(|_| "2026-11-25T17:30:00Z".to_owned()),
            left_seconds: left,
            strikes: 2,
            cause: cause.to_owned(),
        };
        [ban("192.0.2.7", Some(90), "wrong_keys"), ban("2001:db8:ffff:ffff::/64", None, "operator")]
    }

    fn printed(eyes: bool, bans: &[BanAnswer]) -> String {
        let mut printed = Printed { out: Vec::new(), eyes };
        printed.bans(bans).unwrap();
        String::from_utf8(printed.out).unwrap()
    }

    #[test]
    fn eyes_get_a_table_and_programs_an_object_a_line() {
        let table = "\
NET                      UNTIL                 LEFT    STRIKES  CAUSE
192.0.2.7                2026-11-25T17:30:00Z  1m 30s  2        wrong_keys
2001:db8:ffff:ffff::/64  lifted                -       2        operator
";
        assert_eq!(printed(true, &bans()), table);
        assert_eq!(printed(true, &[]), "Nobody is banned.\n");
        assert_eq!(printed(false, &[]), "");
        let lines = printed(false, &bans());
        let nets = lines.lines().map(|line| serde_json::from_str::<BanAnswer>(line).unwrap().net);
        assert_eq!(nets.collect::<Vec<_>>(), ["192.0.2.7", "2001:db8:ffff:ffff::/64"]);
    }
}
