use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::{
    snapshot::{Acme, Endpoint, Endpoints, Scheme, Upstream},
    types::{Method, Name},
    upstream::{Bounds, Question, Server},
};

/// What an answer of an authority may cost: a chain of certificates is ten kilobytes.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), body: 256 * 1024 };

/// Who asks an authority: over TLS, on a connection for each question, trusting whom the configuration
/// trusts.
pub(super) struct Caller(Arc<Acme>);

impl Caller {
    pub(super) fn new(acme: &Arc<Acme>) -> Self {
        Self(Arc::clone(acme))
    }
}

impl HttpClient for Caller {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let acme = Arc::clone(&self.0);
        Box::pin(async move { ask(&acme, request).await })
    }
}

async fn ask(acme: &Acme, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
    let (head, body) = request.into_parts();
    // The library lets bytes out of an answer alone.
    let mut body = BytesResponse::from(Response::new(body)).body;
    let body = body.into_bytes().await.map_err(Error::Other)?;
    let server = server(acme, &head.uri).ok_or(Error::Str("an https:// address to ask"))?;
    let fields: Vec<(&str, &[u8])> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "user-agent").collect();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::parse(head.method.as_str().as_bytes());
    let body = (method == Method::Post).then_some(&*body);
    let question = Question { method, path: path.as_bytes(), fields: &fields, body };
    let reply = tokio::select! {
        reply = server.ask(server.upstream.endpoints.first(), &question, BOUNDS) => reply,
        () = server.keep_names_fresh() => return Err(Error::Str("the authority's address")),
    };
    let host = head.uri.host().unwrap_or_default();
    let reply = reply.map_err(|why| Error::Other(format!("{host}: {why}").into()))?;
    if !reply.whole {
        return Err(Error::Str("the end of the authority's answer"));
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.fields.iter() {
        response = response.header(name, value);
    }
    let (parts, ()) = response.body(())?.into_parts();
    Ok(BytesResponse { parts, body: Box::new(reply.body) })
}

/// The host of a URL, as a server that nothing else is sent to.
fn server(acme: &Acme, url: &Uri) -> Option<Server> {
    let authority = url.authority().filter(|_| url.scheme_str() == Some("https"))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let endpoint = Endpoint {
        scheme: Scheme::Https,
        host: host.into(),
        port: authority.port_u16().unwrap_or(443),
        authority: authority.as_str().into(),
    };
    Some(Server::new(Arc::new(Upstream {
        name: Name::parse("acme")?,
        endpoints: Endpoints::one(endpoint),
        health: None,
        strip_prefix: Vec::new(),
        dialect: None,
        tls: Some(acme.tls.clone()),
        session_idle: None,
        pin: None,
        max_requests: None,
        shared_streams: false,
    })))
}
