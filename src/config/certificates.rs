//! The certificates of a TLS listener.

use std::{path::Path, sync::Arc, time::SystemTime};

use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SigningKey},
};
use toml::de::DeValue;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::{
    Problem, Severity, Surroundings, files,
    mask::shown,
    reading::Reading,
    table::{Item, Table},
};
use crate::{
    snapshot::{Certificate, CertificateFiles},
    types::Name,
};

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Less than this left is too little to wait for: who renews at a third of 90 days never sees it.
const WARNING_DAYS: i64 = 14;

/// Reads `{ cert = "...", key = "..." }`.
pub(super) fn read(mut table: Table<'_>, reading: &mut Reading<'_>) -> Option<Certificate> {
    let example = "{ cert = \"tls/fullchain.pem\", key = \"tls/privkey.pem\" }";
    let cert = table.require("cert", example, reading);
    let key = table.require("key", example, reading);
    table.finish(&[], reading);
    pair((cert.as_ref(), key.as_ref()), reading)
}

/// Reads the files of a certificate again.
///
/// # Errors
/// What is wrong with them, in the words of the configuration's own reader.
pub(super) fn again(
    files: &CertificateFiles,
    now: SystemTime,
) -> Result<Certificate, Box<Problem>> {
    let around = Surroundings { base_dir: &files.directory, environment: &|_| None, now };
    let mut reading = Reading::new("", around);
    let (cert, key) = (text(&files.cert), text(&files.key));
    let item = |name, value| Item { name, at: 0..0, name_at: 0..0, value };
    let read = pair((Some(&item("cert", &cert)), Some(&item("key", &key))), &mut reading);
    let fault = |problem: &Problem| problem.severity == Severity::Error;
    match (reading.into_problems().into_iter().find(fault), read) {
        (None, Some(certificate)) => Ok(certificate),
        (Some(problem), _) => Err(Box::new(problem)),
        (None, None) => Err(Box::new(Problem::of_file("can't be used", "check both files"))),
    }
}

pub(super) fn text(path: &str) -> DeValue<'_> {
    DeValue::String(path.into())
}

fn pair(
    (cert, key): (Option<&Item<'_>>, Option<&Item<'_>>),
    reading: &mut Reading<'_>,
) -> Option<Certificate> {
    let chain = cert.and_then(|item| chain(item, reading));
    let signing_key = key.and_then(|item| private_key(item, reading));
    let (cert, chain) = (cert?, chain?);
    let facts = facts(cert, &chain, reading)?;
    let certified = CertifiedKey::new(chain, signing_key?);
    match certified.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let place = reading.place(&cert.at);
            reading
                .error(&key?.at, "this key does not belong to the certificate")
                .hint("take both from one order: fullchain.pem and privkey.pem of one directory")
                .related(place, "the certificate");
            return None;
        }
        Err(_) => {
            reading
                .error(&cert.at, "the first certificate can't be used for TLS")
                .hint("it must be an X.509 version 3 certificate of a server");
            return None;
        }
    }
    let (path, key) = (cert.value.as_str()?, key?.value.as_str()?);
    let label = label(&facts.names, path)?;
    let directory = reading.around.base_dir.to_owned();
    let files = CertificateFiles { directory, cert: path.into(), key: key.into() };
    let Facts { names, starts_at, expires_at } = facts;
    Some(Certificate { label, names, starts_at, expires_at, key: Arc::new(certified), files })
}

fn chain(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let path = item.text(reading)?;
    let contents = files::read(item, path, reading)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.bytes).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    if chain.is_none() {
        reading
            .error(&item.at, format!("{} holds no certificate", shown(path)))
            .hint("it must be PEM: -----BEGIN CERTIFICATE-----, the server's own first");
    }
    chain
}

fn private_key(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Arc<dyn SigningKey>> {
    let path = item.text(reading)?;
    let contents = files::read(item, path, reading)?;
    contents.warn_if_world_readable(item, path, reading);
    let key = PrivateKeyDer::from_pem_slice(&contents.bytes).ok();
    let key = key.and_then(|der| any_supported_type(&der).ok());
    if key.is_none() {
        reading
            .error(&item.at, format!("{} holds no private key that can be used", shown(path)))
            .hint("it must be PEM, RSA, ECDSA or Ed25519, and not encrypted with a passphrase");
    }
    key
}

struct Facts {
    names: Vec<Box<str>>,
    starts_at: i64,
    expires_at: i64,
}

/// What the first certificate of a chain says of itself. One that has ended is an error: every
/// client would refuse it.
fn facts(
    item: &Item<'_>,
    chain: &[CertificateDer<'_>],
    reading: &mut Reading<'_>,
) -> Option<Facts> {
    let parsed = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let Some((_, certificate)) = parsed else {
        reading.error(&item.at, "the first certificate can't be read").hint("it must be X.509");
        return None;
    };
    let mut names = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase().into());
            }
        }
    }
    let now = i64::try_from(reading.now()).unwrap_or(i64::MAX);
    let (starts_at, expires_at) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    if now >= expires_at {
        let message = format!("the certificate ended on {}", day(expires_at));
        reading.error(&item.at, message).hint("renew it: every client refuses it now");
    } else if now < starts_at {
        let message = format!("the certificate is not valid before {}", day(starts_at));
        reading.error(&item.at, message).hint("check the clock of this machine, or wait");
    } else if expires_at - now < WARNING_DAYS * DAY_SECONDS {
        let message = format!("the certificate ends on {}", day(expires_at));
        reading.warning(&item.at, message).hint("renew it, and find out why nothing else did");
    }
    Some(Facts { names, starts_at, expires_at })
}

pub(super) fn day(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds);
    time.map_or_else(
        |_| "a day out of reach".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// The first name that it is for, or what its file is called.
fn label(names: &[Box<str>], path: &str) -> Option<Name> {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    let first = names.first().map(|name| name.trim_start_matches("*."));
    let candidates = [first, stem, Some("certificate")];
    candidates.into_iter().flatten().find_map(Name::parse)
}
