use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest;

use super::KeyDigest;

/// What a client certificate says of who shows it. An authority has signed it; that it is believed was
/// decided in the handshake, and holds until it is withdrawn.
#[derive(Debug)]
pub struct ClientCertificate {
    /// All that it is called.
    pub names: Box<[CertificateName]>,
    /// The first second, UTC since 1970, at which it is no longer valid.
    pub ends_at: u64,
    /// As it was shown, its own first, in DER.
    pub chain: Box<[Box<[u8]>]>,
    withdrawn: AtomicBool,
}

impl ClientCertificate {
    /// One that is believed.
    pub fn new((names, ends_at): (Vec<CertificateName>, u64), chain: Box<[Box<[u8]>]>) -> Self {
        Self { names: names.into(), ends_at, chain, withdrawn: AtomicBool::new(false) }
    }

    /// Whether nobody answers for it any more.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Whether somebody answers for it, from now on.
    pub fn set_withdrawn(&self, withdrawn: bool) {
        self.withdrawn.store(withdrawn, Ordering::Release);
    }
}

/// One thing that a certificate is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// A DNS name, in lower case (RFC 5280 4.2.1.6). A `*` stands for itself.
    Dns(Box<str>),
    /// A URI, as SPIFFE writes identities.
    Uri(Box<str>),
    /// An email address.
    Email(Box<str>),
    /// The subject's common name.
    CommonName(Box<str>),
    /// SHA-256 of the whole certificate.
    Sha256([u8; 32]),
}

impl CertificateName {
    /// The name of a certificate as a whole.
    pub fn of(certificate: &[u8]) -> Self {
        Self::Sha256(sha256(certificate))
    }

    /// Reads the 64 hex digits of a certificate's SHA-256, with colons between them or without, as
    /// `openssl x509 -fingerprint -sha256` prints them.
    pub fn parse_sha256(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.replace(':', ""), &mut bytes).ok().map(|()| Self::Sha256(bytes))
    }

    /// What stands for who is known by this name alone where others have a key's digest: in buckets,
    /// fingerprints and marks. Never the digest of a key that somebody can present: 0xFF is in no UTF-8
    /// text, and every key is one.
    pub fn identity(&self) -> KeyDigest {
        let (kind, bytes) = match self {
            Self::Dns(name) => (0, name.as_bytes()),
            Self::Uri(name) => (1, name.as_bytes()),
            Self::Email(name) => (2, name.as_bytes()),
            Self::CommonName(name) => (3, name.as_bytes()),
            Self::Sha256(digest) => (4, &digest[..]),
        };
        KeyDigest::of_certificate(sha256(&[&[0xFF, kind], bytes].concat()))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let hash = digest::digest(&digest::SHA256, bytes);
    for (to, from) in out.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it() {
        let bare = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        let read = CertificateName::parse_sha256(bare);
        assert_eq!(read, Some(CertificateName::of(b"a")));
        let pairs: Vec<&str> = (0..32).map(|at| &bare[2 * at..2 * at + 2]).collect();
        assert_eq!(CertificateName::parse_sha256(&pairs.join(":").to_uppercase()), read);
        for bad in ["", "ca97", &bare[1..]] {
            assert_eq!(CertificateName::parse_sha256(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_name_is_an_identity_of_its_own() {
        let name = || Box::from("a.test");
        let names = [
            CertificateName::Dns(name()),
            CertificateName::Uri(name()),
            CertificateName::Email(name()),
            CertificateName::CommonName(name()),
            CertificateName::of(b"a.test"),
        ];
        let identities: std::collections::HashSet<_> =
            names.iter().map(CertificateName::identity).collect();
        assert_eq!(identities.len(), names.len());
    }
}
