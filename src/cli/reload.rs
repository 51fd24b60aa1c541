//! `portcullis reload`: the gateway that runs reads its configuration again.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use super::{
    run::fail,
    socket::{SocketArguments, asked},
};
use crate::{
    admin::{Ask, ReloadAnswer},
    types::Method,
};

/// Exit code 1 where the gateway can't be asked or refuses, with every problem on standard error.
pub(super) fn run(socket: &SocketArguments) -> ExitCode {
    match reload(socket) {
        Ok(applied) => {
            if applied {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => fail(&*error),
    }
}

fn reload(socket: &SocketArguments) -> Result<bool, Box<dyn Error>> {
    let ask = Ask { method: Method::Post, path: "/reload", body: None };
    let ReloadAnswer { applied, problems } = asked(socket, &ask)?;
    io::stderr().write_all(problems.as_bytes())?;
    match applied {
        true => writeln!(io::stdout(), "The configuration is in force.")?,
        false => writeln!(io::stderr(), "Refused: the old configuration stays in force.")?,
    }
    Ok(applied)
}
