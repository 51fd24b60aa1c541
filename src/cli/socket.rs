//! The admin socket of the gateway that runs, as commands name it and ask it.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    admin::{self, Ask},
    config,
    types::Method,
};

/// Where the gateway is asked.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct SocketArguments {
    /// The configuration file, which names the admin socket.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The admin socket itself.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Asks the gateway, and reads its answer.
pub(super) fn asked<T: DeserializeOwned>(
    arguments: &SocketArguments,
    ask: &Ask<'_>,
) -> Result<T, Box<dyn Error>> {
    let socket = arguments.path()?;
    let body = admin::ask(&socket, ask)?;
    let other = |_| format!("{}: the gateway is of another version", socket.display());
    let answer = serde_json::from_slice(&body).map_err(other)?;
    let Family { elders } = serde_json::from_slice(&body).unwrap_or_default();
    let failed: Vec<String> = elders.iter().filter_map(Elder::failure).collect();
    match (failed.as_slice(), ask.method) {
        ([], _) => Ok(answer),
        // What the others have is still worth reading.
        (_, Method::Get) => {
            let _ = writeln!(io::stderr(), "warning: {}", failed.join("; "));
            Ok(answer)
        }
        _ => Err(format!(
            "it is done in the process that serves, and not in all older ones: {}; ask again",
            failed.join("; ")
        )
        .into()),
    }
}

/// What the processes said that let their last streams end.
#[derive(Default, Deserialize)]
struct Family {
    #[serde(default)]
    elders: Vec<Elder>,
}

#[derive(Deserialize)]
struct Elder {
    pid: u32,
    error: Option<String>,
    /// Of a reload.
    applied: Option<bool>,
}

impl Elder {
    fn failure(&self) -> Option<String> {
        let refused = || (self.applied == Some(false)).then_some("it refused the configuration");
        let why = self.error.as_deref().or_else(refused)?;
        Some(format!("process {}: {why}", self.pid))
    }
}

impl SocketArguments {
    fn path(&self) -> Result<PathBuf, Box<dyn Error>> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let file = self.config.as_deref().unwrap_or(Path::new(""));
        let socket = config::admin_socket(file)
            .map_err(|problem| format!("{}: {}", file.display(), problem.message))?;
        socket.ok_or_else(|| {
            let text = "no admin socket; add to [admin]: socket = \"/run/portcullis/admin.sock\"";
            format!("{}: {text}", file.display()).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_process_did_not_do_is_told() {
        let told = |text: &str| {
            let Family { elders } = serde_json::from_str(text).unwrap();
            elders.iter().filter_map(Elder::failure).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(told("{\"ended\":1}"), "");
        assert_eq!(told("{\"elders\":[{\"pid\":7,\"ended\":1},{\"pid\":8,\"applied\":true}]}"), "");
        let refused = "{\"elders\":[{\"pid\":7,\"error\":\"no.\"},{\"pid\":8,\"applied\":false}]}";
        assert_eq!(told(refused), "process 7: no.; process 8: it refused the configuration");
    }
}
