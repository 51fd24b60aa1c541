use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::{
    snapshot::ClientAuthority,
    types::{CertificateName, ClientCertificate},
};

/// Who answers for the clients of a listener. It can be replaced at any time: whoever shakes hands
/// from then on is held against the new one, and so is what open connections have shown. Clones are one.
#[derive(Clone)]
pub struct ClientAuthorities(Arc<Believed>);

struct Believed {
    authority: ArcSwap<ClientAuthority>,
    /// How often another has taken its place, and how often what was shown was judged by it.
    replaced: AtomicU64,
    judged: AtomicU64,
    shown: Mutex<Shown>,
}

/// What open connections have shown; of those that have ended at most as many again.
struct Shown {
    list: Vec<Weak<ClientCertificate>>,
    sweep_at: usize,
}

/// So many aren't worth a sweep.
const FEW: usize = 64;

impl ClientAuthorities {
    /// The one of the configuration.
    pub fn new(authority: &Arc<ClientAuthority>) -> Self {
        Self(Arc::new(Believed {
            authority: ArcSwap::new(Arc::clone(authority)),
            replaced: AtomicU64::new(0),
            judged: AtomicU64::new(0),
            shown: Mutex::new(Shown { list: Vec::new(), sweep_at: FEW }),
        }))
    }

    /// Puts another in its place, and judges by it what open connections have shown: each costs what it
    /// did in its handshake.
    pub fn replace(&self, authority: Arc<ClientAuthority>) {
        if authority.contents == self.now().contents {
            return self.0.authority.store(authority);
        }
        self.0.authority.store(Arc::clone(&authority));
        self.judge(|certificate| !answers_for(&authority, certificate));
    }

    /// The same, where `serving` is still the one of now: who has read its files again meanwhile was
    /// overtaken by a new configuration. Gives whether it was.
    pub fn renew(&self, serving: &Arc<ClientAuthority>, authority: Arc<ClientAuthority>) -> bool {
        let before = self.0.authority.compare_and_swap(serving, Arc::clone(&authority));
        let renewed = Arc::ptr_eq(&before, serving);
        if renewed {
            self.judge(|certificate| !answers_for(&authority, certificate));
        }
        renewed
    }

    /// Nobody is asked any more: what was shown stands for nobody.
    pub fn retire(&self) {
        self.judge(|_| true);
    }

    /// How often what open connections have shown was judged anew.
    pub fn judgements(&self) -> u64 {
        self.0.judged.load(Ordering::Acquire)
    }

    /// How often another has taken its place.
    pub(super) fn version(&self) -> u64 {
        self.0.replaced.load(Ordering::Acquire)
    }

    /// Enters what a client has shown in a handshake that began at this version.
    pub(super) fn enter(&self, certificate: &Arc<ClientCertificate>, version: u64) {
        let mut shown = self.shown();
        if shown.list.len() >= shown.sweep_at {
            shown.list.retain(|certificate| certificate.strong_count() > 0);
            shown.sweep_at = (2 * shown.list.len()).max(FEW);
        }
        shown.list.push(Arc::downgrade(certificate));
        drop(shown);
        // Whoever judged meanwhile hasn't seen it.
        if self.version() != version {
            certificate.set_withdrawn(!answers_for(&self.now(), certificate));
        }
    }

    fn judge(&self, is_withdrawn: impl Fn(&ClientCertificate) -> bool) {
        // Before: what is entered from now on sees that it wasn't judged.
        self.0.replaced.fetch_add(1, Ordering::AcqRel);
        let open: Vec<_> = self.shown().list.iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|certificate| certificate.set_withdrawn(is_withdrawn(certificate)));
        self.0.judged.fetch_add(1, Ordering::AcqRel);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one of now.
    pub fn now(&self) -> Arc<ClientAuthority> {
        self.0.authority.load_full()
    }
}

/// Whether an authority answers for a certificate now.
fn answers_for(authority: &ClientAuthority, certificate: &ClientCertificate) -> bool {
    let chain: Vec<_> = certificate.chain.iter().map(|der| CertificateDer::from(&**der)).collect();
    let verified = chain.split_first().map(|(own, others)| {
        authority.verifier.verify_client_cert(own, others, UnixTime::now()).is_ok()
    });
    verified.unwrap_or(false)
}

impl ClientCertVerifier for ClientAuthorities {
    fn client_auth_mandatory(&self) -> bool {
        self.0.authority.load().required
    }

    /// None: strangers aren't told whose certificates are believed here, and a client that has one
    /// shows it all the same.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.authority.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.authority.load().verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.authority.load().verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.authority.load().verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAuthorities(..)")
    }
}

/// What a certificate says of who shows it; `None` where that can't be read.
pub(super) fn read(chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
    let certificate = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = vec![CertificateName::of(certificate)];
    let alternatives = parsed.subject_alternative_name().ok()?;
    for name in alternatives.iter().flat_map(|list| &list.value.general_names) {
        names.extend(match name {
            GeneralName::DNSName(name) => {
                Some(CertificateName::Dns(name.to_ascii_lowercase().into()))
            }
            GeneralName::URI(name) => Some(CertificateName::Uri((*name).into())),
            GeneralName::RFC822Name(name) => Some(CertificateName::Email((*name).into())),
            _ => None,
        });
    }
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.extend(common.map(|name| CertificateName::CommonName(name.into())));
    // The last second of it is still one of its own.
    let ends_at = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    let chain = chain.iter().map(|der| der.as_ref().into()).collect();
    Some(ClientCertificate::new((names, ends_at.saturating_add(1)), chain))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn every_name_of_a_certificate_is_read() {
        let mut params = CertificateParams::new(vec!["Agent.Example.Com".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI("spiffe://example.com/agent".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("ops@example.com".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "agent");
        params.not_after = rcgen::date_time_ymd(2037, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = read(std::slice::from_ref(certificate.der())).unwrap();
        let names = [
            CertificateName::of(certificate.der()),
            CertificateName::Dns("agent.example.com".into()),
            CertificateName::Uri("spiffe://example.com/agent".into()),
            CertificateName::Email("ops@example.com".into()),
            CertificateName::CommonName("agent".into()),
        ];
        assert_eq!(*read.names, names);
        assert_eq!(read.ends_at, 2_114_380_801);
        assert!(super::read(&[CertificateDer::from(&b"no certificate"[..])]).is_none());
    }
}
