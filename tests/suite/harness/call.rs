use super::{Key, gateway::HOST};

/// A request, written as plainly as a client would.
#[derive(Clone)]
pub(crate) struct Call {
    line: String,
    host: String,
    fields: Vec<(String, String)>,
    body: Option<String>,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let line = format!("{method} {target} HTTP/1.1");
        Self { line, host: HOST.to_owned(), fields: Vec::new(), body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target).field("accept", "text/event-stream")
    }

    /// A POST of JSON.
    pub(crate) fn post(target: &str, body: &str) -> Self {
        let call = Self::new("POST", target);
        let call = call.field("accept", "application/json, text/event-stream");
        call.field("content-type", "application/json").body(body)
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, key: &Key) -> Self {
        self.field("authorization", &format!("Bearer {}", key.text()))
    }

    /// A body with its length.
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\nhost: {}\r\n", self.line, self.host);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(self.body.as_deref().unwrap_or_default());
        text.into_bytes()
    }
}

/// A JSON-RPC request.
pub(crate) fn call_with_id(id: u32, method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#)
}

/// A `tools/call`.
pub(crate) fn tool_call(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"integrationList","arguments":{{}}}}}}"#
    )
}
