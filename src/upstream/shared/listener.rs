use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Asks, Patience, SharedStreams,
    hub::{Hears, Hub},
    stream::{NoStream, Stream},
};
use crate::{
    snapshot::Endpoint,
    types::{Draining, KeyDigest, Method, Secret},
    upstream::Server,
};

/// How long a stream is kept that nobody sits at. While it closes, one that was just opened may be
/// silenced with it; so who comes back soon finds it open.
const LINGER: Duration = Duration::from_secs(5);

/// How long is waited before each attempt to open a stream anew. What isn't heard after the last is
/// gone.
const ATTEMPTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Listens to the server for all seats, for as long as there are any.
pub(super) struct Listener {
    pub(super) hub: Arc<Hub>,
    pub(super) streams: Arc<SharedStreams>,
    pub(super) whose: KeyDigest,
    pub(super) server: Arc<Server>,
    pub(super) asks: Asks,
    pub(super) patience: Patience,
    pub(super) draining: Draining,
    /// Streams in a row that nothing was heard on.
    pub(super) failures: usize,
}

/// Why listening to one stream is over.
enum Over {
    /// Nobody is there to listen for.
    Empty,
    /// The stream has ended, or is silent for ever.
    Lost,
}

impl Listener {
    pub(super) async fn run(mut self, mut stream: Stream) {
        let _open = self.hub.meter().map(|meter| meter.opened());
        let mut draining = self.draining.clone();
        let (cut, hub) = (draining.cut(), Arc::clone(&self.hub));
        tokio::pin!(cut);
        loop {
            match self.listen(&mut stream).await {
                Over::Empty => return,
                Over::Lost => {}
            }
            // Closed before another is opened: with its end the server silences all that are open.
            drop(stream);
            self.hub.lose_calls();
            let again = tokio::select! {
                again = self.open_again() => again,
                () = deserted(&hub) => None,
                () = &mut cut => None,
            };
            match again {
                Some(again) => stream = again,
                None => return,
            }
        }
    }

    async fn listen(&mut self, stream: &mut Stream) -> Over {
        let (mut draining, mut asking) = (self.draining.clone(), JoinSet::new());
        // When something has to be done about silence: to ask, or to stop waiting for an answer.
        let mut due = Instant::now();
        let (mut alone_since, mut drains) = (None, false);
        let begun = draining.begun();
        tokio::pin!(begun);
        loop {
            loop {
                match stream.next() {
                    Ok(Some(event)) if self.hub.deliver(&event) => due = self.heard(),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Over::Lost,
                }
            }
            if !self.hub.is_empty() {
                alone_since = None;
            } else if self.is_over(*alone_since.get_or_insert_with(Instant::now)) {
                return Over::Empty;
            }
            let leaves = alone_since.unwrap_or(due) + LINGER;
            tokio::select! {
                filled = stream.fill() => if filled.is_err() { return Over::Lost },
                Some(answered) = asking.join_next() => {
                    // A server that is there and takes no message of this key has refused it.
                    if matches!(answered, Ok(false)) { return Over::Lost }
                }
                () = self.hub.left.notified() => {}
                () = &mut begun, if !drains => drains = true,
                () = sleep_until(leaves), if alone_since.is_some() => {}
                () = sleep_until(due) => {
                    if self.is_deaf() { return Over::Lost }
                    let whom = (Arc::clone(&self.server), Arc::clone(self.hub.at()));
                    asking.spawn(ask(whom, self.ping(), self.patience.reach));
                    due = Instant::now() + self.patience.reach;
                }
            }
        }
    }

    /// It hears. Until when that is believed.
    fn heard(&mut self) -> Instant {
        self.failures = 0;
        self.hub.heard();
        Instant::now() + self.patience.silence
    }

    /// Whether it has been asked often enough. Of a stream that was heard once a server that is busy
    /// for a moment may be asked twice: calls that wait are lost with it.
    fn is_deaf(&self) -> bool {
        let most = if *self.hub.hears().borrow() == Hears::Yes { 2 } else { 1 };
        self.hub.pings() >= most
    }

    /// Whether a stream that nobody has sat at since then has been open for long enough.
    fn is_over(&self, alone_since: Instant) -> bool {
        let lingers = !self.draining.has_begun() && !self.streams.is_crowded();
        (!lingers || alone_since.elapsed() >= LINGER) && self.hub.close_if_empty()
    }

    /// A stream in the place of one that was lost, under the same seats: the server knows of neither
    /// more than the key. `None` where it gives none; where its endpoint is gone, those who come back
    /// find another.
    async fn open_again(&mut self) -> Option<Stream> {
        while let Some(wait) = ATTEMPTS.get(self.failures) {
            self.failures += 1;
            sleep(*wait).await;
            let opening = (&**self.hub.at(), &self.asks.opening);
            match Stream::open(&self.server, opening, self.patience).await {
                Ok(stream) => return Some(stream),
                Err(NoStream::Refused) => return None,
                Err(NoStream::NotNow) => {}
            }
        }
        None
    }

    /// A request that does nothing but to be answered on the stream (MCP, *Ping*).
    fn ping(&self) -> Secret {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, self.hub.ask());
        let head = self.asks.posting.expose();
        Secret::new(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
    }
}

/// Waits until nobody sits there, and closes it.
async fn deserted(hub: &Hub) {
    while !hub.close_if_empty() {
        hub.left.notified().await;
    }
}

/// Posts a message of the gateway's own. `false` where the server is there and refuses it.
async fn ask(
    (server, endpoint): (Arc<Server>, Arc<Endpoint>),
    message: Secret,
    patience: Duration,
) -> bool {
    let told = server.tell(&endpoint, message.expose().as_bytes(), (Method::Post, patience));
    let status = tokio::time::timeout(patience, told).await.ok().flatten();
    let refuses =
        |status: StatusCode| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    !status.is_some_and(refuses)
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hub.close();
        self.streams.forget(&self.whose, &self.hub);
    }
}
