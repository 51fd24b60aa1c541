use std::{
    error::Error,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use tokio::{net::TcpListener, runtime::Runtime};

use super::run::{fail, start};
use crate::{
    config,
    demo::{Stage, postiz, script},
    gateway::{Gateway, Stop},
    types::Secret,
};

/// `portcullis demo`: the gateway on loopback, before an embedded MCP server. Ctrl-C ends it.
pub(super) fn run() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn show() -> Result<(), Box<dyn Error>> {
    // The upstream has a runtime of its own, as it would have a process of its own.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let stage = Stage::prepare(listener.local_addr()?)?;
    serve_upstream(&runtime, listener, &stage.key);
    let loaded = config::load(&stage.config_path, &config::process_environment);
    let gateway = start(loaded.snapshot.ok_or("the demo's configuration has a problem")?)?;
    let text = script(&stage, address(&gateway, "https")?, address(&gateway, "admin")?);
    io::stdout().write_all(text.as_bytes())?;
    gateway.run(Stop::Signals);
    runtime.shutdown_background();
    Ok(stage.remove()?)
}

fn serve_upstream(runtime: &Runtime, listener: TcpListener, key: &Secret) {
    let key = key.expose().to_owned();
    runtime.spawn(async move { postiz::serve(listener, key, std::future::pending()).await });
}

fn address(gateway: &Gateway, name: &str) -> Result<SocketAddr, String> {
    let mut addresses = gateway.addresses().iter();
    let found = addresses.find(|(listener, _)| listener.as_str() == name);
    found.map(|(_, address)| *address).ok_or_else(|| format!("the demo has no listener `{name}`"))
}
