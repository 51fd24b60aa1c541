use serde_json::Value;

/// An answer that a client received.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// 1xx answers that came before it.
    pub(crate) informational: Vec<u16>,
}

impl Answer {
    /// The value of a field that stands at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// `data.reason` of a refusal.
    pub(crate) fn reason(&self) -> String {
        let json = self.json();
        let reason = json["error"]["data"]["reason"].as_str();
        reason.unwrap_or_else(|| panic!("no refusal: {self:?}")).to_owned()
    }

    /// Whether the gateway gave this answer itself.
    pub(super) fn is_refusal(&self) -> bool {
        memchr::memmem::find(&self.body, b"\"request_id\"").is_some()
    }

    /// Holds a refusal to its status and reason, and to what every refusal has: JSON that is not
    /// stored and says nothing of the request but its id.
    pub(crate) fn refused(&self, status: u16, reason: &str) -> &Self {
        assert_eq!((self.status, self.reason().as_str()), (status, reason), "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.field("cache-control"), Some("no-store"), "{self:?}");
        let json = self.json();
        assert_eq!(json["jsonrpc"], "2.0", "{self:?}");
        assert!(json.get("id").is_some(), "{self:?}");
        let request_id = json["error"]["data"]["request_id"].as_str().unwrap();
        assert_eq!(request_id.len(), 16, "{self:?}");
        self
    }

    /// Whether the connection closes behind this answer.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}
