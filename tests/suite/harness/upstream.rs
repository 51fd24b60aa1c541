use std::{
    net::SocketAddr,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{Call, Gateway, tool_call, within};

/// The upstream, whose end the test holds: it waits for the next request and then answers it.
pub(crate) struct Upstream {
    address: SocketAddr,
    requests: mpsc::UnboundedReceiver<Result<Request, String>>,
    seen: Arc<Record>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What reached the upstream so far.
#[derive(Default)]
pub(super) struct Record {
    accepted: AtomicUsize,
    /// Connections that carried a request.
    used: AtomicUsize,
    bytes: Mutex<Vec<u8>>,
}

impl Record {
    /// Every byte of every request.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names as sent, in order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// The value of a field that stands at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A request that waits for its answer. Dropped without one, it hangs up.
pub(crate) struct Request {
    seen: Seen,
    socket: TcpStream,
    back: oneshot::Sender<TcpStream>,
}

impl Deref for Request {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0").await
    }

    /// An upstream on another address of this machine.
    pub(crate) async fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let seen = Arc::new(Record::default());
        let record = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            // Closed with it, as the connections of a process are.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let index = record.accepted.fetch_add(1, Ordering::SeqCst);
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(socket, index, sender.clone(), Arc::clone(&record)));
            }
        });
        Self { address, requests, seen, accepting }
    }

    /// Goes away: nothing listens there any more, and connections that carry no request are closed.
    pub(crate) async fn leave(self) -> SocketAddr {
        self.accepting.abort();
        let _ = self.accepting.await;
        self.address
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.seen)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Request {
        let next = within("a request reaches the upstream", self.requests.recv()).await;
        next.unwrap().unwrap_or_else(|fault| panic!("the upstream can't read a request: {fault}"))
    }

    /// Answers the next request with 200 and a JSON body, and says what it was.
    pub(crate) async fn answer(&mut self, body: &str) -> Seen {
        self.next().await.respond(200, &[("content-type", "application/json")], body).await
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// Holds the gateway to having sent nothing since the last request that was taken: neither a
    /// request nor a connection.
    pub(crate) async fn saw_nothing(&mut self, gateway: &Gateway) {
        let saw = self.saw(gateway).await;
        assert!(saw.is_empty(), "the upstream saw {saw:?}");
    }

    /// What the gateway sent since the last request that was taken, answered by now. A marker that is
    /// sent here arrives last.
    pub(crate) async fn saw(&mut self, gateway: &Gateway) -> Vec<Seen> {
        let (call, target) = gateway.marker();
        let mut client = gateway.client().await;
        client.send(&call).await;
        let mut saw = Vec::new();
        loop {
            let next = self.answer("{}").await;
            if next.target == target {
                break;
            }
            saw.push(next);
        }
        client.answer().await;
        let used = self.seen.used.load(Ordering::SeqCst);
        assert_eq!(self.connections(), used, "a connection was made and not used");
        saw
    }

    /// Holds the gateway to never having connected. For set-ups that no marker passes; weaker,
    /// because something may be on its way.
    pub(crate) fn untouched(&mut self) {
        assert_eq!(self.connections(), 0, "the upstream was connected to");
        assert!(self.requests.try_recv().is_err(), "the upstream saw a request");
    }
}

impl Request {
    /// Answers, and keeps the connection for another request.
    pub(crate) async fn respond(
        mut self,
        status: u16,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Seen {
        let body = body.as_ref();
        let mut bytes = head(status, fields);
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        self.raw(&bytes).await;
        self.keep()
    }

    /// Sends bytes as they are. What follows is for the test to decide.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("the gateway takes an answer", self.socket.write_all(bytes.as_ref())).await;
    }

    /// The answer is whole: the connection may carry another request.
    pub(crate) fn keep(self) -> Seen {
        let _ = self.back.send(self.socket);
        self.seen
    }

    /// Answers 200 with an event stream in chunks.
    pub(crate) async fn stream(mut self, fields: &[(&str, &str)]) -> Streaming {
        let mut bytes = head(200, &[("content-type", "text/event-stream")]);
        for (name, value) in fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        self.raw(&bytes).await;
        Streaming { request: self }
    }

    /// Closes without another byte.
    pub(crate) fn hang_up(self) {}

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Waits until the gateway has gone from this connection.
    pub(crate) async fn is_abandoned(&mut self) {
        let mut bytes = [0; 1024];
        let read = within("the gateway leaves the upstream", self.socket.read(&mut bytes)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "the gateway sent more: {read:?}");
    }
}

/// An event stream under way.
pub(crate) struct Streaming {
    request: Request,
}

impl Deref for Streaming {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.request.seen
    }
}

impl Streaming {
    /// Sends text as one chunk.
    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let mut chunk = format!("{:x}\r\n", text.len()).into_bytes();
        chunk.extend_from_slice(text);
        chunk.extend_from_slice(b"\r\n");
        self.raw(&chunk).await;
    }

    /// Sends an event.
    pub(crate) async fn event(&mut self, name: &str, data: &str) {
        self.send(format!("event: {name}\ndata: {data}\n\n")).await;
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.request.raw(bytes).await;
    }

    /// Ends the stream, and keeps the connection.
    pub(crate) async fn finish(mut self) -> Seen {
        self.raw(b"0\r\n\r\n").await;
        self.request.keep()
    }

    /// Closes in the middle.
    pub(crate) fn hang_up(self) {
        self.request.hang_up();
    }

    /// Closes in the middle with a reset.
    pub(crate) fn reset(self) {
        self.request.reset();
    }

    /// Waits until the gateway has gone from the stream.
    pub(crate) async fn is_abandoned(&mut self) {
        self.request.is_abandoned().await;
    }
}

fn head(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

/// One connection: request after request, each lent to the test with the socket.
async fn serve(
    mut socket: TcpStream,
    index: usize,
    requests: mpsc::UnboundedSender<Result<Request, String>>,
    record: Arc<Record>,
) {
    let mut buffer = Vec::new();
    let mut first = true;
    loop {
        let seen = match read(&mut socket, &mut buffer, &record).await {
            Ok(Some(seen)) => Seen { connection: index, ..seen },
            Ok(None) => return,
            Err(fault) => {
                let _ = requests.send(Err(fault));
                return;
            }
        };
        if std::mem::take(&mut first) {
            record.used.fetch_add(1, Ordering::SeqCst);
        }
        let (back, returned) = oneshot::channel();
        if requests.send(Ok(Request { seen, socket, back })).is_err() {
            return;
        }
        let Ok(returned) = returned.await else { return };
        socket = returned;
    }
}

/// Reads one request; `None` where the gateway closed between two.
async fn read(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    record: &Record,
) -> Result<Option<Seen>, String> {
    let end = loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if !fill(socket, buffer, record).await {
            return if buffer.is_empty() { Ok(None) } else { Err("half a head".to_owned()) };
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let mut seen = parse(&head)?;
    let length = match (seen.field("content-length"), seen.field("transfer-encoding")) {
        (Some(length), None) => length.parse().map_err(|_| "a bad length".to_owned())?,
        (None, None) => 0,
        _ => return Err("a body that is not announced by its length alone".to_owned()),
    };
    while buffer.len() < length {
        if !fill(socket, buffer, record).await {
            return Err("half a body".to_owned());
        }
    }
    seen.body = buffer.drain(..length).collect();
    Ok(Some(seen))
}

async fn fill(socket: &mut TcpStream, buffer: &mut Vec<u8>, record: &Record) -> bool {
    let before = buffer.len();
    let filled = socket.read_buf(buffer).await.is_ok_and(|count| count > 0);
    record
        .bytes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend_from_slice(&buffer[before..]);
    filled
}

fn parse(head: &[u8]) -> Result<Seen, String> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).map_err(|error| error.to_string())?;
    let text = |value: &[u8]| value.iter().map(|byte| char::from(*byte)).collect::<String>();
    let read = |field: &httparse::Header<'_>| (field.name.to_owned(), text(field.value));
    Ok(Seen {
        method: request.method.unwrap().to_owned(),
        target: request.path.unwrap().to_owned(),
        fields: request.headers.iter().map(read).collect(),
        body: Vec::new(),
        connection: 0,
    })
}

impl Gateway {
    /// A call that always passes, and its target upstream. No GET: not every server takes one.
    fn marker(&self) -> (Call, &'static str) {
        (self.marked(Call::new("DELETE", "/api/marker")), "/marker")
    }

    /// A call that always passes, which is told apart by its target upstream: `/marker/NAME`.
    pub(crate) fn passing(&self, name: &str) -> Call {
        self.marked(Call::post(&format!("/api/marker/{name}"), &tool_call(1)))
    }

    /// Sends a call that has to pass, answers it with `{}`, and says what reached the upstream.
    pub(crate) async fn pass(&self, upstream: &mut Upstream, call: &Call) -> Seen {
        let mut client = self.client().await;
        client.send(call).await;
        let seen = upstream.answer("{}").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (200, "{}"));
        seen
    }
}
