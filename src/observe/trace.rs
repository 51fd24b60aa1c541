//! What the program itself has to say, on the same sink as the records.

use std::{
    fmt::{self, Write},
    panic::PanicHookInfo,
};

use thiserror::Error;
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_log::{AsLog, LogTracer, NormalizeEvent};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, filter_fn},
    layer::{Context, SubscriberExt},
    registry::Registry,
};

use super::{
    line::{Line, Opening},
    log::LogSink,
    redact::is_token,
};

/// How much of one value is logged, in bytes: a dependency may print a whole head or body.
const VALUE_BYTES: usize = 2048;

/// How many fields of an event are logged.
const FIELDS: usize = 16;

/// The filter isn't a level or a list of `tracing` directives, or logging was set up before.
#[derive(Debug, Error)]
pub enum BadFilter {
    /// For instance `info,portcullis=debug` would have been one.
    #[error("the log filter is neither a level nor a list of TARGET=LEVEL")]
    Syntax,
    /// A process has one global log.
    #[error("logging was already set up")]
    Twice,
}

/// Sends everything that this program and its dependencies say through `tracing` and `log` to the
/// sink.
///
/// # Errors
/// Where the filter can't be read, or a global subscriber is already set.
pub fn init_tracing(sink: &LogSink, filter: &str) -> Result<(), BadFilter> {
    let dispatch = tracing_dispatch(sink, filter)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| BadFilter::Twice)?;
    // Only now is the filter's level known to `tracing`; `log` asks before it formats anything.
    LogTracer::builder()
        .with_max_level(LevelFilter::current().as_log())
        .init()
        .map_err(|_| BadFilter::Twice)
}

/// What `init_tracing` sets globally, for a test to set as its own default.
///
/// # Errors
/// Where the filter can't be read.
pub fn tracing_dispatch(sink: &LogSink, filter: &str) -> Result<Dispatch, BadFilter> {
    // Regular expressions on field values are of no use here and cost at every event.
    let filter = EnvFilter::builder().with_regex(false).parse(filter);
    let filter = filter.map_err(|_| BadFilter::Syntax)?;
    let harmless = filter_fn(|metadata| !shows_requests(metadata.target()));
    let layers = Registry::default().with(filter).with(harmless);
    Ok(Dispatch::new(layers.with(SinkLayer(sink.clone()))))
}

/// Whether a target's events may quote a request: `h2` says the path of one that it refuses, and a
/// path may be a key. Whatever the filter asks for, they are not heard.
fn shows_requests(target: &str) -> bool {
    target == "h2" || target.starts_with("h2::")
}

/// Makes a panic one line, `panic at FILE:LINE`. The payload stays unsaid: an `unwrap` deep in a
/// dependency quotes what it choked on, and that may be a request.
pub fn install_panic_hook(sink: &LogSink) {
    let sink = sink.clone();
    std::panic::set_hook(Box::new(move |info| log_panic(&sink, info)));
}

fn log_panic(sink: &LogSink, info: &PanicHookInfo<'_>) {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    let event = format!("panic at {file}:{line}");
    let opening = Opening { ts: jiff::Timestamp::now(), level: "error", event: &event };
    let mut out = Vec::with_capacity(256);
    Line::open(&mut out, sink.format(), &opening).close();
    // The location was written by the compiler; a source folder may well be named `mcp`.
    sink.push(&out, |text| event.as_bytes().windows(text.len().max(1)).any(|part| part == text));
    // The process may be about to end.
    sink.flush();
}

struct SinkLayer(LogSink);

impl<S: Subscriber> Layer<S> for SinkLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let bridged = event.normalized_metadata();
        let metadata: &Metadata<'_> = bridged.as_ref().unwrap_or_else(|| event.metadata());
        let mut said = Said::default();
        event.record(&mut said);
        let opening = Opening {
            ts: jiff::Timestamp::now(),
            level: level(metadata.level()),
            event: &said.message,
        };
        let mut out = Vec::with_capacity(512);
        let mut line = Line::open(&mut out, self.0.format(), &opening);
        line.field("target", &metadata.target());
        for (name, value) in &said.fields {
            match *name {
                // A second member of the same name would be read differently by different readers.
                "ts" | "level" | "event" | "target" => line.field(&format!("field_{name}"), value),
                name => line.field(name, value),
            }
        }
        line.close();
        self.0.push(&out, |_| false);
    }
}

/// What an event holds. Spans add nothing: what was said on entering one may be long gone wrong.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Clean(String::new());
        if write!(text, "{value:?}").is_err() {
            text.cut();
        }
        match field.name() {
            "message" => self.message = text.0,
            // The bridge from `log` repeats the metadata.
            name if name.starts_with("log.") => {}
            // `tracing` takes any literal for a name; those that JSON would have to escape are left
            // out.
            name if self.fields.len() < FIELDS && name.bytes().all(is_name) => {
                self.fields.push((name, text.0));
            }
            _ => {}
        }
    }
}

/// Text of bounded length without control characters, so that nothing that a dependency quotes can
/// forge a line or drive a terminal.
struct Clean(String);

impl Clean {
    /// Ends a text that was too long before the word that was cut: the first half of a key is too
    /// short for the second net to know it for one.
    fn cut(&mut self) {
        let word = self.0.trim_end_matches(|c: char| u8::try_from(c).is_ok_and(is_token));
        let end = word.len();
        self.0.truncate(end);
        self.0.push_str("...");
    }
}

impl Write for Clean {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() >= VALUE_BYTES {
                return Err(fmt::Error);
            }
            self.0.push(if c.is_control() { '?' } else { c });
        }
        Ok(())
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests;
