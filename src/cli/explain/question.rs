//! A request that is described in words becomes the bytes that a client would send.

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{Arguments, chain::Case};
use crate::{
    cli::key,
    config::Outline,
    gateway::Gateway,
    observe::LogSink,
    policy::{Admittance, Consumer, Standing},
    proxy::{Door, DoorKind, Heard},
    snapshot::{Audit, AuditTo, Listener, ListenerKind, Snapshot},
    types::{Denial, KeyDigest, Name, Secret, write_key_segment},
};

/// The largest key that is read from a file, in bytes.
const LONGEST_KEY: u64 = 64 * 1024;

/// Where the key stands in the URL.
const PLACEHOLDER: &str = "{key}";

/// What can't be asked, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error("the URL isn't http:// or https://, a host and a path: https://HOST/PATH")]
    Url,
    #[error("the URL holds a blank or a byte that no URL has; percent-encode it")]
    Blank,
    #[error("the method isn't one of letters: GET, POST, DELETE")]
    Method,
    #[error("--origin isn't visible text")]
    Origin,
    #[error("the URL says {{key}}: say whose with --key-file or --consumer")]
    WhichKey,
    #[error("the configuration has no consumer of that name")]
    Consumer,
    // Not which: it may be the key itself.
    #[error("the file that --key-file names can't be read: {0}")]
    KeyFile(io::Error),
    #[error(
        "that listener closes every connection but those of `trusted_proxies`, which begin with a \
         PROXY header: say with --via which of them it comes through"
    )]
    NoProxyHeader,
    #[error("the configuration has no listener that it could come to")]
    NoListener,
    #[error("this system gave no random bytes")]
    Random,
    #[error("the request can't be tried: {0}")]
    Trial(#[from] io::Error),
    #[error(transparent)]
    Boot(#[from] crate::gateway::BootError),
}

/// A request that nobody sent.
pub(super) struct Question {
    door: Door,
    peer: IpAddr,
    method: String,
    tool: Option<String>,
    origin: bool,
    has_key: bool,
    /// Whose key it has, whether or not it may use it there.
    meant: Option<Arc<Consumer>>,
    /// A stand-in for a key that the client alone knows.
    stand_in: Option<(Name, KeyDigest)>,
    bytes: Zeroizing<Vec<u8>>,
}

/// What came of it.
pub(super) struct Asked {
    pub(super) heard: Heard,
    /// The peer may not even connect.
    is_shut_out: bool,
    snapshot: Arc<Snapshot>,
}

impl Question {
    /// Reads what the arguments describe.
    pub(super) fn of(arguments: &Arguments, snapshot: &Snapshot) -> Result<Self, Unasked> {
        let method = arguments.method.clone().unwrap_or_default();
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(Unasked::Method);
        }
        let url = Url::read(arguments.url.as_deref().unwrap_or_default())?;
        let named =
            arguments.consumer.as_deref().map(|name| consumer(snapshot, name)).transpose()?;
        let key = match (&arguments.key_file, &named) {
            (Some(file), _) => Some(read_key(file)?),
            (None, Some(_)) => Some(key::generate().ok_or(Unasked::Random)?),
            (None, None) if url.target.contains(PLACEHOLDER) => return Err(Unasked::WhichKey),
            (None, None) => None,
        };
        let from = arguments.from.ok_or(Unasked::Url)?;
        let digest = key.as_ref().map(Secret::digest);
        let meant = named.clone().or_else(|| {
            match snapshot.consumers.find(&digest?, std::time::SystemTime::now) {
                Standing::Known(consumer) => Some(consumer),
                Standing::Expired | Standing::Unknown => None,
            }
        });
        let origin = arguments.origin.as_deref();
        if origin.is_some_and(|text| !text.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Unasked::Origin);
        }
        let (door, wants_header) = door(snapshot, &url).ok_or(Unasked::NoListener)?;
        let via = arguments.via;
        if wants_header && !via.is_some_and(|via| may_tell(snapshot, via)) {
            return Err(Unasked::NoProxyHeader);
        }
        // Where a PROXY header comes first, the peer that it tells is the peer.
        let via = via.filter(|_| !wants_header);
        let proxied = via.map(|_| (&*snapshot.access.trusted_header, from));
        let said = Said { origin, proxied, tool: arguments.tool.as_deref(), key: key.as_ref() };
        Ok(Self {
            door,
            peer: via.unwrap_or(from),
            tool: arguments.tool.clone(),
            origin: origin.is_some(),
            has_key: key.is_some(),
            meant,
            stand_in: named.map(|consumer| consumer.name.clone()).zip(digest),
            bytes: said.write(&method, &url),
            method,
        })
    }

    /// Puts it to the page of a gateway that listens nowhere and keeps nothing. What is used of budgets
    /// it reads where the one that runs keeps it, if it may.
    pub(super) fn ask(&self, snapshot: Snapshot) -> Result<Asked, Unasked> {
        let state_dir = snapshot.state_dir.clone();
        let mut snapshot = Snapshot {
            admin: None,
            admin_socket: None,
            state_dir: None,
            listeners: Vec::new(),
            audit: snapshot.audit.map(|audit| Audit { to: AuditTo::Memory, ..audit }),
            ..snapshot
        };
        if let Some((name, digest)) = &self.stand_in {
            snapshot.consumers.lend(name, *digest);
        }
        let gateway = Gateway::bind(snapshot, LogSink::memory())?;
        if let Some(dir) = &state_dir {
            gateway.look_into(dir);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let heard = runtime.block_on(gateway.hear(&self.door, self.peer, &self.bytes))?;
        let snapshot = gateway.snapshot();
        let is_shut_out = snapshot.access.nets.judge(self.peer) == Admittance::KeptOut;
        Ok(Asked { heard, is_shut_out, snapshot })
    }
}

impl Asked {
    /// Why it would be refused, and with which status; none where the connection is closed at once.
    pub(super) fn refusal(&self) -> Option<(Denial, Option<u16>)> {
        if self.is_shut_out {
            return Some((Denial::Address, None));
        }
        self.heard.denial.map(|(denial, status)| (denial, Some(status)))
    }

    /// What is known of it.
    pub(super) fn case<'c>(&'c self, question: &'c Question, outline: &'c Outline) -> Case<'c> {
        let heard = &self.heard;
        Case {
            snapshot: &self.snapshot,
            outline,
            peer: Some(question.peer),
            client: if self.is_shut_out { question.peer } else { heard.client },
            path: heard.path.as_str().to_owned(),
            method: question.method.clone(),
            tool: question.tool.clone(),
            has_origin: question.origin,
            has_key: question.has_key || heard.has_key,
            route: heard.route.as_deref(),
            consumer: heard.consumer.as_deref(),
            meant: question.meant.as_deref(),
            reason: self.refusal().map(|(denial, _)| denial.face().reason.to_owned()),
        }
    }
}

/// What a request says beside its method and URL.
struct Said<'s> {
    origin: Option<&'s str>,
    /// The header in which a trusted proxy says where it is from.
    proxied: Option<(&'s str, IpAddr)>,
    tool: Option<&'s str>,
    key: Option<&'s Secret>,
}

impl Said<'_> {
    fn write(&self, method: &str, url: &Url<'_>) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::new());
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        put(&[method.as_bytes(), b" "]);
        let mut in_path = Zeroizing::new(Vec::new());
        match (url.target.split_once(PLACEHOLDER), self.key) {
            (Some((before, behind)), Some(key)) => {
                write_key_segment(&mut in_path, key.expose());
                put(&[before.as_bytes(), &in_path, behind.as_bytes()]);
            }
            _ => put(&[url.target.as_bytes()]),
        }
        put(&[b" HTTP/1.1\r\nhost: ", url.authority.as_bytes(), b"\r\n"]);
        put(&[b"accept: application/json, text/event-stream\r\n"]);
        if let Some(key) = self.key.filter(|_| in_path.is_empty()) {
            put(&[b"authorization: Bearer ", key.expose().as_bytes(), b"\r\n"]);
        }
        if let Some((header, from)) = self.proxied {
            put(&[header.as_bytes(), b": ", from.to_string().as_bytes(), b"\r\n"]);
            put(&[b"x-forwarded-proto: ", url.scheme.as_bytes(), b"\r\n"]);
        }
        if let Some(origin) = self.origin {
            put(&[b"origin: ", origin.as_bytes(), b"\r\n"]);
        }
        if method == "POST" {
            let body = body(self.tool);
            let length = body.len().to_string();
            put(&[b"content-type: application/json\r\ncontent-length: ", length.as_bytes()]);
            put(&[b"\r\n\r\n", body.as_bytes()]);
        } else {
            put(&[b"\r\n"]);
        }
        out
    }
}

/// A call of the tool, or one that asks for nothing.
fn body(tool: Option<&str>) -> String {
    let call = match tool {
        Some(name) => serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": name, "arguments": {} }
        }),
        None => serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
    };
    call.to_string()
}

struct Url<'u> {
    scheme: &'u str,
    authority: &'u str,
    target: &'u str,
}

impl<'u> Url<'u> {
    fn read(text: &'u str) -> Result<Self, Unasked> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unasked::Blank);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Unasked::Url)?;
        let border = rest.find('/').unwrap_or(rest.len());
        let (authority, target) = rest.split_at(border);
        if !matches!(scheme, "http" | "https") || authority.is_empty() {
            return Err(Unasked::Url);
        }
        Ok(Self { scheme, authority, target: if target.is_empty() { "/" } else { target } })
    }

    fn port(&self) -> u16 {
        let written = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.scheme == "https" { 443 } else { 80 })
    }
}

/// The listener that the URL leads to: of its port, else of its scheme, else the first; and whether
/// a PROXY header comes first there.
fn door(snapshot: &Snapshot, url: &Url<'_>) -> Option<(Door, bool)> {
    let is_tls = |listener: &Listener| matches!(listener.kind, ListenerKind::Tls(_));
    let by_scheme = |listener: &&Listener| is_tls(listener) == (url.scheme == "https");
    let by_port = |listener: &&Listener| listener.address.port() == url.port();
    let mut listeners = snapshot.listeners.iter().filter(by_scheme);
    let found = listeners.clone().find(by_port).or_else(|| listeners.next());
    let found = found.or_else(|| snapshot.listeners.first())?;
    let kind = match found.kind {
        ListenerKind::Tls(_) => DoorKind::Tls,
        ListenerKind::Redirect { port } => DoorKind::Redirect { port },
        ListenerKind::Plain => DoorKind::Plain,
    };
    Some((Door { name: found.name.clone(), kind }, found.proxy_protocol))
}

/// Whether a peer may say for whom it comes, before anything else.
fn may_tell(snapshot: &Snapshot, via: IpAddr) -> bool {
    let access = &snapshot.access;
    access.trusted_proxies.trusts(via) && access.nets.judge(via) != Admittance::KeptOut
}

fn consumer(snapshot: &Snapshot, name: &str) -> Result<Arc<Consumer>, Unasked> {
    let mut consumers = snapshot.consumers.iter();
    consumers.find(|consumer| consumer.name.as_str() == name).cloned().ok_or(Unasked::Consumer)
}

fn read_key(path: &Path) -> Result<Secret, Unasked> {
    let mut text = Zeroizing::new(String::new());
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(LONGEST_KEY).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LONGEST_KEY).read_to_string(&mut text))
    };
    read.map_err(Unasked::KeyFile)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
