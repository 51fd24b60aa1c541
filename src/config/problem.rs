use std::ops::Range;

/// Bytes of the source.
pub type Span = Range<usize>;

/// Whether a configuration with this problem can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It can't.
    Error,
    /// It can, and probably shouldn't.
    Warning,
}

/// Where in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The bytes that are meant.
    pub span: Span,
}

/// One thing that is wrong with a configuration. It never holds the text of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration can run.
    pub severity: Severity,
    /// Where; `None` where the file itself can't be read.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// The other place of a conflict, and what is there.
    pub related: Option<(Place, &'static str)>,
    /// Bytes of the source that may be a secret: nobody shows them, whatever problem is shown.
    pub concealed: Option<Span>,
}

impl Problem {
    /// A problem with the file as a whole.
    pub fn of_file(message: &str, hint: &str) -> Self {
        Self {
            severity: Severity::Error,
            place: None,
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
            related: None,
            concealed: None,
        }
    }

    /// Says how to mend it.
    pub(super) fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hint = Some(text.into());
        self
    }

    /// Names the other place of a conflict.
    pub(super) fn related(&mut self, place: Place, label: &'static str) -> &mut Self {
        self.related = Some((place, label));
        self
    }

    /// Keeps these bytes of the source from being shown.
    pub(super) fn conceal(&mut self, span: &Span) -> &mut Self {
        self.concealed = Some(span.clone());
        self
    }
}
