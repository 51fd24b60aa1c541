//! The server behind: a stream with a timed event now and then, and an answer to each call.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{Outcome, meter::Meter};

/// Between two events of a stream.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn start(meter: Arc<Meter>) -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let meter = Arc::clone(&meter);
            tokio::spawn(async move {
                let _ = serve(socket, &meter).await;
            });
        }
    });
    Ok(address)
}

async fn serve(mut socket: TcpStream, meter: &Meter) -> Outcome<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = std::str::from_utf8(buffer.get(..end).unwrap_or_default())?.to_owned();
        if head.starts_with("GET ") {
            return stream(socket, meter).await;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = end + length.unwrap_or("0").parse::<usize>()?;
        while buffer.len() < whole {
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..whole);
        let body = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await?;
    }
}

async fn stream(mut socket: TcpStream, meter: &Meter) -> Outcome<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n";
    socket.write_all(head.as_bytes()).await?;
    loop {
        tokio::time::sleep(EVERY).await;
        let event = format!("data: {:020}\n\n", meter.elapsed().as_nanos());
        socket.write_all(event.as_bytes()).await?;
    }
}
