//! `client_ca`, `client_auth` and `client_crl` of a TLS listener, and `certificate` of a consumer.

use std::{sync::Arc, time::SystemTime};

use aws_lc_rs::digest;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::{
    Problem, Severity, Span, Surroundings,
    certificates::{day, text},
    files,
    mask::shown,
    reading::Reading,
    table::{Item, Table},
    value::is_dns_name,
};
use crate::{
    snapshot::{ClientAuthority, ClientAuthorityFiles},
    types::CertificateName,
};

/// Reads who answers for the clients of a listener, where that is written.
pub(super) fn read(table: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<ClientAuthority> {
    let (ca, crl) = (table.take("client_ca"), table.take("client_crl"));
    let auth = table.take("client_auth");
    if ca.is_none() {
        for item in [&auth, &crl].into_iter().flatten() {
            reading
                .error(&item.name_at, format!("`{}` without `client_ca`", item.name))
                .hint("name the authority of the clients: client_ca = \"tls/clients.pem\"");
        }
    }
    let choices = [("required", true), ("optional", false)];
    let required = match auth {
        Some(item) => item.choice(reading, &choices),
        None => Some(true),
    };
    authority((&ca?, crl.as_ref()), required?, reading)
}

/// Reads the files again.
///
/// # Errors
/// What is wrong with them, in the words of the configuration's own reader.
pub(super) fn again(
    (files, required): (&ClientAuthorityFiles, bool),
    now: SystemTime,
) -> Result<ClientAuthority, Box<Problem>> {
    let around = Surroundings { base_dir: &files.directory, environment: &|_| None, now };
    let mut reading = Reading::new("", around);
    let (ca, crl) = (text(&files.ca), files.crl.as_deref().map(text));
    let item = |name, value| Item { name, at: 0..0, name_at: 0..0, value };
    let ca = item("client_ca", &ca);
    let crl = crl.as_ref().map(|crl| item("client_crl", crl));
    let read = authority((&ca, crl.as_ref()), required, &mut reading);
    let fault = |problem: &Problem| problem.severity == Severity::Error;
    match (reading.into_problems().into_iter().find(fault), read) {
        (None, Some(authority)) => Ok(authority),
        (Some(problem), _) => Err(Box::new(problem)),
        (None, None) => Err(Box::new(Problem::of_file("can't be used", "check both files"))),
    }
}

fn authority(
    (ca, crl): (&Item<'_>, Option<&Item<'_>>),
    required: bool,
    reading: &mut Reading<'_>,
) -> Option<ClientAuthority> {
    let (ca_path, crl_path) = (ca.text(reading)?, crl.map(|item| item.text(reading)));
    let ca_bytes = files::read(ca, ca_path, reading)?.bytes;
    let roots = Arc::new(roots(ca, &ca_bytes, reading)?);
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&ca_bytes);
    let mut verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), Arc::new(default_provider()));
    if !required {
        verifier = verifier.allow_unauthenticated();
    }
    if let Some((item, path)) = crl.zip(crl_path) {
        let bytes = files::read(item, path?, reading)?.bytes;
        hash.update(&bytes);
        // Only the client's own: an authority that is withdrawn is taken out of `client_ca`.
        verifier = verifier
            .with_crls(lists(item, (&bytes, &roots), reading)?)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    let verifier: Arc<dyn ClientCertVerifier> = match verifier.build() {
        Ok(verifier) => verifier,
        Err(error) => {
            // The authorities could be read by then.
            let item = crl.unwrap_or(ca);
            let hint =
                "openssl ca -gencrl, or your authority, makes one of version 2 with its extensions";
            let message = format!("`{}` can't be used to check clients: {error}", item.name);
            reading.error(&item.at, message).hint(hint);
            return None;
        }
    };
    let mut contents = [0; 32];
    for (to, from) in contents.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    let files = ClientAuthorityFiles {
        directory: reading.around.base_dir.to_owned(),
        ca: ca_path.into(),
        crl: crl_path.flatten().map(Into::into),
    };
    Some(ClientAuthority { required, verifier, files, contents })
}

fn roots(item: &Item<'_>, bytes: &[u8], reading: &mut Reading<'_>) -> Option<RootCertStore> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let mut roots = RootCertStore::empty();
    let all = certificates.ok().filter(|all| !all.is_empty());
    let added = all.map(|all| all.into_iter().all(|certificate| roots.add(certificate).is_ok()));
    if added != Some(true) {
        reading
            .error(
                &item.at,
                format!("{} holds no authority that can be used", shown(item.value.as_str()?)),
            )
            .hint("it must be PEM: -----BEGIN CERTIFICATE-----, of those who sign your clients");
        return None;
    }
    Some(roots)
}

fn lists(
    item: &Item<'_>,
    (bytes, roots): (&[u8], &RootCertStore),
    reading: &mut Reading<'_>,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    let lists = lists.ok().filter(|lists| !lists.is_empty());
    let Some(lists) = lists else {
        reading
            .error(&item.at, format!("{} holds no revocation list", shown(item.value.as_str()?)))
            .hint("it must be PEM: -----BEGIN X509 CRL-----; openssl crl -inform DER turns others");
        return None;
    };
    let now = i64::try_from(reading.now()).unwrap_or(i64::MAX);
    let authorities = roots.subjects();
    for list in &lists {
        let parsed = CertificateRevocationList::from_der(list).ok().map(|(_, list)| list);
        let issuer = parsed.as_ref().map(|list| list.issuer().as_raw());
        if issuer.is_some_and(|issuer| !authorities.iter().any(|known| known.as_ref() == issuer)) {
            reading
                .warning(&item.at, "a revocation list is of none of the authorities of `client_ca`")
                .hint("clients of an authority without a list of its own aren't let in");
        }
        let next = parsed.and_then(|list| list.next_update().map(|time| time.timestamp()));
        if let Some(next) = next.filter(|next| *next <= now) {
            let message = format!("the revocation list was good until {}", day(next));
            reading
                .error(&item.at, message)
                .hint("get the new one: with this one no client would be let in");
            return None;
        }
    }
    Some(lists)
}

/// Reads the one name of a consumer's certificate: `{ san_dns = "agent.example.com" }`.
pub(super) fn name(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(CertificateName, Span)> {
    const KINDS: [&str; 5] = ["san_dns", "san_uri", "san_email", "subject_cn", "sha256"];
    let mut table = item.table("`certificate`", reading)?;
    let given: Vec<Item<'_>> = KINDS.iter().filter_map(|kind| table.take(kind)).collect();
    table.finish(&[], reading);
    let [only] = given.as_slice() else {
        reading
            .error(&item.at, "`certificate` needs exactly one name")
            .hint("one of san_dns, san_uri, san_email, subject_cn, sha256: { san_dns = \"agent.example.com\" }");
        return None;
    };
    let text = only.text(reading)?;
    let name = match only.name {
        "san_dns" => {
            is_dns_name(text).then(|| CertificateName::Dns(text.to_ascii_lowercase().into()))
        }
        "sha256" => CertificateName::parse_sha256(text),
        "san_uri" => text.contains(':').then(|| CertificateName::Uri(text.into())),
        "san_email" => text.contains('@').then(|| CertificateName::Email(text.into())),
        _ => (!text.trim().is_empty()).then(|| CertificateName::CommonName(text.into())),
    };
    if name.is_none() {
        let hint = match only.name {
            "san_dns" => "a DNS name as it stands in the certificate: agent.example.com",
            "sha256" => "openssl x509 -noout -fingerprint -sha256 -in client.pem prints it",
            "san_uri" => "a URI as it stands in the certificate: spiffe://example.com/agent",
            "san_email" => "an address as it stands in the certificate: ops@example.com",
            _ => "the CN of the certificate's subject",
        };
        let message = format!("`{}`: {} is no such name", only.name, shown(text));
        reading.error(&only.at, message).hint(hint);
    }
    Some((name?, item.at.clone()))
}
