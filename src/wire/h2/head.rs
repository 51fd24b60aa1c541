//! An HTTP/2 request becomes the same canonical head as one of HTTP/1.1, and is held to the same
//! rules. What the library refuses by itself (upper-case names, connection fields, pseudo fields
//! out of place) never comes here.

use bytes::Bytes;
use http::{HeaderMap, Uri, request::Parts};

use crate::{
    types::{Denial, Limit, Malformation, Method},
    wire::{
        Fields, Framing, Host, RequestHead, Version,
        head::HeadLimits,
        names::{Class, classify, is_disguised},
    },
};

/// What a field costs beside its name and value (RFC 9113 6.5.2).
const FIELD_BYTES: usize = 32;

/// Reads a request. `ended`: no body follows.
pub(super) fn read(parts: &Parts, ended: bool, limits: HeadLimits) -> Result<RequestHead, Denial> {
    within_limits(parts, limits)?;
    let host = read_host(&parts.uri, &parts.headers)?;
    let method = Method::parse(parts.method.as_str().as_bytes());
    let target = read_target(&parts.uri, method)?;
    let fields = read_fields(&parts.headers)?;
    let framing = if ended { Framing::None } else { read_framing(&parts.headers)? };
    let expect_continue = read_expect(&parts.headers)? && !ended;
    Ok(RequestHead {
        method,
        target,
        host,
        version: Version::Http2,
        fields,
        framing,
        expect_continue,
        persistent: true,
        dropped: Vec::new(),
        upgrade: None,
    })
}

/// The limits of an HTTP/1.1 head, for what that head would be. Each crumb of a cookie is a field:
/// a thousand of them are one byte each on the wire.
fn within_limits(parts: &Parts, limits: HeadLimits) -> Result<(), Denial> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target {
        return Err(Denial::TargetTooLong);
    }
    // One more for Host.
    if parts.headers.len() + 1 > limits.fields {
        return Err(Denial::HeadTooLarge(Limit::Fields));
    }
    if size(parts) > limits.head {
        return Err(Denial::HeadTooLarge(Limit::Head));
    }
    Ok(())
}

/// The bytes of a head, uncompressed.
pub(super) fn size(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + FIELD_BYTES
    };
    target + parts.headers.iter().map(field).sum::<usize>()
}

/// `:authority`, or `host` where there is none (RFC 9113 8.3.1); where both are, they agree.
fn read_host(uri: &Uri, fields: &HeaderMap) -> Result<Host, Denial> {
    let mut hosts = fields.get_all("host").iter();
    let (host, more) = (hosts.next(), hosts.next());
    let read = |text: &[u8]| Host::parse(Bytes::from(text.to_ascii_lowercase()));
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = match (authority, host.map(http::HeaderValue::as_bytes), more) {
        (Some(authority), None, None) => read(authority),
        (None, Some(host), None) => read(host),
        (Some(authority), Some(host), None) => {
            read(authority).filter(|named| read(host).as_ref() == Some(named))
        }
        _ => None,
    };
    host.ok_or(Denial::Malformed(Malformation::Host))
}

fn read_target(uri: &Uri, method: Method) -> Result<Bytes, Denial> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    // A fragment was cut off by `http` before anyone could see it: it is neither judged nor sent.
    let fine = target.bytes().all(|byte| byte.is_ascii_graphic());
    match target.as_bytes() {
        [b'/', ..] if fine => Ok(Bytes::copy_from_slice(target.as_bytes())),
        b"*" if method == Method::Options => Ok(Bytes::from_static(b"*")),
        _ => Err(Denial::Malformed(Malformation::Target)),
    }
}

fn read_fields(map: &HeaderMap) -> Result<Fields, Denial> {
    let mut fields = Fields::new();
    let mut cookie = Vec::new();
    for (name, value) in map {
        let (name, value) = (name.as_str(), value.as_bytes());
        // RFC 9113 8.2.1: no white space around a value. HTTP/1.1 would cut it off, and what was
        // compared here would be another text there.
        if value.first().into_iter().chain(value.last()).any(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(Denial::Malformed(Malformation::Field));
        }
        match classify(name.as_bytes()) {
            Class::EndToEnd if is_disguised(name.as_bytes()) => {
                return Err(Denial::Malformed(Malformation::FieldName));
            }
            // RFC 9113 8.2.3: the crumbs are one field again before they go on.
            Class::EndToEnd if name == "cookie" => {
                if !cookie.is_empty() {
                    cookie.extend_from_slice(b"; ");
                }
                cookie.extend_from_slice(value);
            }
            Class::EndToEnd => fields.push(name, value),
            Class::Host
            | Class::Expect
            | Class::ContentLength
            | Class::TransferEncoding
            | Class::Connection
            | Class::Upgrade
            | Class::HopByHop => {}
        }
    }
    if !cookie.is_empty() {
        fields.push("cookie", &cookie);
    }
    Ok(fields)
}

/// The library holds the frames to the length; here it is what a policy judges and the upstream
/// is told.
fn read_framing(fields: &HeaderMap) -> Result<Framing, Denial> {
    let mut lengths = fields.get_all("content-length").iter();
    let fault = Denial::Malformed(Malformation::Framing);
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(Framing::Chunked),
        (Some(length), None) => {
            let digits = length.to_str().ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).map(Framing::Length).ok_or(fault)
        }
        (Some(_), Some(_)) => Err(fault),
    }
}

fn read_expect(fields: &HeaderMap) -> Result<bool, Denial> {
    let mut expected = fields.get_all("expect").iter();
    match (expected.next(), expected.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Denial::Expectation),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { target: 64, head: 2048, fields: 8 };

    fn parts(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri).method("POST");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn read(uri: &str, fields: &[(&str, &str)]) -> Result<RequestHead, Denial> {
        super::read(&parts(uri, fields), false, LIMITS)
    }

    #[test]
    fn a_request_becomes_the_head_that_http_1_would_have_given() {
        let fields = [("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("x", "1")];
        let head = read("https://A.test:443/p?q=1", &fields).unwrap();
        assert_eq!((head.target(), head.host.to_string().as_str()), ("/p?q=1", "a.test:443"));
        assert_eq!(head.fields.get("cookie"), Some(&b"a=1; b=2"[..]));
        assert_eq!((head.fields.len(), head.framing), (2, Framing::Chunked));
        let head = read("/", &[("host", "a.test"), ("content-length", "5")]).unwrap();
        assert_eq!((head.framing, head.fields.is_empty()), (Framing::Length(5), true));
    }

    #[test]
    fn one_authority_is_named_and_two_agree() {
        let host = |uri: &str, fields: &[(&str, &str)]| {
            read(uri, fields).map(|head| head.host.to_string())
        };
        assert_eq!(host("https://a.test/", &[("host", "A.test")]).unwrap(), "a.test");
        let bad = Err(Denial::Malformed(Malformation::Host));
        assert_eq!(host("/", &[]), bad);
        assert_eq!(host("https://a.test/", &[("host", "b.test")]), bad);
        assert_eq!(host("https://a.test/", &[("host", "a.test"), ("host", "a.test")]), bad);
        assert_eq!(host("https://u@a.test/", &[]), bad);
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        let fault = |uri: &str, fields: &[(&str, &str)]| read(uri, fields).err();
        let uri = "https://a.test/";
        let malformed = |what| Some(Denial::Malformed(what));
        assert_eq!(fault(uri, &[("x", " a")]), malformed(Malformation::Field));
        assert_eq!(fault(uri, &[("x_forwarded_for", "a")]), malformed(Malformation::FieldName));
        assert_eq!(fault(uri, &[("content-length", "+1")]), malformed(Malformation::Framing));
        assert_eq!(fault(uri, &[("expect", "x")]), Some(Denial::Expectation));
        assert_eq!(fault("https://a.test/{", &[]), None, "judged with the path");
        let crumbs = vec![("cookie", "a"); 8];
        assert_eq!(
            fault(uri, &crumbs),
            Some(Denial::HeadTooLarge(Limit::Fields)),
            "each crumb is a field"
        );
        assert_eq!(fault(&format!("{uri}{}", "a".repeat(64)), &[]), Some(Denial::TargetTooLong));
        let long = "a".repeat(2048);
        assert_eq!(fault(uri, &[("x", &long)]), Some(Denial::HeadTooLarge(Limit::Head)));
    }
}
