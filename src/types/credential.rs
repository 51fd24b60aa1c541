use super::{KeyDigest, Secret};

/// Where a credential stood in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialForm {
    /// The `{key}` segment of the path.
    Path,
    /// `Authorization: Bearer K`.
    Bearer,
    /// `Authorization: K`, as the public API of Postiz wants it.
    Raw,
    /// Nowhere: a client certificate was shown in its place.
    Certificate,
}

/// The one key that a request presented, whatever its form.
#[derive(Debug)]
pub struct Credential {
    /// The key; empty where a certificate stands in its place.
    pub key: Secret,
    /// Its digest, computed once, or the certificate's identity.
    pub digest: KeyDigest,
    /// Where it stood; both places with one key count as the path.
    pub form: CredentialForm,
}
