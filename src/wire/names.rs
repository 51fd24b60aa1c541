//! Field names that the gateway acts on.

/// What a field is to the reader of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Upgrade,
    /// For the next hop alone (RFC 9110 7.6.1): never passed on.
    HopByHop,
    /// Passed on.
    EndToEnd,
}

/// What a lower-case name is to the reader of a head.
pub(super) fn classify(name: &[u8]) -> Class {
    match name {
        b"host" => Class::Host,
        b"content-length" => Class::ContentLength,
        b"transfer-encoding" => Class::TransferEncoding,
        b"connection" => Class::Connection,
        b"expect" => Class::Expect,
        b"upgrade" => Class::Upgrade,
        b"keep-alive" | b"te" | b"trailer" | b"http2-settings" => Class::HopByHop,
        _ if name.starts_with(b"proxy-") => Class::HopByHop,
        _ => Class::EndToEnd,
    }
}

/// Whether a lower-case name is one that a policy here, or the upstream's own, goes by.
///
/// `Connection` must not be able to drop it (hop-by-hop abuse strips the very field that a check
/// relies on), and no spelling of it with `_` may pass beside it: CGI-like servers read `_` as `-`.
pub(super) fn is_acted_on(name: &[u8]) -> bool {
    classify(name) != Class::EndToEnd
        || name.starts_with(b"x-forwarded-")
        || name.starts_with(b"mcp-")
        || is_of_a_certificate(name)
        || matches!(
            name,
            b"accept"
                | b"accept-encoding"
                | b"authorization"
                | b"cdn-src-ip"
                | b"cf-connecting-ip"
                | b"cf-connecting-ipv6"
                | b"cf-pseudo-ipv4"
                | b"client-ip"
                | b"content-encoding"
                | b"content-type"
                | b"cookie"
                | b"do-connecting-ip"
                | b"fastly-client-ip"
                | b"fly-client-ip"
                | b"forwarded"
                | b"forwarded-for"
                | b"incap-client-ip"
                | b"last-event-id"
                | b"origin"
                | b"proxy"
                | b"referer"
                | b"set-cookie"
                | b"true-client-ip"
                | b"wl-proxy-client-ip"
                | b"x-accel-redirect"
                | b"x-appengine-user-ip"
                | b"x-azure-clientip"
                | b"x-azure-socketip"
                | b"x-client-ip"
                | b"x-cluster-client-ip"
                | b"x-envoy-external-address"
                | b"x-forwarded"
                | b"x-http-method"
                | b"x-http-method-override"
                | b"x-invoke-path"
                | b"x-method-override"
                | b"x-middleware-subrequest"
                | b"x-nf-client-connection-ip"
                | b"x-original-forwarded-for"
                | b"x-original-uri"
                | b"x-original-url"
                | b"x-originating-ip"
                | b"x-proxyuser-ip"
                | b"x-real-client-ip"
                | b"x-real-ip"
                | b"x-remote-addr"
                | b"x-remote-ip"
                | b"x-rewrite-url"
                | b"x-sucuri-clientip"
                | b"x-vercel-forwarded-for"
        )
}

/// Whether proxies tell who the client is, or its certificate, by that lower-case name, and servers believe it
/// (RFC 9440, and what each proxy has of its own). There are dozens, so it is told by what they have in
/// common, whatever stands between the words.
pub fn is_of_a_certificate(name: &[u8]) -> bool {
    /// Longer than any of them.
    const LONGEST: usize = 64;
    const HINTS: [&[u8]; 6] = [b"cert", b"client", b"peer", b"ssl", b"spiffe", b"remote"];
    const WORDS: [&[u8]; 16] = [
        b"clientcert",
        b"clientverif",
        b"clientsubject",
        b"clientissuer",
        b"clientcn",
        b"clientdn",
        b"clientssl",
        b"clientx509",
        b"sslclient",
        b"tlsclient",
        b"mtlsclient",
        b"sslcert",
        b"usercert",
        b"peercert",
        b"spiffe",
        b"remoteuser",
    ];
    let has = |text: &[u8], word: &&[u8]| memchr::memmem::find(text, word).is_some();
    if !HINTS.iter().any(|hint| has(name, hint)) {
        return false;
    }
    let (mut words, mut length) = ([0; LONGEST], 0);
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
    for (to, from) in words.iter_mut().zip(letters) {
        *to = *from;
        length += 1;
    }
    let words = words.get(..length).unwrap_or_default();
    WORDS.iter().any(|word| has(words, word))
}

/// Whether the name holds a `_` that, read as `-`, makes a name that is acted on.
pub(super) fn is_disguised(name: &[u8]) -> bool {
    /// Longer than any name that is acted on; what is longer can only match by its prefix.
    const LONGEST: usize = 32;
    if !name.contains(&b'_') {
        return false;
    }
    let mut plain = [0; LONGEST];
    let mut len = 0;
    for (to, from) in plain.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
        len += 1;
    }
    is_acted_on(plain.get(..len).unwrap_or_default())
}

/// RFC 9110 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether the text is a token: at least one byte, and no other.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_hides_no_name_that_is_acted_on() {
        for name in [
            "content_length",
            "transfer_encoding",
            "x_forwarded-for",
            "x-forwarded_anything_at_all_and_longer_than_any_name",
            "mcp_session_id",
            "proxy_connection",
            "x_real_ip",
            "x_client_ip",
            "last-event_id",
        ] {
            assert!(is_disguised(name.as_bytes()), "{name}");
        }
        for name in ["x_custom", "content-length", "sentry_trace", "_", "accept_", "host_"] {
            assert!(!is_disguised(name.as_bytes()), "{name}");
        }
    }
}
