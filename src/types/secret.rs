use std::{fmt, num::NonZeroU64};

use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};
use siphasher::{sip::SipHasher, sip128};
use subtle::ConstantTimeEq;

/// A key that may be used but not shown.
///
/// There is no `Display`, `Serialize`, `Deref`, `Clone` or `PartialEq`: nothing to leak through.
/// It is wiped from memory when dropped.
///
/// ```compile_fail
/// fn show(key: &portcullis::types::Secret) -> String { format!("{key}") }
/// ```
/// ```compile_fail
/// fn copy(key: &portcullis::types::Secret) -> portcullis::types::Secret { key.clone() }
/// ```
pub struct Secret(SecretString);

impl Secret {
    /// Takes a key over. The caller's copy should not outlive the call.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The key itself, to be written upstream. Every call site is one to review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// SHA-256 of the key: what tables and buckets go by.
    pub fn digest(&self) -> KeyDigest {
        let hash = digest::digest(&digest::SHA256, self.expose().as_bytes());
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        KeyDigest(bytes)
    }

    /// Whether two secrets are the same key, in time that depends on their lengths alone.
    pub fn matches(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of a key. Not shown either: the digest of a short key can be turned back by trying.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Reads the 64 hex digits of `key_sha256`.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// What stands for who has no key: made of a certificate's name, in such a way that it is no key's.
    pub(super) const fn of_certificate(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The raw digest, to be hashed into a table.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

/// What a log shows of a key: `fp:` and 8 hex digits. For eyes, never an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    /// Reads one as it is shown.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(text.strip_prefix("fp:")?, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The hex digits behind `fp:`.
    pub fn digits(self) -> [u8; 8] {
        let mut digits = [0; 8];
        // The lengths fit, which is all that can be wrong.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        digits
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fp:")?;
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a file of the state directory keeps of a key: 32 hex digits. An identity, unlike a
/// [`Fingerprint`]; and who doesn't have the salt can't test a guessed key against it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyMark([u8; 16]);

impl KeyMark {
    /// Reads its 32 hex digits.
    pub fn parse_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// Its 32 hex digits, for that file alone.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for KeyMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMark(..)")
    }
}

/// What is remembered of a session's id as its client has it. Whoever has the id can use the session,
/// if it has the key too, so the id itself is shown nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionMark(NonZeroU64);

impl SessionMark {
    /// The mark of which this is the number.
    pub fn of(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// What is shown of it.
    pub fn fingerprint(self) -> Fingerprint {
        let [a, b, c, d, ..] = self.number().to_be_bytes();
        Fingerprint([a, b, c, d])
    }
}

impl fmt::Debug for SessionMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionMark(..)")
    }
}

/// The salt of fingerprints and marks. Who doesn't have it can't test a guessed key against a log.
///
/// SipHash under a secret key is enough for eight digits that identify nobody, and for marks that
/// nobody is shown, and costs a twentieth of an HMAC on every request.
pub struct FingerprintKey {
    shown: SipHasher,
    kept: sip128::SipHasher24,
}

impl FingerprintKey {
    /// A salt from `[state]`, or random bytes that live as long as the process.
    pub fn new(salt: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, salt);
        let half = |from: usize| {
            let mut key = [0; 16];
            for (to, from) in key.iter_mut().zip(hash.as_ref().iter().skip(from)) {
                *to = *from;
            }
            key
        };
        // A half each: what is shown tells nothing of what is kept.
        Self {
            shown: SipHasher::new_with_key(&half(0)),
            kept: sip128::SipHasher24::new_with_key(&half(16)),
        }
    }

    /// The fingerprint of a key.
    pub fn fingerprint(&self, key: &KeyDigest) -> Fingerprint {
        let [a, b, c, d, ..] = self.shown.hash(&key.0).to_be_bytes();
        Fingerprint([a, b, c, d])
    }

    /// The mark of a session, by its id as the client has it.
    pub fn session(&self, id: &[u8]) -> SessionMark {
        SessionMark(NonZeroU64::MIN | self.shown.hash(id))
    }

    /// What tells this salt from another, and nothing else of it.
    pub fn own_mark(&self) -> KeyMark {
        // No key's mark: a digest has 32 bytes.
        KeyMark(self.kept.hash(b"salt").as_bytes())
    }

    /// The mark of a key.
    pub fn mark(&self, key: &KeyDigest) -> KeyMark {
        KeyMark(self.kept.hash(&key.0).as_bytes())
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::new("canary".to_owned());
        assert_eq!(format!("{secret:?} {:?}", secret.digest()), "Secret(..) KeyDigest(..)");
    }

    #[test]
    fn a_digest_is_the_sha256_that_key_new_prints() {
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert_eq!(KeyDigest::parse_hex(hex), Some(Secret::new("secret".to_owned()).digest()));
        assert_eq!(KeyDigest::parse_hex("2bb8"), None);
    }

    #[test]
    fn a_mark_is_a_keys_own_and_depends_on_the_salt() {
        let digest = |key: &str| Secret::new(key.to_owned()).digest();
        let of = |salt: &[u8], key: &str| FingerprintKey::new(salt).mark(&digest(key));
        assert_eq!(of(b"a", "k"), of(b"a", "k"));
        assert!(of(b"a", "k") != of(b"b", "k") && of(b"a", "k") != of(b"a", "l"));
        let mark = of(b"a", "k");
        assert_eq!(KeyMark::parse_hex(&mark.to_hex()), Some(mark));
        assert_eq!(format!("{mark:?}"), "KeyMark(..)");
    }

    #[test]
    fn a_fingerprint_depends_on_the_salt() {
        let digest = Secret::new("secret".to_owned()).digest();
        let of = |salt: &[u8]| FingerprintKey::new(salt).fingerprint(&digest).to_string();
        assert_eq!(of(b"a"), of(b"a"));
        assert_ne!(of(b"a"), of(b"b"));
        assert_eq!(of(b"a").len(), "fp:01234567".len());
    }
}
