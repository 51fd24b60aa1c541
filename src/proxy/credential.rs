use crate::{
    policy::{Certified, Consumers},
    types::{
        ClientCertificate, Credential, CredentialForm, Denial, Malformation, Path, Secret, Segment,
    },
    wire::Fields,
};

/// Names that a key in the query goes by. A query is kept by browsers, proxies and Referers, so a
/// key there is refused rather than used (MCP authorization, *Token Requirements*).
const QUERY_NAMES: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "bearer",
    "key",
    "token",
];

/// The one credential of a request, in whichever of its forms.
///
/// # Errors
/// `KeyMissing` where there is none; `CredentialAmbiguous` where there are two that differ, one in
/// the query, or one with a blank in it; `Malformed` where Authorization isn't visible ASCII.
pub fn present(
    fields: &Fields,
    path: &Path<'_>,
    key: Option<Segment<'_>>,
) -> Result<Credential, Denial> {
    if path.query().is_some_and(names_a_key) {
        return Err(Denial::CredentialAmbiguous);
    }
    let in_path = key.map(|segment| Secret::new(segment.decoded()));
    let in_head = authorization(fields)?;
    let (key, form) = match (in_path, in_head) {
        (Some(path), Some((head, _))) if !path.matches(&head) => {
            return Err(Denial::CredentialAmbiguous);
        }
        (Some(path), _) => (path, CredentialForm::Path),
        (None, Some(head)) => head,
        (None, None) => return Err(Denial::KeyMissing),
    };
    let digest = key.digest();
    Ok(Credential { key, digest, form })
}

/// The same, or where there is no key the certificate, if a consumer without a key has it.
///
/// # Errors
/// As [`present`].
pub(super) fn or_certificate(
    presented: Result<Credential, Denial>,
    certificate: Option<&ClientCertificate>,
    consumers: &Consumers,
) -> Result<Credential, Denial> {
    let certified = certificate.map(|shown| consumers.certified(shown));
    match (presented, certified) {
        (Err(Denial::KeyMissing), Some(Certified::One(consumer))) if !consumer.has_key => {
            let key = Secret::new(String::new());
            Ok(Credential { key, digest: consumer.digest, form: CredentialForm::Certificate })
        }
        (presented, _) => presented,
    }
}

fn authorization(fields: &Fields) -> Result<Option<(Secret, CredentialForm)>, Denial> {
    let mut values = fields.get_all("authorization");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Denial::CredentialAmbiguous);
    }
    let readable = value.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = std::str::from_utf8(value).ok().filter(|_| readable);
    let text = text.ok_or(Denial::Malformed(Malformation::Field))?;
    // The scheme is case-insensitive (RFC 9110 11.1); Postiz itself knows only one spelling.
    let bearer =
        text.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "));
    let (key, form) = match bearer {
        Some((_, key)) => (key.trim_start_matches(' '), CredentialForm::Bearer),
        None if text.eq_ignore_ascii_case("bearer") => ("", CredentialForm::Bearer),
        None => (text, CredentialForm::Raw),
    };
    // RFC 6750 2.1 has no blank in a token. Postiz takes the first `Bearer ` away wherever it
    // stands, others read the second word: what is one key here would be another one there, past
    // its limits, its bans and its end.
    if key.contains(' ') {
        return Err(Denial::CredentialAmbiguous);
    }
    Ok((!key.is_empty()).then(|| (Secret::new(key.to_owned()), form)))
}

/// Whether a query holds a parameter that a key goes by. An encoded name is taken for one: nobody
/// who means well spells it so.
fn names_a_key(query: &str) -> bool {
    query.split(['&', ';']).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.contains('%') || QUERY_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Template;

    fn check(target: &str, authorization: &[&str]) -> Result<(String, CredentialForm), Denial> {
        let mut fields = Fields::new();
        for value in authorization {
            fields.push("authorization", value.as_bytes());
        }
        let path = Path::read(target).unwrap();
        let template = Template::parse("/mcp/{key}").unwrap();
        let key = template.matches(&path).and_then(|matched| matched.key);
        present(&fields, &path, key).map(|c| (c.key.expose().to_owned(), c.form))
    }

    #[test]
    fn every_form_of_one_key_is_one_key() {
        use CredentialForm::{Bearer, Path, Raw};
        let key = |form| Ok(("k1".to_owned(), form));
        assert_eq!(check("/mcp/k1/sse", &[]), key(Path));
        assert_eq!(check("/mcp/%6b1", &["Bearer k1"]), key(Path));
        assert_eq!(check("/mcp", &["Bearer k1"]), key(Bearer));
        assert_eq!(check("/mcp", &["bEARER  k1"]), key(Bearer));
        assert_eq!(check("/mcp", &["k1"]), key(Raw));
    }

    #[test]
    fn a_missing_key_is_not_an_ambiguous_one() {
        for none in [&[][..], &["Bearer "], &["bearer"], &[""]] {
            assert_eq!(check("/mcp", none), Err(Denial::KeyMissing), "{none:?}");
        }
        assert_eq!(check("/mcp/k1", &["Bearer k2"]), Err(Denial::CredentialAmbiguous));
        assert_eq!(check("/mcp", &["k1", "k1"]), Err(Denial::CredentialAmbiguous));
        for blank in ["kBearer 1", "Bearer k1 x", "Basic k1", "Bearer Bearer k1"] {
            assert_eq!(check("/mcp", &[blank]), Err(Denial::CredentialAmbiguous), "{blank}");
        }
        for query in ["?key=k1", "?a=1&API_KEY=k1", "?access_token=x", "?%6bey=k1", "?a;token=x"] {
            let target = format!("/mcp/k1{query}");
            assert_eq!(check(&target, &[]), Err(Denial::CredentialAmbiguous), "{query}");
        }
        assert!(check("/mcp/k1?sessionId=1", &[]).is_ok());
    }
}
