//! What is measured: the rows of the table, in its order, and how good Portcullis wants to be.

/// A row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Processor time of a call.
    Call,
    /// The same where rules for tools judge the call and sift its answer.
    RuledCall,
    CallsPerSecond,
    MemoryAfterCalls,
    Handshake,
    PostQuantumHandshake,
    IdleStream,
    /// Processor time of a relayed event.
    Event,
    /// How much later half of all events come than without a proxy.
    EventDelay,
    /// The same of all but one in a hundred.
    LateEventDelay,
    /// Processor time of a body on its way to the server.
    Upload,
    /// How much larger the proxy is, at most, while it passes than before.
    UploadMemory,
    Download,
    DownloadMemory,
}

/// The most that the ratios may be; nothing where there is no goal.
pub(crate) struct Goal {
    pub(crate) to_nginx: Option<f64>,
    pub(crate) to_haproxy: Option<f64>,
}

impl Measure {
    /// The row's name and unit.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Call => "processor time of a call, µs",
            Self::RuledCall => "the same with rules for tools, µs",
            Self::CallsPerSecond => "calls a second, clients on the same cores",
            Self::MemoryAfterCalls => "memory after the calls, MiB",
            Self::Handshake => "processor time of a handshake, X25519, µs",
            Self::PostQuantumHandshake => "the same, X25519MLKEM768, µs",
            Self::IdleStream => "memory of an idle TLS stream, KiB",
            Self::Event => "processor time of an event, µs",
            Self::EventDelay => "delay added to an event, p50, µs",
            Self::LateEventDelay => "delay added to an event, p99, µs",
            Self::Upload => "processor time of a GB up, ms",
            Self::UploadMemory => "memory at most over before, up, MiB",
            Self::Download => "processor time of a GB down, ms",
            Self::DownloadMemory => "memory at most over before, down, MiB",
        }
    }

    /// Whether a ratio says something: not where all are next to nothing.
    pub(crate) const fn is_compared(self) -> bool {
        !matches!(self, Self::UploadMemory | Self::DownloadMemory)
    }

    pub(crate) const fn goal(self) -> Goal {
        let (to_nginx, to_haproxy) = match self {
            Self::Call => (Some(0.75), Some(0.70)),
            Self::Event => (Some(0.80), Some(0.70)),
            Self::EventDelay | Self::LateEventDelay => (Some(1.0), None),
            Self::IdleStream => (None, Some(0.80)),
            Self::Handshake => (Some(0.80), None),
            Self::RuledCall
            | Self::CallsPerSecond
            | Self::MemoryAfterCalls
            | Self::PostQuantumHandshake
            | Self::Upload
            | Self::UploadMemory
            | Self::Download
            | Self::DownloadMemory => (None, None),
        };
        Goal { to_nginx, to_haproxy }
    }
}
