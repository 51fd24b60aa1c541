//! Certificates that are made on the spot, and clients that take any.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::CertificateDer};

use crate::{Outcome, anybody::Anybody};

/// Writes a new pair, the key first: a moment long the two don't belong together.
pub(crate) fn write(folder: &Path) -> Outcome<CertificateDer<'static>> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = folder.join("key.pem");
    fs::write(&key, signing_key.serialize_pem())?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    fs::write(folder.join("cert.pem"), cert.pem())?;
    Ok(cert.der().clone())
}

/// Whoever answers is believed: it is loopback.
pub(crate) fn client() -> Outcome<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
