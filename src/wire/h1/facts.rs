//! What the fields of a head say about the message itself. These fields end here: the next hop
//! gets a head of its own.

use crate::{
    types::Malformation,
    wire::{
        Framing, Upgrade, Version,
        fields::Line,
        names::{Class, classify, is_acted_on, is_disguised, is_token},
    },
};

/// A field that may stand once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Once {
    #[default]
    Absent,
    One(Line),
    Repeated,
}

impl Once {
    const fn add(&mut self, line: Line) {
        *self = match self {
            Self::Absent => Self::One(line),
            Self::One(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// The fields that are about the message, taken out of its lines.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) host: Once,
    pub(super) expect: Once,
    pub(super) length: Once,
    pub(super) coding: Once,
    upgrade: Once,
    /// `Connection: upgrade`.
    switches: bool,
    /// `Connection: close`.
    pub(super) close: bool,
    /// What else `Connection` names, in lower case; lines of these names are dropped.
    pub(super) named: Vec<Box<[u8]>>,
}

/// Takes the fields that are about the message out of the lines, and drops what is hop-by-hop or
/// named in `Connection`.
pub(super) fn sift(head: &[u8], lines: &mut Vec<Line>) -> Result<Facts, Malformation> {
    let mut facts = Facts::default();
    let mut fault = None;
    let may_disguise = memchr::memchr(b'_', head).is_some();
    lines.retain(|line| {
        let name = head.get(line.name()).unwrap_or_default();
        match classify(name) {
            Class::EndToEnd => {
                if may_disguise && is_disguised(name) {
                    fault = fault.or(Some(Malformation::FieldName));
                }
                return true;
            }
            Class::HopByHop => {}
            Class::Host => facts.host.add(*line),
            Class::Expect => facts.expect.add(*line),
            Class::ContentLength => facts.length.add(*line),
            Class::TransferEncoding => facts.coding.add(*line),
            Class::Upgrade => facts.upgrade.add(*line),
            Class::Connection => {
                let value = head.get(line.value()).unwrap_or_default();
                if let Err(found) = read_connection(value, &mut facts) {
                    fault = fault.or(Some(found));
                }
            }
        }
        false
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    if !facts.named.is_empty() {
        lines.retain(|line| {
            let name = head.get(line.name()).unwrap_or_default();
            !facts.named.iter().any(|dropped| **dropped == *name)
        });
    }
    Ok(facts)
}

/// Reads one `Connection` value (RFC 9110 7.6.1). Names that aren't dropped anyway go to `named`.
fn read_connection(value: &[u8], facts: &mut Facts) -> Result<(), Malformation> {
    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if option.is_empty() || option.eq_ignore_ascii_case(b"keep-alive") {
            continue;
        }
        if option.eq_ignore_ascii_case(b"close") {
            facts.close = true;
            continue;
        }
        if !is_token(option) {
            return Err(Malformation::Connection);
        }
        let name = option.to_ascii_lowercase();
        match classify(&name) {
            Class::Upgrade => facts.switches = true,
            Class::HopByHop => {}
            _ if is_acted_on(&name) => return Err(Malformation::Connection),
            _ => facts.named.push(name.into()),
        }
    }
    Ok(())
}

impl Facts {
    /// The protocol that the fields offer or switch to, where it is one that is known: named once,
    /// and named in `Connection` (RFC 9110 7.8).
    pub(super) fn upgrade(&self, head: &[u8], version: Version) -> Option<Upgrade> {
        let Once::One(line) = self.upgrade else { return None };
        let named = head.get(line.value()).unwrap_or_default();
        let known = self.switches && version == Version::Http11;
        (known && named.eq_ignore_ascii_case(b"websocket")).then_some(Upgrade::WebSocket)
    }

    /// The body that the fields announce (RFC 9112 6.3), `None` where they announce none.
    ///
    /// Two answers to one question are refused even where they agree: the next reader might take
    /// the other one.
    pub(super) fn framing(
        &self,
        head: &[u8],
        version: Version,
    ) -> Result<Option<Framing>, Malformation> {
        match (self.coding, self.length) {
            (Once::Absent, Once::Absent) => Ok(None),
            (Once::Absent, Once::One(line)) => {
                let digits = head.get(line.value()).unwrap_or_default();
                parse_length(digits).map(|length| Some(Framing::Length(length)))
            }
            (Once::One(line), Once::Absent) if version == Version::Http11 => {
                let coding = head.get(line.value()).unwrap_or_default();
                read_coding(coding).map(|()| Some(Framing::Chunked))
            }
            _ => Err(Malformation::Framing),
        }
    }
}

/// RFC 9110 8.6: digits alone. No sign, no list, no base; beyond 2^64 nobody counts alike.
fn parse_length(digits: &[u8]) -> Result<u64, Malformation> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformation::Framing);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Malformation::Framing)?;
    text.parse().map_err(|_| Malformation::Framing)
}

/// `chunked` alone is spoken. Where it is named but isn't last, the length of the body is unknown
/// (RFC 9112 6.3); any other coding is one that isn't known here (RFC 9112 6.1).
fn read_coding(value: &[u8]) -> Result<(), Malformation> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).rev().skip(1);
    if codings.any(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(Malformation::Framing);
    }
    Err(Malformation::TransferCoding)
}
