use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::{Account, Failure};

/// How long an authority may take to look at proofs, and again to make the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));

/// The longest that an order may take in all.
const WHOLE: Duration = Duration::from_secs(300);

/// A certificate and its key, both in PEM.
pub struct Issued {
    /// The key.
    pub key: Zeroizing<String>,
    /// The chain, the host's own first.
    pub chain: String,
}

/// How the authority is shown that this is the host of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On the TLS listener, by a handshake (RFC 8737).
    TlsAlpn,
    /// On a redirect listener, by a text (RFC 8555 8.3).
    Http,
}

/// What has to be shown.
pub enum Proof<'p> {
    /// To a handshake that asks for this name.
    TlsAlpn {
        /// The name.
        domain: &'p str,
        /// What the certificate has to hold.
        digest: &'p [u8],
    },
    /// Over HTTP.
    Http {
        /// The end of the path.
        token: &'p str,
        /// What stands there.
        authorization: &'p str,
    },
}

impl Way {
    /// As RFCs and logs name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http => "http-01",
        }
    }
}

/// Orders a certificate. `show` shows a proof until what it gives is dropped.
///
/// # Errors
/// What the authority says, where there is none in the end.
pub async fn order<Shown>(
    account: &Account,
    domains: &[Box<str>],
    way: Way,
    show: impl Fn(Proof<'_>) -> Option<Shown>,
) -> Result<Issued, Failure> {
    let whole = async {
        let wanted: Vec<_> = domains.iter().map(|name| Identifier::Dns(name.to_string())).collect();
        let mut order = account.0.new_order(&NewOrder::new(&wanted)).await?;
        let shown = prove(&mut order, way, show).await?;
        let ready = order.poll_ready(&PATIENCE).await;
        drop(shown);
        if !matches!(ready, Ok(OrderStatus::Ready)) {
            return Err(refused(&mut order, ready).await);
        }
        finish(&mut order, domains).await
    };
    let whole = Box::pin(tokio::time::timeout(WHOLE, whole)).await;
    whole.unwrap_or_else(|_| Err(Failure::new("the authority takes too long")))
}

/// Shows a proof for each name that wants one, and says so.
async fn prove<Shown>(
    order: &mut Order,
    way: Way,
    show: impl Fn(Proof<'_>) -> Option<Shown>,
) -> Result<Vec<Shown>, Failure> {
    let kind = match way {
        Way::TlsAlpn => ChallengeType::TlsAlpn01,
        Way::Http => ChallengeType::Http01,
    };
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Failure::new("the authority has refused a name before")),
        }
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(Failure::new(&format!("the authority takes no {}", way.as_str())));
        };
        let (domain, proof) = (challenge.identifier().to_string(), challenge.key_authorization());
        let digest = proof.digest();
        let wanted = match way {
            Way::TlsAlpn => Proof::TlsAlpn { domain: &domain, digest: digest.as_ref() },
            Way::Http => Proof::Http { token: &challenge.token, authorization: proof.as_str() },
        };
        shown.push(show(wanted).ok_or_else(|| Failure::new("a proof can't be made"))?);
        tracing::debug!(%domain, way = way.as_str(), "a proof is shown");
        challenge.set_ready().await?;
    }
    Ok(shown)
}

/// What the authority has against a proof, or else against the order.
async fn refused(order: &mut Order, ready: Result<OrderStatus, instant_acme::Error>) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { break };
        let domain = state.identifier().to_string();
        if let Some(problem) = state.challenges.iter().find_map(|c| c.error.as_ref()) {
            return Failure::of(problem).about(&domain);
        }
    }
    match ready {
        Ok(_) => Failure::new("the authority refuses the order"),
        Err(error) => error.into(),
    }
}

/// Has the certificate made, for a key that nobody had before.
async fn finish(order: &mut Order, domains: &[Box<str>]) -> Result<Issued, Failure> {
    let unmade = |_| Failure::new("a request for a certificate can't be made");
    let names: Vec<_> = domains.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(unmade)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(unmade)?;
    let request = params.serialize_request(&key).map_err(unmade)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Issued { key: Zeroizing::new(key.serialize_pem()), chain })
}
