use std::{fmt, io::Write};

use serde::{Serialize, Serializer};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For eyes: time, level and event, then `name=value`.
    Text,
}

/// One line under construction. Both formats hold the same fields in the same order.
pub(super) struct Line<'o> {
    out: &'o mut Vec<u8>,
    format: LogFormat,
}

/// What begins every line.
pub(super) struct Opening<'e> {
    pub(super) ts: jiff::Timestamp,
    /// Lower-case.
    pub(super) level: &'static str,
    pub(super) event: &'e str,
}

impl<'o> Line<'o> {
    /// Begins a line with the fields `ts`, `level` and `event`.
    pub(super) fn open(out: &'o mut Vec<u8>, format: LogFormat, opening: &Opening<'_>) -> Self {
        let mut line = Self { out, format };
        match format {
            LogFormat::Json => {
                // Writing to a vector can't fail.
                let _ = write!(line.out, "{{\"ts\":\"{:.3}\"", opening.ts);
                line.plain("level", opening.level);
                line.field("event", &opening.event);
            }
            LogFormat::Text => {
                line.bare(&Shown(format_args!("{:.3}", opening.ts)));
                line.out.push(b' ');
                line.bare(&opening.level);
                line.out.push(b' ');
                // Still escaped, since it may quote somebody; and with its quotes if it could be
                // taken for fields.
                let event = &opening.event;
                if event.contains('=') { line.value(event) } else { line.unquoted(event) }
            }
        }
        line
    }

    /// Adds a text that needs no escapes in either format: a configured name, a word of a closed
    /// list, an address, a number in quotes. Going by the serializer costs a line of them 400 ns.
    pub(super) fn plain(&mut self, name: &str, text: &str) {
        match self.format {
            LogFormat::Json => {
                for part in [",\"", name, "\":\"", text, "\""] {
                    self.out.extend_from_slice(part.as_bytes());
                }
            }
            LogFormat::Text => {
                for part in [" ", name, "=", text] {
                    self.out.extend_from_slice(part.as_bytes());
                }
            }
        }
    }

    /// Adds what prints as a text that needs no escapes.
    pub(super) fn shown(&mut self, name: &str, value: impl fmt::Display) {
        // Writing to a vector can't fail.
        let _ = match self.format {
            LogFormat::Json => write!(self.out, ",\"{name}\":\"{value}\""),
            LogFormat::Text => write!(self.out, " {name}={value}"),
        };
    }

    /// Adds a number, or what prints as one.
    pub(super) fn number(&mut self, name: &str, number: impl fmt::Display) {
        let (before, between) = match self.format {
            LogFormat::Json => (",\"", "\":"),
            LogFormat::Text => (" ", "="),
        };
        // Writing to a vector can't fail.
        let _ = write!(self.out, "{before}{name}{between}{number}");
    }

    /// Adds a field. Its name is the program's own and needs no escapes.
    pub(super) fn field(&mut self, name: &str, value: &impl Serialize) {
        match self.format {
            LogFormat::Json => {
                self.out.extend_from_slice(b",\"");
                self.out.extend_from_slice(name.as_bytes());
                self.out.extend_from_slice(b"\":");
                self.value(value);
            }
            LogFormat::Text => {
                self.out.push(b' ');
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b'=');
                self.bare(value);
            }
        }
    }

    /// Adds a field if there is a value.
    pub(super) fn field_if(&mut self, name: &str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Ends the line, without a line feed.
    pub(super) fn close(self) {
        if self.format == LogFormat::Json {
            self.out.push(b'}');
        }
    }

    fn value(&mut self, value: &impl Serialize) {
        let before = self.out.len();
        if serde_json::to_writer(&mut *self.out, value).is_err() {
            // A half-written value would break the line for whoever parses it.
            self.out.truncate(before);
            self.out.extend_from_slice(b"null");
        }
    }

    /// A value as JSON has it, without the quotes where it can be read without.
    fn bare(&mut self, value: &impl Serialize) {
        let before = self.out.len();
        self.value(value);
        let quoted = self.out.get(before..).unwrap_or_default();
        let plain = quoted.len() > 2
            && !quoted.iter().any(|b| matches!(b, b' ' | b'\\' | b'='))
            && quoted.iter().filter(|b| **b == b'"').count() == 2;
        if plain {
            self.strip_quotes(before);
        }
    }

    fn unquoted(&mut self, value: &impl Serialize) {
        let before = self.out.len();
        self.value(value);
        self.strip_quotes(before);
    }

    fn strip_quotes(&mut self, start: usize) {
        if self.out.get(start) == Some(&b'"') {
            self.out.remove(start);
            self.out.pop();
        }
    }
}

/// Serializes as the string that `Display` writes, without a copy in between.
pub(super) struct Shown<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
