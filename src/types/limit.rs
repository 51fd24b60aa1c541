/// Writes each cap down once, with its word.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// A cap that can be reached, by its path in the configuration. The label `limit` of
        /// `limits_reached_total`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Limit {
            /// Every one: each has its series from the start, so that alerts have something to look at.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

limits! {
    /// Connections in all.
    Connections = "limits.connections";
    /// Connections of one address.
    ConnectionsPerAddress = "limits.connections_per_address";
    /// TLS handshakes under way.
    Handshakes = "limits.handshakes";
    /// The request target.
    Target = "limits.target";
    /// The bytes of a head.
    Head = "limits.head";
    /// The fields of a head.
    Fields = "limits.fields";
    /// Calls of an address with keys that nobody has accepted yet.
    UnprovenPerAddress = "limits.unproven_per_address";
    /// Wrong keys of an address, or of keys that begin alike.
    WrongKeys = "bans.wrong_keys";
    /// Open streams of one address.
    StreamsPerAddress = "limits.streams_per_address";
    /// The share of the descriptors.
    Descriptors = "limits.descriptors";
    /// The share of the memory.
    Memory = "limits.memory";
    /// A TLS handshake took too long.
    HandshakeTime = "timeouts.handshake";
    /// A head did, or the first one never came.
    HeadTime = "timeouts.head";
    /// A body did.
    BodyTime = "timeouts.body";
    /// A peer that takes nothing.
    WriteStall = "timeouts.write_stall";
    /// A connection with nothing open.
    Idle = "timeouts.idle";
    /// No connection to the upstream in time.
    UpstreamConnect = "timeouts.upstream_connect";
    /// No answer of the upstream in time, or none of the rest of one.
    UpstreamFirstByte = "timeouts.upstream_first_byte";
    /// A silent event stream was sent a comment.
    KeepAliveComment = "timeouts.keep_alive_comment";
    /// What was under way at the end of the grace.
    Shutdown = "timeouts.shutdown";
    /// A stream of a process that has handed over.
    DrainTimeout = "timeouts.drain_timeout";
    /// Requests under way to one upstream.
    MaxRequests = "upstreams.max_requests";
    /// Open streams of one key.
    MaxStreams = "routes.max_streams";
    /// The size of a body.
    MaxBody = "routes.max_body";
    /// The rate of a route.
    RouteRate = "routes.rate";
    /// The rate of a consumer.
    ConsumerRate = "consumers.rate";
    /// The rate that a route gives tools.
    RouteRates = "routes.rates";
    /// The rate that a consumer has for tools.
    ConsumerRates = "consumers.rates";
    /// The calls of tools that a route gives a day.
    RouteBudgets = "routes.budgets";
    /// The calls of tools that a consumer has a day.
    ConsumerBudgets = "consumers.budgets";
    /// The room for the budgets of keys that no consumer has.
    Budgets = "budgets";
    /// Calls that wait for their answers at one seat of a shared stream.
    StreamCalls = "stream_calls";
    /// The memory for bodies that are read whole, of all together or of one address.
    Bodies = "bodies";
    /// The time or the place for a record that has to be there first.
    Audit = "audit";
}
