//! Words that every room may use. Nothing here does I/O, and nothing here can show a secret.

mod address;
mod arguments_key;
mod client_certificate;
mod clock;
mod credential;
mod denial;
mod drain;
mod limit;
mod method;
mod name;
mod path;
mod pointer;
mod request_id;
mod secret;
mod tool_digest;
mod untrusted;

pub use address::{AddressGroup, canonical, write_address};
pub use arguments_key::{ArgumentsDigest, ArgumentsKey};
pub use client_certificate::{CertificateName, ClientCertificate};
pub use clock::{Nanos, WallClock, second};
pub use credential::{Credential, CredentialForm};
#[cfg(test)]
pub(crate) use denial::tests::every_denial;
pub use denial::{Denial, Face, Malformation};
pub use drain::{Drain, Draining, Leave, Leaving};
pub use limit::Limit;
pub use method::Method;
pub use name::Name;
pub use path::{
    Path, Segment, Template, TemplateMatch, WebPath, is_key_segment, write_key_segment,
};
pub use pointer::{BadPointer, Found, Pointed, Pointers, fold};
pub use request_id::RequestId;
pub use secret::{Fingerprint, FingerprintKey, KeyDigest, KeyMark, Secret, SessionMark};
pub use tool_digest::ToolDigest;
pub use untrusted::Untrusted;
