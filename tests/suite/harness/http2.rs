use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use fluke_hpack::Decoder;
use portcullis::wire::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Gateway, Pair, sinks::Received, within};
use crate::http2::frames::{self, Frame};

/// The stream of what is about the whole connection.
const CONNECTION: u32 = 0;

/// A connection to the gateway that speaks HTTP/2, and frames on it. It acknowledges settings and
/// pings, as every client does, and nothing else.
pub(crate) struct Http2 {
    transport: Transport,
    buffer: Vec<u8>,
    decoder: Decoder<'static>,
    /// Heard and not yet asked for, by stream.
    heard: HashMap<u32, VecDeque<Heard>>,
    received: Arc<Received>,
}

/// What the gateway said on a stream, or of the whole connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Head {
        fields: Vec<(String, String)>,
        ended: bool,
    },
    Data {
        bytes: Vec<u8>,
        ended: bool,
    },
    /// `RST_STREAM`, with its code.
    Reset(u32),
    /// `GOAWAY`, with its code.
    Farewell(u32),
    /// `PING` with `ACK`.
    Pong,
    /// The connection is over.
    Closed,
}

impl Gateway {
    /// A connection that has been greeted, with settings that say nothing.
    pub(crate) async fn http2(&self) -> Http2 {
        self.http2_with(&[]).await
    }

    /// A connection that has been greeted with these settings.
    pub(crate) async fn http2_with(&self, settings: &[(u16, u32)]) -> Http2 {
        let mut http2 = self.http2_ungreeted().await;
        http2.send([frames::PREFACE, &frames::settings(settings)].concat()).await;
        http2
    }

    /// A connection on which HTTP/2 was agreed, and nothing said.
    pub(crate) async fn http2_ungreeted(&self) -> Http2 {
        self.http2_on(self.tls_transport(&[b"h2"]).await)
    }

    /// A connection that has been greeted, of who shows this certificate.
    pub(crate) async fn http2_as(&self, shown: &Pair) -> Http2 {
        let mut http2 = self.http2_on(self.tls_transport_as(shown, &[b"h2"]).await);
        http2.send([frames::PREFACE, &frames::settings(&[])].concat()).await;
        http2
    }

    fn http2_on(&self, transport: Transport) -> Http2 {
        Http2 {
            transport,
            buffer: Vec::new(),
            decoder: Decoder::new(),
            heard: HashMap::new(),
            received: Arc::clone(self.received()),
        }
    }
}

impl Http2 {
    /// Sends bytes as they are. A gateway that has ended takes none; what it said before tells.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("the gateway takes bytes", self.transport.write_all(bytes.as_ref())).await;
        let _ = self.transport.flush().await;
    }

    /// The next thing that is said on a stream, or of the whole connection where that comes first.
    pub(crate) async fn next(&mut self, stream: u32) -> Heard {
        loop {
            for of in [stream, CONNECTION] {
                if let Some(heard) = self.heard.get_mut(&of).and_then(VecDeque::pop_front) {
                    return heard;
                }
            }
            self.hear().await;
        }
    }

    /// The next thing that is said on a stream.
    pub(crate) async fn next_on(&mut self, stream: u32) -> Heard {
        while self.heard.get(&stream).is_none_or(VecDeque::is_empty) {
            assert!(!self.is_over(), "the connection ended before stream {stream}");
            self.hear().await;
        }
        self.heard.get_mut(&stream).and_then(VecDeque::pop_front).unwrap()
    }

    /// The whole answer on a stream.
    pub(crate) async fn answer(&mut self, stream: u32) -> Answer {
        let (mut answer, mut ended) = self.head(stream).await;
        while !ended {
            match self.next(stream).await {
                Heard::Data { bytes, ended: last } => {
                    answer.body.extend_from_slice(&bytes);
                    ended = last;
                }
                // A drain says goodbye and ends what is under way.
                Heard::Farewell(0) => {}
                heard => panic!("{heard:?} inside an answer: {answer:?}"),
            }
        }
        if answer.is_refusal() {
            let fields = format!("{:?}", answer.fields).into_bytes();
            self.received.note_refusal([fields, answer.body.clone()].concat());
        }
        answer
    }

    /// The head of the answer on a stream, informational ones passed over, and whether it is all.
    pub(crate) async fn head(&mut self, stream: u32) -> (Answer, bool) {
        loop {
            match self.next(stream).await {
                Heard::Head { fields, ended } => {
                    let answer = as_answer(fields);
                    if answer.status >= 200 {
                        return (answer, ended);
                    }
                }
                Heard::Farewell(0) => {}
                heard => panic!("no answer on stream {stream}: {heard:?}"),
            }
        }
    }

    /// Waits until the gateway says goodbye, and gives its code. What it says on streams is kept.
    pub(crate) async fn farewell(&mut self) -> u32 {
        loop {
            match self.next(CONNECTION).await {
                Heard::Farewell(code) => return code,
                Heard::Closed => panic!("the gateway closed without GOAWAY"),
                Heard::Pong => {}
                heard => panic!("of a whole connection: {heard:?}"),
            }
        }
    }

    /// Waits until the connection is over.
    pub(crate) async fn is_closed(&mut self) {
        while !self.is_over() {
            self.hear().await;
        }
    }

    fn is_over(&self) -> bool {
        self.heard.get(&CONNECTION).is_some_and(|heard| heard.contains(&Heard::Closed))
    }

    /// Reads until one more thing is heard.
    async fn hear(&mut self) {
        loop {
            let Some(frame) = self.frame().await else {
                self.heard.entry(CONNECTION).or_default().push_back(Heard::Closed);
                return;
            };
            if let Some(heard) = self.read(&frame).await {
                self.heard.entry(frame.stream).or_default().push_back(heard);
                return;
            }
        }
    }

    /// `None` for what needs no answer and says nothing to a test.
    async fn read(&mut self, frame: &Frame) -> Option<Heard> {
        let ended = frame.has(frames::END_STREAM);
        match frame.kind {
            frames::DATA => Some(Heard::Data { bytes: frame.payload.clone(), ended }),
            frames::HEADERS => Some(Heard::Head { fields: self.fields(frame).await, ended }),
            frames::RST_STREAM => Some(Heard::Reset(frame.code())),
            frames::GOAWAY => Some(Heard::Farewell(frame.code())),
            frames::PING if frame.has(frames::ACK) => Some(Heard::Pong),
            frames::SETTINGS if !frame.has(frames::ACK) => {
                self.send(frames::frame(frames::SETTINGS, frames::ACK, 0, &[])).await;
                None
            }
            frames::PING => {
                self.send(frames::frame(frames::PING, frames::ACK, 0, &frame.payload)).await;
                None
            }
            frames::PUSH_PROMISE => panic!("the gateway pushes"),
            _ => None,
        }
    }

    async fn fields(&mut self, first: &Frame) -> Vec<(String, String)> {
        let mut block = first.block().to_vec();
        let mut whole = first.has(frames::END_HEADERS);
        while !whole {
            let next = self.frame().await.expect("the gateway closed inside a head");
            assert_eq!((next.kind, next.stream), (frames::CONTINUATION, first.stream));
            block.extend_from_slice(&next.payload);
            whole = next.has(frames::END_HEADERS);
        }
        let fields = self.decoder.decode(&block).expect("a field block");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let fields: Vec<_> = fields.into_iter().map(|(n, v)| (text(n), text(v))).collect();
        self.received.note(format!("{fields:?}").as_bytes());
        fields
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Some(frame);
            }
            let mut bytes = vec![0; 16 * 1024];
            let read = within("the gateway sends something", self.transport.read(&mut bytes));
            // However it ends; what it said before tells.
            let bytes = read.await.ok().and_then(|count| bytes.get(..count)).unwrap_or_default();
            self.received.note(bytes);
            self.buffer.extend_from_slice(bytes);
            if bytes.is_empty() {
                return None;
            }
        }
    }
}

fn as_answer(mut fields: Vec<(String, String)>) -> Answer {
    assert_eq!(fields[0].0, ":status", "{fields:?}");
    let status = fields.remove(0).1.parse().unwrap();
    for (name, _) in &fields {
        assert!(!name.starts_with(':') && *name == name.to_ascii_lowercase(), "{fields:?}");
    }
    Answer { status, fields, body: Vec::new(), informational: Vec::new() }
}
