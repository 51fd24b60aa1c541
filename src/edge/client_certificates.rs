use std::{fmt, sync::Arc};

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
/// from then on is held against the new one. Clones are one.
#[derive(Clone)]
pub struct ClientAuthorities(Arc<ArcSwap<ClientAuthority>>);

impl ClientAuthorities {
    /// The one of the configuration.
    pub fn new(authority: &Arc<ClientAuthority>) -> Self {
        Self(Arc::new(ArcSwap::new(Arc::clone(authority))))
    }

    /// Puts another in its place.
    pub fn replace(&self, authority: Arc<ClientAuthority>) {
        self.0.store(authority);
    }

    /// The one of now.
    pub fn now(&self) -> Arc<ClientAuthority> {
        self.0.load_full()
    }
}

impl ClientCertVerifier for ClientAuthorities {
    fn client_auth_mandatory(&self) -> bool {
        self.0.load().required
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
        self.0.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientAuthorities(..)")
    }
}

/// What a certificate says of who shows it; `None` where that can't be read.
pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
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
    Some(ClientCertificate { names: names.into(), ends_at: ends_at.saturating_add(1) })
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
        let read = read(certificate.der()).unwrap();
        let names = [
            CertificateName::of(certificate.der()),
            CertificateName::Dns("agent.example.com".into()),
            CertificateName::Uri("spiffe://example.com/agent".into()),
            CertificateName::Email("ops@example.com".into()),
            CertificateName::CommonName("agent".into()),
        ];
        assert_eq!(*read.names, names);
        assert_eq!(read.ends_at, 2_114_380_801);
        assert!(super::read(&CertificateDer::from(&b"no certificate"[..])).is_none());
    }
}
