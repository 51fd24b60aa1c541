//! Single values as the file writes them. No reading, no places: a text in, a value or a fault out.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use super::mask::shown;
use crate::{
    policy::Quota,
    snapshot::{HostPattern, MemoryMark, Share},
    types::{Name, Template},
};

/// Why a text isn't the value that is wanted, and how to mend it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// In one line, for who isn't shown the place.
    pub(super) fn told(self) -> String {
        match self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The longest time that is accepted.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// `"250ms"`, `"30s"`, `"5m"`, `"1h"`.
pub(super) fn duration(text: &str) -> Result<Duration, Fault> {
    duration_up_to(text, (MAX_DURATION, "is longer than 24 hours"))
}

/// The same for how long an operator bans: up to a year.
pub(super) fn ban_length(text: &str) -> Result<Duration, Fault> {
    duration_up_to(text, (365 * MAX_DURATION, "is longer than a year"))
}

fn duration_up_to(text: &str, (most, too_long): (Duration, &str)) -> Result<Duration, Fault> {
    let fault = |what: &str| {
        Fault::new(format!("{} {what}", shown(text)))
            .hint("write a whole number and ms, s, m or h: \"250ms\", \"30s\", \"5m\", \"1h\"")
    };
    let (number, unit) = split_number(text).ok_or_else(|| fault("is no duration"))?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(fault("is no duration")),
    };
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    match duration {
        Duration::ZERO => Err(fault("would end everything at once")),
        long if long > most => Err(fault(too_long)),
        fine => Ok(fine),
    }
}

/// `"512B"`, `"8KiB"`, `"4MiB"`, within bounds, in bytes.
pub(super) fn size(text: &str, (least, most): (usize, usize)) -> Result<usize, Fault> {
    let fault = |what: &str| {
        Fault::new(format!("{} {what}", shown(text)))
            .hint("write a whole number and B, KiB, MiB or GiB: \"512B\", \"8KiB\", \"4MiB\"")
    };
    let (number, unit) = split_number(text).ok_or_else(|| fault("is no size"))?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(fault("is no size")),
    };
    let bytes = usize::try_from(number.saturating_mul(unit_bytes)).unwrap_or(usize::MAX);
    if (least..=most).contains(&bytes) {
        return Ok(bytes);
    }
    let bounds = format!("must be from {} to {}", shown_size(least), shown_size(most));
    Err(Fault::new(format!("{} is out of bounds", shown(text))).hint(format!("it {bounds}")))
}

/// `"90%"`.
pub(super) fn share(text: &str) -> Result<Share, Fault> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok());
    let share = percent.filter(|percent| (1..=100).contains(percent)).map(Share);
    share.ok_or_else(|| {
        Fault::new(format!("{} is no share", shown(text)))
            .hint("write a whole number from 1 to 100 and %: \"90%\"")
    })
}

/// `"90%"`, or a size.
pub(super) fn memory_mark(text: &str) -> Result<MemoryMark, Fault> {
    if text.ends_with('%') {
        return share(text).map(MemoryMark::Share);
    }
    let bytes = size(text, (16 << 20, usize::MAX)).map_err(|fault| {
        Fault::new(fault.message).hint("write a share or a size from 16 MiB on: \"90%\", \"2GiB\"")
    })?;
    Ok(MemoryMark::Size(u64::try_from(bytes).unwrap_or(u64::MAX)))
}

/// A size in the largest unit that it is a whole number of.
pub(super) fn shown_size(bytes: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| format!("{bytes} B"), |(shift, name)| format!("{} {name}", bytes >> shift))
}

/// `"100/min"`: how many, and the period.
pub(super) fn rate(text: &str) -> Result<(NonZeroU32, Duration), Fault> {
    let fault = |what: &str| {
        Fault::new(format!("{} {what}", shown(text)))
            .hint("write a count and /s, /min, /h or /day: \"100/min\"")
    };
    let (count, unit) = text.split_once('/').ok_or_else(|| fault("is no rate"))?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "day" => 86_400,
        _ => return Err(fault("is no rate")),
    };
    let is_number = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let count: u32 = count.parse().ok().filter(|_| is_number).ok_or_else(|| fault("is no rate"))?;
    let count = NonZeroU32::new(count).ok_or_else(|| fault("would let nothing through"))?;
    Ok((count, Duration::from_secs(seconds)))
}

/// A rate whose burst is its count.
pub(super) fn quota(text: &str) -> Result<Quota, Fault> {
    rate(text).map(|(count, period)| Quota { count, period, burst: count })
}

/// `"192.0.2.0/24"`, or an address that stands for itself.
pub(super) fn net(text: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(Fault::new(format!("{} is no address and no net", shown(text)))
            .hint("write \"192.0.2.7\", \"192.0.2.0/24\" or \"2001:db8::/32\""));
    };
    if net.trunc() == net {
        return Ok(net);
    }
    Err(Fault::new(format!("{} has bits set behind its prefix", shown(text))).hint(format!(
        "write \"{}\" for the whole net, or \"{}\" for the one address",
        net.trunc(),
        net.addr()
    )))
}

/// A name: what labels and logs show.
pub(super) fn name(text: &str) -> Result<Name, Fault> {
    Name::parse(text).ok_or_else(|| {
        Fault::new(format!("{} is no name", shown(text)))
            .hint("write 1 to 64 of the letters A-Z and a-z, digits, `_`, `.` and `-`")
    })
}

/// A path template of a route.
pub(super) fn template(text: &str) -> Result<Template, Fault> {
    if let Some(template) = Template::parse(text) {
        return Ok(template);
    }
    let trimmed = text.trim_end_matches('/');
    let hint = if !text.starts_with('/') {
        "a path begins with /".to_owned()
    } else if text != trimmed && Template::parse(trimmed).is_some() {
        format!("write \"{trimmed}\": it is for everything below it too, with and without /")
    } else if text.matches("{key}").count() > 1 {
        "a path holds one key".to_owned()
    } else if text.contains(['{', '}']) {
        "{key}, alone between two slashes, is the one placeholder".to_owned()
    } else {
        "write plain segments: letters, digits, `-`, `.`, `_` and `~`, none of them empty, \
         nothing percent-encoded"
            .to_owned()
    };
    Err(Fault::new(format!("{} is no path that every reader agrees on", shown(text))).hint(hint))
}

/// A host as `Host` names it, lower-case, without its port.
pub(super) fn host(text: &str) -> Result<HostPattern, Fault> {
    let lower = text.to_ascii_lowercase();
    let inner = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_v6 = inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    if is_v6 || is_dns_name(&lower) {
        return Ok(HostPattern(lower.into()));
    }
    let hint = if lower.contains("://") || lower.contains('/') {
        "write the host alone, without scheme and path".to_owned()
    } else if lower.starts_with("*.") {
        "name each host: a pattern can't stand here".to_owned()
    } else if !lower.is_ascii() {
        "write it as DNS has it: xn--...".to_owned()
    } else if let Some((host, port)) = lower.rsplit_once(':')
        && is_dns_name(host)
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        format!("write \"{host}\": a host is the same on every port")
    } else {
        "write \"postiz.example.com\", \"192.0.2.7\" or \"[2001:db8::1]\"".to_owned()
    };
    Err(Fault::new(format!("{} is no host", shown(text))).hint(hint))
}

/// RFC 1123 2.1, and `_`, which container networks have in names.
pub(super) fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `https://inspector.example.com`: scheme, host and port as a browser writes them (RFC 6454 6.2).
pub(super) fn origin(text: &str) -> Result<Box<str>, Fault> {
    let fault = || {
        Fault::new(format!("{} is no browser origin", shown(text))).hint(
            "write scheme, host and port if it isn't the usual: \"https://inspector.example.com\"",
        )
    };
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").ok_or_else(fault)?;
    let (bare, port) = match rest.rsplit_once(':') {
        Some((bare, port)) if !port.ends_with(']') => (bare, Some(port)),
        _ => (rest, None),
    };
    host(bare).map_err(|_| fault())?;
    let port = port.map(|port| port.parse::<u16>().map_err(|_| fault())).transpose()?;
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(fault()),
    };
    // A browser leaves the usual port out, so an origin that has it would never match.
    Ok(match port.filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{bare}:{port}").into(),
        None => format!("{scheme}://{bare}").into(),
    })
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_rates_have_units() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in
            ["", "30", "s", "0s", "25h", "1d", "-1s", "1.5s", " 1s", "1 s", "99999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, bytes) in [("512B", 512), ("8KiB", 8_192), ("1GiB", 1 << 30)] {
            assert_eq!(size(text, (1, 1 << 30)).unwrap(), bytes, "{text}");
        }
        for text in ["", "8", "8KB", "8kib", "0B", "2GiB", "-1B", "18446744073709551615GiB"] {
            assert!(size(text, (1, 1 << 30)).is_err(), "{text}");
        }
        for (text, count, seconds) in
            [("1/s", 1, 1), ("100/min", 100, 60), ("5/h", 5, 3_600), ("9/day", 9, 86_400)]
        {
            let read = rate(text).unwrap();
            assert_eq!((read.0.get(), read.1), (count, Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "/min", "100", "100/m", "+1/s", "-1/s", "0/s", "1/s/s", "4294967296/s", "1.5/s"]
        {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_net_has_no_bits_behind_its_prefix() {
        for text in
            ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "::ffff:192.0.2.0/120"]
        {
            assert!(net(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "192.0.2.7/24",
            "192.0.2/24",
            "192.0.2.0/33",
            "2001:db8::1/32",
            "all",
            "fe80::1%eth0",
        ] {
            assert!(net(text).is_err(), "{text}");
        }
        let hint = net("192.0.2.7/24").unwrap_err().hint.unwrap();
        assert_eq!(
            hint,
            "write \"192.0.2.0/24\" for the whole net, or \"192.0.2.7\" for the one address"
        );
    }

    #[test]
    fn a_host_is_lower_case_and_has_no_port() {
        for (text, read) in
            [("Example.COM", "example.com"), ("a_b", "a_b"), ("[2001:DB8::1]", "[2001:db8::1]")]
        {
            assert_eq!(&*host(text).unwrap().0, read);
        }
        for text in [
            "",
            "a:1",
            "a.",
            ".a",
            "a..b",
            "*.a",
            "-a",
            "http://a",
            "a/b",
            "\u{e9}",
            "2001:db8::1",
            "[a]",
            "a b",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, read) in [
            ("https://A.example", "https://a.example"),
            ("https://a:443", "https://a"),
            ("http://a:443", "http://a:443"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(&*origin(text).unwrap(), read);
        }
        for text in [
            "",
            "a",
            "null",
            "*",
            "ftp://a",
            "https://a/",
            "https://a:x",
            "https://",
            "https://u@a",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_refused_with_the_spelling_that_was_meant() {
        for (text, hint) in [
            ("/a/", "write \"/a\": it is for everything below it too, with and without /"),
            ("a", "a path begins with /"),
            ("/{key}/{key}", "a path holds one key"),
            ("/a{key}", "{key}, alone between two slashes, is the one placeholder"),
        ] {
            assert_eq!(template(text).unwrap_err().hint.as_deref(), Some(hint));
        }
    }
}
