//! Who says what it has to say, or reads what it asked for, a few bytes at a time: own sockets from
//! many addresses, and slowhttptest with its thousands from one.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};

use crate::siege::{
    Outcome,
    door::{HOST, INSIDERS_KEY},
    field::Field,
    wire::post_head,
};

/// From so many addresses.
const ADDRESSES: u32 = 250;
/// Connections that slowhttptest has.
const ITS_CONNECTIONS: u32 = 4000;

/// What slow sockets say: first this, then that at each tick.
#[derive(Clone)]
struct Slowly {
    opening: String,
    again: &'static str,
    /// Whether it takes next to nothing of an answer.
    is_narrow: bool,
}

pub(super) async fn heads(field: &Arc<Field>) -> Outcome<()> {
    let opening = post_head(INSIDERS_KEY, "");
    let slowly = Slowly { opening, again: "X-More: 1\r\n", is_narrow: false };
    let url = format!("http://{}/mcp", field.door.http);
    let its = ["-H", "-u", &url];
    tokio::try_join!(sockets(field, slowly), slowhttptest(field, &its))?;
    Ok(())
}

pub(super) async fn bodies(field: &Arc<Field>) -> Outcome<()> {
    let opening = format!("{}Content-Length: 4096\r\n\r\n{{", post_head(INSIDERS_KEY, ""));
    let slowly = Slowly { opening, again: " ", is_narrow: false };
    let url = format!("http://{}/mcp/{INSIDERS_KEY}", field.door.http);
    let its = ["-B", "-t", "POST", "-f", "application/json", "-s", "8192", "-u", &url];
    tokio::try_join!(sockets(field, slowly), slowhttptest(field, &its))?;
    Ok(())
}

pub(super) async fn readers(field: &Arc<Field>) -> Outcome<()> {
    let opening = format!("GET /files/large HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let slowly = Slowly { opening, again: "", is_narrow: true };
    let url = format!("http://{}/files/large", field.door.http);
    let its = ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-u", &url];
    tokio::try_join!(sockets(field, slowly), slowhttptest(field, &its))?;
    Ok(())
}

/// Holds as many as the attack has; for each that is cut there is a new one. Never returns.
async fn sockets(field: &Arc<Field>, slowly: Slowly) -> Outcome<()> {
    let mut holding = JoinSet::new();
    for _ in 0..field.force.sockets {
        let (field, slowly) = (Arc::clone(field), slowly.clone());
        holding.spawn(async move {
            loop {
                let _ = hold(&field, &slowly).await;
                field.was_cut();
                time::sleep(Duration::from_millis(50)).await;
            }
        });
        time::sleep(Duration::from_millis(1)).await;
    }
    match holding.join_next().await {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn hold(field: &Field, slowly: &Slowly) -> Outcome<()> {
    let from = field.address(ADDRESSES);
    let mut socket: TcpStream = match slowly.is_narrow {
        true => field.door.narrow(from).await?,
        false => field.door.clear(from).await?,
    };
    field.connected();
    socket.write_all(slowly.opening.as_bytes()).await?;
    field.did(1);
    let mut few = [0; 5];
    loop {
        if slowly.is_narrow {
            time::sleep(field.force.pace).await;
            if socket.read(&mut few).await? == 0 {
                return Ok(());
            }
        } else {
            match time::timeout(field.force.pace, socket.read(&mut few)).await {
                Ok(Ok(0) | Err(_)) => return Ok(()),
                Ok(Ok(_)) => {}
                Err(_) => socket.write_all(slowly.again.as_bytes()).await?,
            }
        }
        field.did(1);
    }
}

/// A started program; it ends when this is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it for the round, if the siege has it, and counts what it says that it had open.
async fn slowhttptest(field: &Field, arguments: &[&str]) -> Outcome<()> {
    if !field.force.slowhttptest {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("said");
    let seconds = field.duration().as_secs().saturating_sub(2).max(5).to_string();
    let connections = ITS_CONNECTIONS.to_string();
    let program = Command::new("slowhttptest")
        .args(["-c", &connections, "-r", "500", "-i", "5", "-l", &seconds])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&said)?)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            format!("slowhttptest can't be run ({error}); `make siege` installs it")
        })?;
    let mut program = Program(program);
    let mut counted = 0;
    while program.0.try_wait()?.is_none() {
        time::sleep(Duration::from_millis(500)).await;
        let most = most_open(&fs::read_to_string(&said)?);
        (counted..most).for_each(|_| field.connected());
        counted = counted.max(most);
    }
    Ok(())
}

/// It shows a table again and again, in colours. What it has open now is what counts.
fn most_open(said: &str) -> u32 {
    let open = |line: &str| {
        let (_, number) = line.split_once("connected:")?.1.rsplit_once('m')?;
        number.trim().parse().ok()
    };
    said.lines().filter_map(open).max().unwrap_or(0)
}
