use std::io;

use jiff::{ToSpan, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// Every name of the demonstration's server.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// PEM texts of a fresh authority and of a server certificate that it signed.
pub(super) struct Certificates {
    /// The authority's certificate, for `curl --cacert`.
    pub(super) authority: String,
    /// The server's certificate.
    pub(super) chain: String,
    /// The server's private key.
    pub(super) key: String,
}

/// Makes an authority, lets it sign one certificate for loopback, and forgets its key: whoever
/// trusts this authority and leaves it in a store trusts one certificate, and nothing later.
pub(super) fn make() -> io::Result<Certificates> {
    sign().map_err(io::Error::other)
}

fn sign() -> Result<Certificates, rcgen::Error> {
    let mut authority = params(Vec::new(), "Portcullis demonstration authority")?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = NAMES.map(str::to_owned).to_vec();
    let mut server = params(names, "Portcullis demonstration")?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let chain = server.signed_by(&key, &authority)?;
    Ok(Certificates { authority: authority.pem(), chain: chain.pem(), key: key.serialize_pem() })
}

/// Valid from yesterday, for clocks that are a little late, and for a month.
fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let today = Zoned::now().date();
    let date = |day: jiff::civil::Date| {
        let month = u8::try_from(day.month()).unwrap_or(1);
        date_time_ymd(day.year().into(), month, u8::try_from(day.day()).unwrap_or(1))
    };
    params.not_before = date(today.saturating_sub(1.day()));
    params.not_after = date(today.saturating_add(30.days()));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::*;

    #[test]
    fn a_client_that_trusts_the_authority_accepts_the_server_by_each_name() {
        let made = make().unwrap();
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(der(&made.authority)).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        let accepts = |name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&der(&made.chain), &[], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(NAMES.into_iter().all(accepts));
        assert!(!accepts("postiz.example.com"));
    }
}
