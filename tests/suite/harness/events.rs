use super::{Answer, Client};

/// One block of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `message` where the stream doesn't say.
    pub(crate) name: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// An answer that stays open.
pub(crate) struct EventStream {
    pub(crate) head: Answer,
    client: Client,
    text: Vec<u8>,
    whole: bool,
    retry: Option<u64>,
}

enum Block {
    Event(Event),
    /// When to come back, and nothing else: no event to anybody.
    Retry(u64),
    Comment(String),
}

impl EventStream {
    pub(super) fn new(head: Answer, client: Client) -> Self {
        Self { head, client, text: Vec::new(), whole: false, retry: None }
    }

    /// The next event, comments passed over; `None` at the end of the stream.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.next_block().await? {
                Block::Event(event) => return Some(event),
                Block::Comment(_) => {}
                Block::Retry(retry) => self.retry = Some(retry),
            }
        }
    }

    /// The next comment. An event that comes first is a failure.
    pub(crate) async fn next_comment(&mut self) -> Option<String> {
        match self.next_block().await? {
            Block::Comment(comment) => Some(comment),
            Block::Event(event) => panic!("an event instead of a comment: {event:?}"),
            Block::Retry(retry) => panic!("a retry instead of a comment: {retry}"),
        }
    }

    /// The next bytes, as they came; `None` at the end of the stream.
    pub(crate) async fn next_bytes(&mut self) -> Option<Vec<u8>> {
        if !self.text.is_empty() {
            return Some(std::mem::take(&mut self.text));
        }
        self.read().await.then(|| std::mem::take(&mut self.text))
    }

    /// When the client is to come back, in milliseconds, as it was told by itself.
    pub(crate) const fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Whether the stream ended as HTTP says it should, and wasn't just cut. After its end.
    pub(crate) fn ended_whole(&self) -> bool {
        self.whole
    }

    /// The connection below, once the stream has ended.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }

    async fn next_block(&mut self) -> Option<Block> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.text, b"\n\n") {
                let block = String::from_utf8(self.text[..at].to_vec()).unwrap();
                self.text.drain(..at + 2);
                match read_block(&block) {
                    Some(block) => return Some(block),
                    None => continue,
                }
            }
            if !self.read().await {
                return None;
            }
        }
    }

    async fn read(&mut self) -> bool {
        if self.head.field("transfer-encoding") == Some("chunked") {
            let chunk = self.client.chunk().await;
            self.whole = chunk.as_ref().is_some_and(Vec::is_empty);
            let chunk = chunk.unwrap_or_default();
            self.note(&chunk);
            return !chunk.is_empty();
        }
        let bytes = if self.client.fill().await { self.client.take() } else { Vec::new() };
        self.note(&bytes);
        !bytes.is_empty()
    }

    fn note(&mut self, bytes: &[u8]) {
        if memchr::memmem::find(bytes, b"\"request_id\"").is_some() {
            self.client.received().note_refusal(bytes.to_vec());
        }
        self.text.extend_from_slice(bytes);
    }
}

/// `None` for a blank block.
fn read_block(block: &str) -> Option<Block> {
    let mut event = Event { name: "message".to_owned(), data: String::new(), id: None };
    let mut lines = block.lines().filter(|line| !line.is_empty()).peekable();
    let first = *lines.peek()?;
    if let Some(comment) = first.strip_prefix(':') {
        return Some(Block::Comment(comment.trim_start().to_owned()));
    }
    if let Some(retry) = block.strip_prefix("retry: ")
        && let Ok(retry) = retry.parse()
    {
        return Some(Block::Retry(retry));
    }
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" if event.data.is_empty() => value.clone_into(&mut event.data),
            "data" => event.data.push_str(&format!("\n{value}")),
            _ => {}
        }
    }
    Some(Block::Event(event))
}
