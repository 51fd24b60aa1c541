//! The admin socket of the gateway that runs, as commands name it and ask it.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::de::DeserializeOwned;

use crate::{
    admin::{self, Ask},
    config,
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
    serde_json::from_slice(&body)
        .map_err(|_| format!("{}: the gateway is of another version", socket.display()).into())
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
