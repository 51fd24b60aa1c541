//! A TLS listener for `localhost`, with a certificate and its authority made on the spot.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

const DAY: Duration = Duration::from_secs(86_400);

/// The listener's part of a configuration; its files are in the folder, and `ca.pem` for the clients.
pub(crate) fn listener(folder: &Path) -> String {
    write(folder);
    format!(
        "[[listeners]]\nname = \"https\"\naddress = \"127.0.0.1:0\"\n\
         tls = {{ certificates = [{{ cert = {:?}, key = {:?} }}] }}\n\n",
        folder.join("leaf.pem"),
        folder.join("leaf.key"),
    )
}

fn write(folder: &Path) {
    let path = |name: &str| folder.join(name);
    let mut authority = CertificateParams::new(Vec::new()).expect("no names, none bad");
    // Named apart from the leaf, or OpenSSL takes that for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "Authority of the tests");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
        .expect("fixed parameters");
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names).expect("good names");
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // As long as such certificates are valid on the public web.
    leaf.not_before = (SystemTime::now() - DAY).into();
    leaf.not_after = (SystemTime::now() + 89 * DAY).into();
    let leaf = leaf.signed_by(&key, &authority).expect("fixed parameters");
    fs::write(path("ca.pem"), authority.pem()).expect("the folder is ours");
    fs::write(path("leaf.pem"), leaf.pem()).expect("the folder is ours");
    fs::write(path("leaf.key"), key.serialize_pem()).expect("the folder is ours");
    fs::set_permissions(path("leaf.key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
}
