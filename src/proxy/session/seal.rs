use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
// A field, a query and a path take its text as it is, and of each text there is one spelling.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    snapshot::{Endpoint, Endpoints},
    types::{KeyDigest, Name, Secret},
};

/// The longest id of an upstream, in bytes. One that is longer belongs to no server that clients
/// could talk to: it goes into a head of every request.
const MAX_ID: usize = 1024;

/// What the first byte of a sealed id says: how the rest is to be read.
const VERSION: u8 = 1;

/// Seals the ids of sessions, with one secret for all. What was sealed for one client opens for no
/// other: so a session is bound to its key without a table, over restarts and on every replica that
/// has the secret.
///
/// ```compile_fail
/// fn show(seal: &portcullis::proxy::Seal) -> String { format!("{seal}") }
/// ```
pub struct Seal(LessSafeKey);

/// What a session is bound to: who was given it, and on which route. The endpoint that gave it lies
/// under the seal.
#[derive(Clone, Copy)]
pub(super) struct Binding<'b> {
    pub(super) key: &'b KeyDigest,
    pub(super) route: &'b Name,
}

/// Where an id stands. What was sealed for the one doesn't open in the other: an id in a field may
/// hold what would be one more parameter in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// `Mcp-Session-Id`.
    Field,
    /// `sessionId` of the legacy transport.
    Query,
}

impl Seal {
    /// The seal of a secret of 32 bytes. `None` where it is of another length.
    pub fn new(secret: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM_SIV, secret).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// The id that an endpoint gives, as the client gets it: the same text each time. `None` for what is
    /// no id: it has 1 to 1,024 bytes of visible ASCII (MCP transports, *Session Management*).
    pub(super) fn seal(
        &self,
        carrier: Carrier,
        binding: Binding<'_>,
        (at, id): (&Endpoint, &[u8]),
    ) -> Option<String> {
        if !(1..=MAX_ID).contains(&id.len()) || !id.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let endpoint = endpoint_mark(at);
        let mut sealed = [&[VERSION][..], &endpoint, id].concat();
        let bound_to = Aad::from(associated(carrier, binding));
        self.0.seal_in_place_append_tag(nonce(), bound_to, &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode(&sealed))
    }

    /// The upstream's id in what a client sent, and which of the endpoints gave it. `None` where it
    /// wasn't sealed here, or for another key, route, server or place.
    pub(super) fn open<'e>(
        &self,
        carrier: Carrier,
        binding: Binding<'_>,
        (endpoints, text): (&'e Endpoints, &[u8]),
    ) -> Option<(&'e Arc<Endpoint>, Secret)> {
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let bound_to = Aad::from(associated(carrier, binding));
        let opened = self.0.open_in_place(nonce(), bound_to, &mut sealed).ok()?;
        let (mark, id) = opened.strip_prefix(&[VERSION])?.split_first_chunk()?;
        let at = endpoints.iter().find(|endpoint| endpoint_mark(endpoint) == *mark)?;
        std::str::from_utf8(id).ok().map(|id| (at, Secret::new(id.to_owned())))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// One for all: GCM-SIV makes its own from what it seals (RFC 8452), so that one session has one text
/// and a repeated nonce shows nothing but that it is the same session.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn associated(carrier: Carrier, Binding { key, route }: Binding<'_>) -> Vec<u8> {
    let carrier = match carrier {
        Carrier::Field => 0,
        Carrier::Query => 1,
    };
    [&[carrier][..], key.as_bytes(), route.as_str().as_bytes()].concat()
}

/// Tells endpoints apart. Short, and no more than a checksum: it lies under the seal, where nobody
/// chooses it.
fn endpoint_mark(endpoint: &Endpoint) -> [u8; 4] {
    crc32fast::hash(endpoint.authority.as_bytes()).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::Scheme;

    fn digest(key: &str) -> KeyDigest {
        Secret::new(key.to_owned()).digest()
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn at(authority: &str) -> Endpoint {
        let (scheme, host) = (Scheme::Http, "10.0.0.1".into());
        Endpoint { scheme, host, port: 3000, authority: authority.into() }
    }

    fn all(authorities: &[&str]) -> Endpoints {
        Endpoints::of(authorities.iter().map(|authority| at(authority))).unwrap()
    }

    fn seal() -> Seal {
        Seal::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_session_opens_for_its_own_key_route_server_place_and_secret_alone() {
        use Carrier::{Field, Query};
        let (mine, theirs) = (digest("k"), digest("other"));
        let (mcp, other) = (name("mcp"), name("other"));
        let own = Binding { key: &mine, route: &mcp };
        let given = at("10.0.0.1:3000");
        let sealed = seal().seal(Field, own, (&given, b"4f7c-1")).unwrap();
        let opened_at = |seal: &Seal, (carrier, binding), authorities: &[&str]| {
            let endpoints = all(authorities);
            let (at, id) = seal.open(carrier, binding, (&endpoints, sealed.as_bytes()))?;
            Some((at.authority.to_string(), id.expose().to_owned()))
        };
        let opened =
            |seal: &Seal, carrier, binding| opened_at(seal, (carrier, binding), &["10.0.0.1:3000"]);
        let found = Some(("10.0.0.1:3000".to_owned(), "4f7c-1".to_owned()));
        assert_eq!(opened(&seal(), Field, own), found);
        let several = ["10.0.0.2:3000", "10.0.0.1:3000", "10.0.0.3:3000"];
        assert_eq!(opened_at(&seal(), (Field, own), &several), found);
        assert_eq!(opened_at(&seal(), (Field, own), &["10.0.0.2:3000", "10.0.0.3:3000"]), None);
        let again = seal().seal(Field, own, (&given, b"4f7c-1")).unwrap();
        assert_eq!(again, sealed, "the same each time");
        for (carrier, binding) in [
            (Query, own),
            (Field, Binding { key: &theirs, ..own }),
            (Field, Binding { route: &other, ..own }),
        ] {
            assert_eq!(opened(&seal(), carrier, binding), None);
        }
        assert_eq!(opened(&Seal::new(&[8; 32]).unwrap(), Field, own), None);
        assert!(Seal::new(&[7; 31]).is_none());
        assert_eq!(format!("{:?}", seal()), "Seal(..)");
    }

    #[test]
    fn an_id_is_visible_ascii_of_at_most_a_kibibyte() {
        let (key, route) = (digest("k"), name("mcp"));
        let own = Binding { key: &key, route: &route };
        let sealed = |id: &[u8]| seal().seal(Carrier::Field, own, (&at("a"), id));
        assert!(sealed(&[b'~'; MAX_ID]).is_some() && sealed(b"!").is_some());
        for wrong in [&b""[..], b"a b", b"\x7f", b"\xc3\xa4", b"a\n", &[b'a'; MAX_ID + 1]] {
            assert_eq!(sealed(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_sealed_opens_as_it_was(id in "[!-~]{1,80}", key in ".{1,20}", by in "[!-~]{1,20}") {
            let (key, route) = (digest(&key), name("mcp"));
            let own = Binding { key: &key, route: &route };
            for carrier in [Carrier::Field, Carrier::Query] {
                let sealed = seal().seal(carrier, own, (&at(&by), id.as_bytes())).unwrap();
                prop_assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
                let endpoints = all(&[&by]);
                let (from, opened) = seal().open(carrier, own, (&endpoints, sealed.as_bytes())).unwrap();
                prop_assert_eq!((opened.expose(), &*from.authority), (&*id, &*by));
            }
        }

        #[test]
        fn one_changed_byte_opens_nothing(id in "[!-~]{1,40}", index in any::<prop::sample::Index>(), to: u8) {
            let (key, route) = (digest("k"), name("mcp"));
            let (own, endpoints) = (Binding { key: &key, route: &route }, all(&["a"]));
            let sealed = seal().seal(Carrier::Field, own, (&at("a"), id.as_bytes()));
            let mut sealed = sealed.unwrap().into_bytes();
            let index = index.index(sealed.len());
            prop_assume!(sealed[index] != to);
            sealed[index] = to;
            prop_assert!(seal().open(Carrier::Field, own, (&endpoints, &sealed)).is_none());
            sealed.truncate(index);
            prop_assert!(seal().open(Carrier::Field, own, (&endpoints, &sealed)).is_none());
        }

        #[test]
        fn what_nobody_sealed_opens_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            text in "[A-Za-z0-9_-]{0,200}",
        ) {
            let (key, route) = (digest("k"), name("mcp"));
            let (own, endpoints) = (Binding { key: &key, route: &route }, all(&["a"]));
            for text in [&*bytes, text.as_bytes(), URL_SAFE_NO_PAD.encode(&bytes).as_bytes()] {
                prop_assert!(seal().open(Carrier::Query, own, (&endpoints, text)).is_none());
            }
        }
    }
}
