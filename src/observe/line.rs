use std::time::Duration;

use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;

/// Milliseconds order the lines of one exchange; finer is noise.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

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
                line.out.extend_from_slice(b"{\"ts\":\"");
                line.time(opening.ts);
                line.out.push(b'"');
                line.plain("level", opening.level);
                line.field("event", &opening.event);
            }
            LogFormat::Text => {
                line.time(opening.ts);
                line.out.push(b' ');
                line.out.extend_from_slice(opening.level.as_bytes());
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
    /// list. Going by the serializer costs a line of them 400 ns.
    pub(super) fn plain(&mut self, name: &str, text: &str) {
        self.written(name, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// Adds a text that needs no escapes, as `write` appends it.
    pub(super) fn written(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        match self.format {
            LogFormat::Json => {
                self.name(b",\"", name, b"\":\"");
                write(self.out);
                self.out.push(b'"');
            }
            LogFormat::Text => {
                self.name(b" ", name, b"=");
                write(self.out);
            }
        }
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.number_name(name);
        self.digits(number);
    }

    /// Adds a duration in milliseconds, to the microsecond: finer is noise, and costs bytes.
    pub(super) fn milliseconds(&mut self, name: &str, duration: Duration) {
        self.number_name(name);
        self.digits(duration.as_millis());
        let micros = duration.subsec_micros() % 1000;
        self.out.extend_from_slice(match micros {
            0..10 => b".00",
            10..100 => b".0",
            _ => b".",
        });
        self.digits(micros);
    }

    fn time(&mut self, ts: jiff::Timestamp) {
        // Writing to a vector can't fail.
        let _ = TIME.print_timestamp(&ts, &mut *self.out);
    }

    fn number_name(&mut self, name: &str) {
        match self.format {
            LogFormat::Json => self.name(b",\"", name, b"\":"),
            LogFormat::Text => self.name(b" ", name, b"="),
        }
    }

    fn name(&mut self, before: &[u8], name: &str, behind: &[u8]) {
        for part in [before, name.as_bytes(), behind] {
            self.out.extend_from_slice(part);
        }
    }

    fn digits(&mut self, number: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds a field. Its name is the program's own and needs no escapes.
    pub(super) fn field(&mut self, name: &str, value: &impl Serialize) {
        match self.format {
            LogFormat::Json => {
                self.name(b",\"", name, b"\":");
                self.value(value);
            }
            LogFormat::Text => {
                self.name(b" ", name, b"=");
                self.bare(value);
            }
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
