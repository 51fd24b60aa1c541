//! The vectors of HTTP/2 that proxies disagree on, with their numbers; those with a letter are
//! neighbours of the row that they are named after. `KEY` stands for the client's key, and `/p` of
//! the vectors for `/api/mcp/KEY`. All of them are refused, but for two whose
//! fault may be cut off. Data alone: the table of
//! `make strictness` includes this file.

use super::frames::{Field, block, data, head};

/// A request on stream 1 that is refused.
pub(super) struct Row {
    pub(super) number: &'static str,
    /// What is wrong with it, in a few words.
    pub(super) what: &'static str,
    pub(super) fields: Vec<Field>,
    /// Without one, the head ends the stream.
    pub(super) body: Option<&'static str>,
    pub(super) trailers: Vec<Field>,
    pub(super) answer: Answer,
}

/// How a row may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `RST_STREAM` or `GOAWAY`, both with `PROTOCOL_ERROR`: the message is malformed
    /// (RFC 9113 8.1.1).
    Reset,
    /// The same, or an answer that says so: it is well formed and still ambiguous, or a server may
    /// choose (RFC 9113 8.1.1 lets it answer 400 before it resets).
    ResetOr400,
    /// The same, or what is wrong is cut off before the request goes on: this text reaches nobody.
    /// The library that reads the frames drops it unseen, so what is judged is what is forwarded.
    Cut(&'static str),
    /// This status.
    Status(u16, &'static str),
    /// 431, or the connection ends: the list is beyond what was announced (RFC 9113 10.5.1).
    TooLarge,
}

/// A body that is a message.
pub(super) const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Field {
    (name.as_ref().to_vec(), value.as_ref().to_vec())
}

/// The pseudo fields and what follows them.
fn request(method: &str, more: &[(&str, &str)]) -> Vec<Field> {
    let pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "gateway.test"),
        (":path", "/api/mcp/KEY"),
    ];
    pseudo.iter().chain(more).map(|(name, value)| field(name, value)).collect()
}

/// A well-formed GET and more fields.
pub(super) fn get(more: &[(&str, &str)]) -> Vec<Field> {
    request("GET", more)
}

/// A well-formed POST and more fields.
pub(super) fn post(more: &[(&str, &str)]) -> Vec<Field> {
    let mut fields = request("POST", &[("content-type", "application/json")]);
    fields.extend(more.iter().map(|(name, value)| field(name, value)));
    fields
}

/// A GET whose pseudo field has another value; left out where that is `None`.
fn instead(name: &str, value: Option<&str>) -> Vec<Field> {
    let mut fields = get(&[]);
    match value {
        Some(value) => {
            for field in fields.iter_mut().filter(|(field, _)| field == name.as_bytes()) {
                value.as_bytes().clone_into(&mut field.1);
            }
        }
        None => fields.retain(|(field, _)| field != name.as_bytes()),
    }
    fields
}

const fn row(number: &'static str, what: &'static str, fields: Vec<Field>, answer: Answer) -> Row {
    Row { number, what, fields, body: None, trailers: Vec::new(), answer }
}

/// A GET with one more field, which no message may have.
fn with(number: &'static str, what: &'static str, name: &str, value: &str) -> Row {
    row(number, what, get(&[(name, value)]), Answer::Reset)
}

impl Row {
    fn body(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    fn trailers(self, trailers: &[(&str, &str)]) -> Self {
        let trailers = trailers.iter().map(|(name, value)| field(name, value)).collect();
        Self { body: Some(PING), trailers, ..self }
    }

    /// Its frames, with the key in its place.
    pub(super) fn frames(&self, key: &str) -> Vec<u8> {
        let ended = self.body.is_none() && self.trailers.is_empty();
        let mut bytes = head(1, ended, &block(&with_key(&self.fields, key)));
        if let Some(body) = self.body {
            bytes.extend(data(1, self.trailers.is_empty(), body.as_bytes()));
        }
        if !self.trailers.is_empty() {
            bytes.extend(head(1, true, &block(&self.trailers)));
        }
        bytes
    }
}

/// The fields with the key where its placeholder stands.
pub(super) fn with_key(fields: &[Field], key: &str) -> Vec<Field> {
    let put = |value: &Vec<u8>| match str::from_utf8(value) {
        Ok(text) => text.replace("KEY", key).into_bytes(),
        Err(_) => value.clone(),
    };
    fields.iter().map(|(name, value)| (name.clone(), put(value))).collect()
}

/// Bytes that a field line of HTTP/1.1 would end at, or could not hold.
pub(super) fn bytes() -> Vec<Row> {
    vec![
        with("h01", "CR LF in value", "x", "a\r\nb: c"),
        with("h01a", "LF in value", "x", "a\nb: c"),
        with("h01b", "CR in value", "x", "a\rb: c"),
        with("h01c", "NUL in value", "x", "a\0b"),
        with("h04", "CR LF in name", "x: a\r\ny", "b"),
        with("h04a", "colon in name", "x: a", "b"),
        with("h04b", "SP in name", "x ", "b"),
        with("h05", "uppercase name", "X-A", "b"),
        with("h08", "empty name", "", "b"),
        row("h09", "leading SP in value", get(&[("x", " a")]), Answer::ResetOr400),
        row("h09a", "trailing SP in value", get(&[("x", "a ")]), Answer::ResetOr400),
        row("h09b", "leading TAB in value", get(&[("x", "\ta")]), Answer::ResetOr400),
    ]
}

/// What says how HTTP/1.1 is to read the message.
pub(super) fn framing() -> Vec<Row> {
    let length = |length: &'static str| post(&[("content-length", length)]);
    let two = |one, other| post(&[("content-length", one), ("content-length", other)]);
    vec![
        with("h10", "transfer-encoding: chunked", "transfer-encoding", "chunked"),
        with("h11", "connection: close", "connection", "close"),
        with("h11a", "keep-alive", "keep-alive", "timeout=5"),
        with("h11b", "proxy-connection", "proxy-connection", "close"),
        with("h11c", "upgrade: h2c", "upgrade", "h2c"),
        with("h12", "te: gzip", "te", "gzip"),
        row("h14", "CL 0, DATA 5", length("0"), Answer::Reset).body("12345"),
        row("h15", "CL 9, DATA 1", length("9"), Answer::Reset).body("1"),
        row("h16", "two CL, different", two("2", "3"), Answer::ResetOr400).body("{}"),
        row("h16a", "two CL, equal", two("40", "40"), Answer::ResetOr400).body(PING),
        row("h16b", "CL in a list", length("40, 40"), Answer::ResetOr400).body(PING),
        row("h16c", "CL with a sign", length("+40"), Answer::ResetOr400).body(PING),
        row("h17", "CL 5 with END_STREAM", length("5"), Answer::Reset),
        row("h35", "pseudo in trailers", post(&[]), Answer::Cut("/late"))
            .trailers(&[(":path", "/late")]),
        row("h36", "CL in trailers", post(&[]), Answer::Cut("31415926"))
            .trailers(&[("content-length", "31415926")]),
        row("h35a", "connection in trailers", post(&[]), Answer::Reset)
            .trailers(&[("connection", "close")]),
        row("h35b", "CR LF in trailers", post(&[]), Answer::Reset).trailers(&[("x", "a\r\nb: c")]),
    ]
}

/// The pseudo fields.
pub(super) fn pseudo() -> Vec<Row> {
    let mut late = get(&[]);
    let path = late.pop();
    late.push(field("x", "a"));
    late.extend(path);
    let connect = request("CONNECT", &[(":protocol", "websocket")]);
    let path = |value| instead(":path", Some(value));
    vec![
        with("h18", "two :path", ":path", "/q"),
        with("h18a", "two :authority", ":authority", "other.test"),
        row("h19", "no :path", instead(":path", None), Answer::ResetOr400),
        row("h19a", "empty :path", path(""), Answer::ResetOr400),
        row("h19b", ":path without a slash", path("api/mcp/KEY"), Answer::ResetOr400),
        row("h19c", ":path is a whole URI", path("https://a.test/p"), Answer::ResetOr400),
        row("h20", "no :method", instead(":method", None), Answer::ResetOr400),
        row("h20a", "SP in :method", instead(":method", Some("GET /p")), Answer::ResetOr400),
        row("h22", "SP in :path", path("/api/mcp/KEY /p"), Answer::ResetOr400),
        row("h22a", "CR LF in :path", path("/api/mcp/KEY\r\nx: y"), Answer::ResetOr400),
        row("h24", "# in :path", path("/api/mcp/KEY#x"), Answer::Cut("#x")),
        row("h26", ":scheme junk", instead(":scheme", Some("https://a/?")), Answer::ResetOr400),
        row("h31", "pseudo after regular", late, Answer::Reset),
        with("h32", "unknown pseudo", ":x", "a"),
        with("h33", ":status in a request", ":status", "200"),
        row("h34", ":protocol without ext. CONNECT", connect, Answer::Reset),
    ]
}

/// Whom the request is for.
pub(super) fn hosts() -> Vec<Row> {
    let authority = |value| instead(":authority", Some(value));
    let mut two = instead(":authority", None);
    two.extend([field("host", "gateway.test"), field("host", "other.test")]);
    let differs = get(&[("host", "other.test")]);
    vec![
        row("h27", ":authority u@a", authority("u@gateway.test"), Answer::ResetOr400),
        row("h28", ":authority a/b", authority("gateway.test/b"), Answer::ResetOr400),
        row("h28a", ":authority a,b", authority("gateway.test,other.test"), Answer::ResetOr400),
        row("h28b", "empty :authority", authority(""), Answer::ResetOr400),
        row("h29", "host differs", differs, Answer::ResetOr400),
        row("h30", "no :authority, no host", instead(":authority", None), Answer::ResetOr400),
        row("h30a", "two hosts, no :authority", two, Answer::ResetOr400),
    ]
}

/// What is too large, and what isn't spoken here.
pub(super) fn sizes() -> Vec<Row> {
    let many = |count: usize| {
        let mut fields = get(&[]);
        fields.extend((0..count).map(|n| field(format!("x-{n}"), "1")));
        fields
    };
    let long = |kib: usize| get(&[("x", &"a".repeat(kib * 1024))]);
    let trace = request("TRACE", &[]);
    let connect = vec![field(":method", "CONNECT"), field(":authority", "gateway.test")];
    vec![
        row("h38", "150 fields", many(150), Answer::Status(431, "head_too_large")),
        row("h39", "1100 fields", many(1100), Answer::TooLarge),
        row("h40", "20 KiB field", long(20), Answer::TooLarge),
        row("h41", "100 KiB field", long(100), Answer::TooLarge),
        row("h42", "TRACE", trace, Answer::Status(405, "method")),
        row("h42a", "CONNECT", connect, Answer::Status(405, "method")),
        row("h42b", "method get", request("get", &[]), Answer::Status(405, "method")),
        row("h44", "name with _", get(&[("x_forwarded_for", "192.0.2.1")]), Answer::ResetOr400),
    ]
}
