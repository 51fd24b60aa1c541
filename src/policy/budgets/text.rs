//! A used budget as a line of the file that keeps it over a restart.

use std::fmt::Write;

use jiff::civil::Date;

use super::{Purse, Spender, Used};
use crate::{
    policy::Glob,
    types::{KeyMark, Name},
};

/// A line that is no used budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not `DAY USED/CALLS WHOSE TOOLS`")]
pub struct BadBudget;

/// Appends `DAY USED/CALLS WHOSE TOOLS` and a line feed. Whose is `consumer NAME`, or
/// `route NAME consumer NAME`, or `route NAME key MARK`.
pub fn write_used(out: &mut String, day: Date, used: &Used) {
    let Used { purse, tools, used, calls } = used;
    let whose = match purse {
        Purse::Consumer(name) => format!("consumer {name}"),
        Purse::OnRoute(route, Spender::Consumer(name)) => format!("route {route} consumer {name}"),
        Purse::OnRoute(route, Spender::Key(mark)) => {
            format!("route {route} key {}", mark.to_hex())
        }
    };
    // Writing to a String can't fail.
    let _ = writeln!(out, "{day} {used}/{calls} {whose} {}", tools.as_str());
}

/// Reads a line back.
///
/// # Errors
/// Where it is none that `write_used` wrote.
pub fn read_used(line: &str) -> Result<(Date, Used), BadBudget> {
    read(line).ok_or(BadBudget)
}

fn read(line: &str) -> Option<(Date, Used)> {
    let words: Vec<&str> = line.splitn(8, ' ').collect();
    let (day, count, purse, tools) = match *words {
        [day, count, "consumer", name, tools] => {
            (day, count, Purse::Consumer(Name::parse(name)?), tools)
        }
        [day, count, "route", route, who, whose, tools] => {
            let spender = match who {
                "consumer" => Spender::Consumer(Name::parse(whose)?),
                "key" => Spender::Key(KeyMark::parse_hex(whose)?),
                _ => return None,
            };
            (day, count, Purse::OnRoute(Name::parse(route)?, spender), tools)
        }
        _ => return None,
    };
    let (used, calls) = count.split_once('/')?;
    let above_zero = |text: &str| text.parse().ok().filter(|count: &u32| *count > 0);
    let tools = Glob::parse(tools).ok()?;
    let used = Used { purse, tools, used: above_zero(used)?, calls: above_zero(calls)? };
    Some((day.parse().ok()?, used))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{FingerprintKey, Secret};

    fn purses() -> [Purse; 3] {
        let name = |text| Name::parse(text).unwrap();
        let mark = FingerprintKey::new(b"salt").mark(&Secret::new("k".to_owned()).digest());
        [
            Purse::Consumer(name("scheduler")),
            Purse::OnRoute(name("mcp"), Spender::Consumer(name("consumer"))),
            Purse::OnRoute(name("key"), Spender::Key(mark)),
        ]
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let day = "2026-11-25".parse().unwrap();
        let mut text = String::new();
        for purse in purses() {
            let tools = Glob::parse("generate*").unwrap();
            let used = Used { purse, tools, used: 12, calls: 50 };
            write_used(&mut text, day, &used);
            assert_eq!(read_used(text.lines().last().unwrap()), Ok((day, used)));
        }
        let first = text.lines().next().unwrap();
        assert_eq!(first, "2026-11-25 12/50 consumer scheduler generate*");
    }

    proptest! {
        #[test]
        fn a_line_with_a_slip_in_it_is_left_out_or_still_whole(
            purse in 0..3_usize, at in 0..60_usize, slip in any::<char>(),
        ) {
            let mut text = String::new();
            let tools = Glob::parse("generate*").unwrap();
            let used = Used { purse: purses()[purse].clone(), tools, used: 12, calls: 50 };
            write_used(&mut text, "2026-11-25".parse().unwrap(), &used);
            let line: String =
                text.trim_end().chars().enumerate().map(|(i, c)| if i == at { slip } else { c }).collect();
            if let Ok((day, used)) = read_used(&line) {
                let mut again = String::new();
                write_used(&mut again, day, &used);
                prop_assert_eq!(read_used(again.trim_end()), Ok((day, used)));
            }
        }
    }
}
