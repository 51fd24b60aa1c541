use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Output},
};

use serde_json::Value;

use super::{Gateway, PATIENCE, sinks, within};

/// What an operator asks, at the admin socket. No answer ever has a key in it.
impl Gateway {
    /// Sends a request line and a body, and gives status and body of the answer.
    pub(crate) fn operate(&self, line: &str, body: &Value) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.admin_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        write!(stream, "{line} HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(sinks::canary("an answer of the admin socket", answer.as_bytes()), None);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")))
    }

    /// What is under way.
    pub(crate) fn live(&self) -> Vec<Value> {
        let (status, mut body) = self.operate("GET /status", &Value::Null);
        assert_eq!(status, 200, "{body}");
        body["live"].take().as_array().unwrap().clone()
    }

    /// Ends something, and gives how many that were.
    pub(crate) fn kill(&self, which: &Value) -> u64 {
        let (status, body) = self.operate("POST /kill", which);
        assert_eq!(status, 200, "{body}");
        body["ended"].as_u64().unwrap()
    }

    /// Runs a command of the binary that asks the socket.
    pub(crate) fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let output = command.args(words).arg("--socket").arg(self.admin_socket()).output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            assert_eq!(sinks::canary("what a command prints", bytes), None);
        }
        output
    }

    /// Waits for the record of something that an operator did.
    pub(crate) async fn operation(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let find = async {
            loop {
                let bytes = String::from_utf8(self.audit_bytes()).unwrap();
                // The last one may be half written.
                let whole = bytes.rsplit_once('\n').map_or("", |(whole, _)| whole);
                let mut records = whole.lines().map(|line| serde_json::from_str(line).unwrap());
                let found = records.find(|line: &Value| line["event"] == "operator" && is_it(line));
                if let Some(record) = found {
                    return record;
                }
                tokio::task::yield_now().await;
            }
        };
        within("a record of what the operator did", find).await
    }
}
