use std::fmt;

use instant_acme::{Error, Problem};

/// The most characters of an authority's words that are shown.
const SHOWN_CHARS: usize = 400;

/// Why there is no certificate.
#[derive(Debug)]
pub struct Failure {
    said: String,
    /// What the authority calls it (RFC 8555 6.7), without the part that all have.
    kind: String,
}

impl Failure {
    pub(super) fn new(said: &str) -> Self {
        Self { said: said.to_owned(), kind: String::new() }
    }

    pub(super) fn of(problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
        let said = problem.detail.as_deref().unwrap_or("the authority gives no reason");
        let parts = problem.subproblems.iter().filter_map(|part| part.detail.as_deref());
        let said = std::iter::once(said).chain(parts).collect::<Vec<_>>().join("; ");
        Self { said, kind }
    }

    pub(super) fn about(self, domain: &str) -> Self {
        Self { said: format!("{domain}: {}", self.said), ..self }
    }

    /// Whether the authority has had enough orders for now.
    pub fn is_limit(&self) -> bool {
        self.kind == "rateLimited"
    }

    /// Whether the authority doesn't know the account.
    pub fn is_of_account(&self) -> bool {
        self.kind == "accountDoesNotExist"
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::of(&problem),
            Error::Timeout(_) => Self::new("the authority takes too long"),
            Error::Json(_) => Self::new("the authority's answer can't be read"),
            other => Self::new(&other.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: String = self.said.chars().take(SHOWN_CHARS).collect();
        match &*self.kind {
            "" => f.write_str(&said),
            kind => write!(f, "{said} ({})", kind.chars().take(64).collect::<String>()),
        }
    }
}
