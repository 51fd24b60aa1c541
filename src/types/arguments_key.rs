use std::fmt;

use aws_lc_rs::hmac;

/// The key of the digests that an audit has of arguments. Who doesn't have it can't test a guess of
/// what somebody posted against an audit.
pub struct ArgumentsKey(hmac::Key);

/// HMAC-SHA-256 of a call's arguments, the first half of it: enough that no two calls meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ArgumentsDigest([u8; 16]);

impl ArgumentsKey {
    /// A key made from the salt of `[state]`, or of random bytes that live as long as the process.
    pub fn new(salt: &[u8]) -> Self {
        // A key of its own: one salt must not be one key for two purposes.
        let salt = hmac::Key::new(hmac::HMAC_SHA256, salt);
        let own = hmac::sign(&salt, b"portcullis: the digest of arguments");
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    /// The digest of the arguments, as they were written.
    pub fn digest(&self, arguments: &[u8]) -> ArgumentsDigest {
        let tag = hmac::sign(&self.0, arguments);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        ArgumentsDigest(bytes)
    }
}

impl ArgumentsDigest {
    /// In lower-case hex.
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        // The lengths fit, which is all that can be wrong.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        digits
    }
}

impl fmt::Debug for ArgumentsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArgumentsKey(..)")
    }
}

impl fmt::Debug for ArgumentsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_arguments_and_of_the_salt() {
        let of = |salt: &[u8], text: &[u8]| ArgumentsKey::new(salt).digest(text);
        assert_eq!(of(b"a", b"{}"), of(b"a", b"{}"));
        assert_ne!(of(b"a", b"{}"), of(b"b", b"{}"));
        assert_ne!(of(b"a", b"{}"), of(b"a", b"{ }"));
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"a");
        assert_ne!(hmac::sign(&salt, b"{}").as_ref()[..16], of(b"a", b"{}").0);
    }
}
