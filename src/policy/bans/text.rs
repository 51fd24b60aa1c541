//! A ban as a line of the file that keeps it over a restart.

use std::fmt::Write;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Ban, BanCause};

/// The longest line that is read, in bytes.
const LINE: usize = 256;

/// What stands where a ban has no end.
const ENDLESS: &str = "lifted";

/// A line that is no ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not `NET UNTIL STRIKES CAUSE`")]
pub struct BadLine;

/// Appends `NET UNTIL STRIKES CAUSE` and a line feed. Until is a time of RFC 3339.
pub fn write_line(out: &mut String, ban: &Ban, now: Timestamp) {
    let until = match ban.left {
        // A time beyond the calendar is as good as none.
        Some(left) => now.checked_add(left).map(|until| until.to_string()),
        None => Ok(ENDLESS.to_owned()),
    };
    let until = until.unwrap_or_else(|_| ENDLESS.to_owned());
    // Writing to a String can't fail.
    let _ = writeln!(out, "{} {until} {} {}", ban.net, ban.strikes, ban.cause.as_str());
}

/// Reads a line back.
///
/// # Errors
/// Where it is none that `write_line` wrote, but for the time of day.
pub fn read_line(line: &str, now: Timestamp) -> Result<Ban, BadLine> {
    if line.len() > LINE {
        return Err(BadLine);
    }
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or(BadLine);
    let (net, until, strikes, cause) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(BadLine);
    }
    let net: IpNet = net.parse().map_err(|_| BadLine)?;
    let cause = match cause {
        "wrong_keys" => BanCause::WrongKeys,
        "operator" => BanCause::Operator,
        _ => return Err(BadLine),
    };
    let left = match until {
        ENDLESS if cause == BanCause::Operator => None,
        until => Some(until.parse::<Timestamp>().map_err(|_| BadLine)?.duration_since(now)),
    };
    let strikes = strikes.parse().ok().filter(|strikes| *strikes > 0).ok_or(BadLine)?;
    if net.trunc() != net { Err(BadLine) } else { Ok(Ban { net, left, strikes, cause }) }
}
