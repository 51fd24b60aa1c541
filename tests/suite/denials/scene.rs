use std::pin::Pin;

use portcullis::types::{Denial as D, Malformation as M};

use crate::harness::{Answer, Client, Gateway, Request, Streaming, Upstream};

/// Makes a scene.
pub(super) type Making = fn() -> Pin<Box<dyn Future<Output = Scene>>>;

/// Everything about a request that will be refused, before its first byte is sent.
pub(super) struct Scene {
    pub(super) client: Client,
    pub(super) upstream: Upstream,
    pub(super) gateway: Gateway,
    /// The request.
    pub(super) request: Vec<u8>,
    /// What the upstream says, where it is asked, and no more for as long as it waits.
    pub(super) reply: Option<&'static str>,
    pub(super) meanwhile: Meanwhile,
}

/// What else goes on, and is why the request is refused.
pub(super) enum Meanwhile {
    Nothing,
    Stream(Streaming, Client),
    Call(Request, Client),
}

impl Meanwhile {
    pub(super) async fn ends(self) {
        match self {
            Self::Nothing => {}
            Self::Stream(held, holder) => drop((held, holder)),
            Self::Call(held, mut holder) => {
                held.respond(200, &[], "{}").await;
                holder.answer().await;
            }
        }
    }
}

impl Scene {
    pub(super) async fn new(
        upstream: Upstream,
        gateway: Gateway,
        request: impl AsRef<[u8]>,
    ) -> Self {
        let (client, request) = (gateway.client().await, request.as_ref().to_vec());
        Self { client, upstream, gateway, request, reply: None, meanwhile: Meanwhile::Nothing }
    }

    /// Plays it, and holds the gateway to asking nobody else.
    pub(super) async fn refused(self) -> Refused {
        let Self { mut client, mut upstream, gateway, request, reply, meanwhile } = self;
        client.raw(request).await;
        let mut asked = None;
        if let Some(reply) = reply {
            asked.insert(upstream.next().await).raw(reply).await;
        }
        let answer = client.answer().await;
        drop(asked);
        meanwhile.ends().await;
        upstream.saw_nothing(&gateway).await;
        Refused { client, answer, gateway }
    }
}

/// A request that was refused, and where.
pub(super) struct Refused {
    pub(super) client: Client,
    pub(super) answer: Answer,
    pub(super) gateway: Gateway,
}

impl Refused {
    /// Holds it to saying what exactly was malformed.
    pub(super) fn because(self, what: M) -> Self {
        assert_eq!(self.answer.json()["error"]["message"], *D::Malformed(what).face().text);
        self
    }
}
