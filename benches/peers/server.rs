//! The server behind the proxies: a fixed JSON answer to each POST, an event stream to each GET.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::Outcome;

/// What every call is answered.
pub(crate) const ANSWER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"#,
    r#""{\"output\":[{\"id\":\"cm0\",\"name\":\"a channel\",\"identifier\":\"linkedin\"}]}"}],"#,
    r#""isError":false}}"#
);
/// What every stream begins with.
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache, no-transform\r\nTransfer-Encoding: chunked\r\n\r\n";
/// One clock for the events' stamps and for those who read them.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since this program began to look at the clock.
pub(crate) fn now() -> Duration {
    EPOCH.elapsed()
}

/// The server; it listens as long as the program runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    calls: AtomicU32,
    streams: Mutex<Vec<std::net::TcpStream>>,
}

impl Server {
    pub(crate) async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::<State>::default();
        let of_loop = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A connection that breaks is missed by the client that waits for its answer.
                tokio::spawn(serve(socket, Arc::clone(&of_loop)));
            }
        });
        Ok(Self { address, state })
    }

    /// Calls answered since this was asked last.
    pub(crate) fn take_calls(&self) -> u32 {
        self.state.calls.swap(0, Relaxed)
    }

    /// Sends events for `length`, one a second to each open stream, evenly spread and whether or not
    /// anybody keeps up. Gives how many were sent.
    pub(crate) async fn send_events(&self, length: Duration) -> Outcome<u32> {
        let (done, sent) = oneshot::channel();
        let state = Arc::clone(&self.state);
        // A thread of its own: the schedule must not wait for the tasks that read.
        thread::spawn(move || done.send(send_on_schedule(&state, length)));
        sent.await?
    }

    /// Ends all streams.
    pub(crate) fn end_streams(&self) {
        self.state.streams.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn send_on_schedule(state: &State, length: Duration) -> Outcome<u32> {
    let mut streams = state.streams.lock().unwrap_or_else(PoisonError::into_inner);
    let count = u32::try_from(streams.len())?;
    let gap = Duration::from_secs(1) / count;
    let (begin, mut sent) = (Instant::now(), 0_u32);
    loop {
        for stream in &mut *streams {
            let due = gap * sent;
            if due >= length {
                return Ok(sent);
            }
            thread::sleep(due.saturating_sub(begin.elapsed()));
            stream.write_all(event(now()).as_bytes())?;
            sent += 1;
        }
    }
}

/// One event of about 200 bytes that says when it was sent, framed as one chunk.
fn event(stamp: Duration) -> String {
    let text = "a post was published on one of the channels of the organization, at last";
    let data = format!(
        "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\
         \"params\":{{\"level\":\"info\",\"data\":\"{text}\",\"at\":\"{:020}\"}}}}\n\n",
        stamp.as_nanos()
    );
    format!("{:x}\r\n{data}\r\n", data.len())
}

async fn serve(mut socket: TcpStream, state: Arc<State>) -> Outcome<()> {
    socket.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let mut read = BytesMut::with_capacity(4096);
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(end) = head.parse(&read)? else {
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        if head.method == Some("GET") {
            let first = "event: endpoint\ndata: /mcp/x/messages\n\n";
            let first = format!("{STREAM_HEAD}{:x}\r\n{first}\r\n", first.len());
            socket.write_all(first.as_bytes()).await?;
            let socket = socket.into_std()?;
            state.streams.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            return Ok(());
        }
        let length = head.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
        let length: usize = str::from_utf8(length.ok_or("no Content-Length")?.value)?.parse()?;
        read.advance(end);
        while read.len() < length {
            if socket.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.advance(length);
        state.calls.fetch_add(1, Relaxed);
        socket.write_all(answer.as_bytes()).await?;
    }
}
