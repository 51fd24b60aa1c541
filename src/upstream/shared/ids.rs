use crate::types::RequestId;

/// A call on its way, or sent.
pub(super) struct Call {
    pub(super) seat: u64,
    /// The client's own id, as it wrote it.
    pub(super) id: Box<str>,
    /// The client's own token of its progress.
    pub(super) token: Option<Box<str>>,
    /// The exchange that brought it.
    pub(super) request: RequestId,
    /// It may have reached the server.
    pub(super) is_sent: bool,
}

/// The ids that go upstream: texts that no other stream, gateway or client can have made.
pub(super) struct Ids(String);

impl Ids {
    pub(super) fn new(random: &[u8; 16]) -> Self {
        Self(format!("portcullis-{}-", hex::encode(random)))
    }

    /// An id as JSON text.
    pub(super) fn write(&self, number: u64) -> String {
        format!("\"{}{number}\"", self.0)
    }

    /// The number of an id, if it is one of these.
    pub(super) fn read(&self, json: &str) -> Option<u64> {
        let text = json.strip_prefix('"')?.strip_suffix('"')?.strip_prefix(&*self.0)?;
        let number = text.parse().ok()?;
        (self.write(number) == json).then_some(number)
    }
}
