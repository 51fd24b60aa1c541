//! The server behind the proxies: a fixed JSON answer to each call, an event stream to each GET, and
//! under `/files/` a large body down or up.

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

use crate::{Outcome, body};

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

impl State {
    /// Before the answer: the client compares once it has it.
    fn count(&self) {
        self.calls.fetch_add(1, Relaxed);
    }
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

/// What a request wants.
enum Wanted {
    Stream,
    /// An answer to a call whose body is that long.
    Answer(usize),
    Download,
    /// Somebody who takes a body of that length.
    Upload(usize),
}

/// Takes a head off what was read, where one is whole.
fn next_request(read: &mut BytesMut) -> Outcome<Option<Wanted>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(end) = head.parse(read)? else { return Ok(None) };
    let is_file = head.path.is_some_and(|path| path.starts_with("/files/"));
    let length = head.headers.iter().find(|f| f.name.eq_ignore_ascii_case("content-length"));
    let length = length.map(|field| Outcome::Ok(str::from_utf8(field.value)?.parse()?));
    let wanted = match (head.method, is_file) {
        (Some("GET"), false) => Wanted::Stream,
        (Some("GET"), true) => Wanted::Download,
        (_, false) => Wanted::Answer(length.ok_or("no Content-Length")??),
        (_, true) => Wanted::Upload(length.ok_or("no Content-Length")??),
    };
    read.advance(end);
    Ok(Some(wanted))
}

async fn serve(mut socket: TcpStream, state: Arc<State>) -> Outcome<()> {
    socket.set_nodelay(true)?;
    let answer = json(ANSWER);
    let mut read = BytesMut::with_capacity(4096);
    loop {
        match next_request(&mut read)? {
            None => {
                if socket.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            }
            Some(Wanted::Stream) => return keep_stream(socket, &state).await,
            Some(Wanted::Answer(length)) => {
                while read.len() < length {
                    if socket.read_buf(&mut read).await? == 0 {
                        return Ok(());
                    }
                }
                read.advance(length);
                state.count();
                socket.write_all(answer.as_bytes()).await?;
            }
            Some(Wanted::Download) => {
                state.count();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body::BYTES);
                socket.write_all(head.as_bytes()).await?;
                body::send(&mut socket).await?;
            }
            Some(Wanted::Upload(length)) => {
                let begun = read.split_to(read.len().min(length));
                let came = body::receive(&mut socket, &begun, length).await?;
                state.count();
                socket.write_all(json(&came.to_string()).as_bytes()).await?;
            }
        }
    }
}

/// Begins a stream, and leaves it to the schedule.
async fn keep_stream(mut socket: TcpStream, state: &State) -> Outcome<()> {
    let first = "event: endpoint\ndata: /mcp/x/messages\n\n";
    let first = format!("{STREAM_HEAD}{:x}\r\n{first}\r\n", first.len());
    socket.write_all(first.as_bytes()).await?;
    let socket = socket.into_std()?;
    state.streams.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    Ok(())
}

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
