use std::{fmt, ops::ControlFlow, sync::Arc};

use jiff::{SignedDuration, Timestamp, civil};
use regex::Regex;

use crate::types::{BadPointer, Found, Pointers};

/// What the arguments of a tool have to be. Every rule has to hold.
#[derive(Default)]
pub struct ArgumentRules {
    pointers: Pointers,
    rules: Vec<Rule>,
}

/// A rule about what one pointer leads to.
struct Rule {
    check: Check,
    /// Nothing need be there.
    optional: bool,
    /// What a model is told that broke it.
    words: Arc<str>,
}

/// What is asked of a value.
#[derive(Debug)]
pub enum Check {
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is an array of at most so many elements.
    MaxItems(usize),
    /// It is a text of at most so many characters.
    MaxLength(usize),
    /// It is a text, and the whole of it matches.
    Matches(Regex),
    /// It isn't there.
    Absent,
    /// It is a time before this.
    Before(Moment),
    /// It is a time after this.
    After(Moment),
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A text.
    Text(Box<str>),
    /// A number, as JavaScript has it: servers of MCP read it so, and 1 is 1.0.
    Number(f64),
    /// `true` or `false`.
    Truth(bool),
}

/// A time, in UTC where it names no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Always the same.
    At(Timestamp),
    /// So long after the call, or before it.
    FromNow(SignedDuration),
}

impl ArgumentRules {
    /// Adds a rule. `words` is what a model is told that broke it.
    ///
    /// # Errors
    /// Where the pointer is none.
    pub fn add(
        &mut self,
        pointer: &str,
        (check, optional): (Check, bool),
        words: &str,
    ) -> Result<(), BadPointer> {
        self.pointers.add(pointer)?;
        self.rules.push(Rule { check, optional, words: words.into() });
        Ok(())
    }

    /// Where the rules look.
    pub const fn pointers(&self) -> &Pointers {
        &self.pointers
    }

    /// Whether what the pointer of that number leads to keeps its rule; it breaks with the words of
    /// the rule that doesn't hold.
    pub fn hold(&self, pointer: usize, found: &Found<'_>, now: Timestamp) -> ControlFlow<Arc<str>> {
        match self.rules.get(pointer) {
            Some(rule) if !rule.holds(found, now) => ControlFlow::Break(Arc::clone(&rule.words)),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Rule {
    fn holds(&self, found: &Found<'_>, now: Timestamp) -> bool {
        match (&self.check, found) {
            (Check::Absent, found) => *found == Found::Missing,
            (_, Found::Missing) => self.optional,
            (Check::OneOf(values), found) => {
                Scalar::of(found).is_some_and(|value| values.contains(&value))
            }
            (Check::MaxItems(most), Found::Array(count)) => count <= most,
            (Check::MaxLength(most), Found::Text(text)) => {
                text.len() <= *most || text.chars().count() <= *most
            }
            (Check::Matches(regex), Found::Text(text)) => regex.is_match(text),
            (Check::Before(moment), Found::Text(text)) => {
                time(text).is_some_and(|time| time < moment.seen_from(now))
            }
            (Check::After(moment), Found::Text(text)) => {
                time(text).is_some_and(|time| time > moment.seen_from(now))
            }
            // Another kind of value than the rule is about: what a server makes of it nobody knows.
            _ => false,
        }
    }
}

impl Scalar {
    fn of(found: &Found<'_>) -> Option<Self> {
        match found {
            Found::Text(text) => Some(Self::Text((**text).into())),
            Found::Number(text) => text.parse().ok().map(Self::Number),
            Found::Word("true") => Some(Self::Truth(true)),
            Found::Word("false") => Some(Self::Truth(false)),
            _ => None,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
        }
    }
}

impl Moment {
    fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            // Beyond the calendar lies its end.
            Self::FromNow(span) if span.is_negative() => {
                now.checked_add(span).unwrap_or(Timestamp::MIN)
            }
            Self::FromNow(span) => now.checked_add(span).unwrap_or(Timestamp::MAX),
        }
    }
}

/// A time as RFC 3339 has it, or the same without its zone, which then is UTC, or without its seconds;
/// or a date, which is its midnight. In no other spelling: JavaScript reads many more, some of them
/// another way.
pub fn time(text: &str) -> Option<Timestamp> {
    if !is_plain(text.as_bytes()) {
        return None;
    }
    let utc = |civil: civil::DateTime| civil.to_zoned(jiff::tz::TimeZone::UTC).ok();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text.parse::<civil::DateTime>().ok()?;
    utc(civil).map(|zoned| zoned.timestamp())
}

/// `YYYY-MM-DD`, and behind it a time of day, and behind that a zone.
fn is_plain(text: &[u8]) -> bool {
    let Some(time) = after(text, b"0000-00-00") else { return false };
    let Some(clock) = time.strip_prefix(b"T").or(time.strip_prefix(b" ")) else {
        return time.is_empty();
    };
    let Some(mut rest) = after(clock, b"00:00") else { return false };
    if let Some(behind) = after(rest, b":00") {
        // The leap second: one reader takes it for the one before, another for none.
        if rest.starts_with(b":6") {
            return false;
        }
        rest = behind;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = fraction.get(digits..).filter(|_| digits > 0).unwrap_or(rest);
        }
    }
    let zone = || after(rest.strip_prefix(b"+").or(rest.strip_prefix(b"-"))?, b"00:00");
    // Further from UTC than a day no zone is, and JavaScript reads none.
    let is_near = rest.get(1..3).is_some_and(|hours| hours < &b"24"[..]);
    rest.is_empty() || rest == b"Z" || is_near && zone().is_some_and(<[u8]>::is_empty)
}

/// What follows a text of that shape, in which `0` stands for a digit.
fn after<'a>(text: &'a [u8], shape: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(shape.len())?;
    let fits =
        |(byte, of): (&u8, &u8)| if *of == b'0' { byte.is_ascii_digit() } else { byte == of };
    head.iter().zip(shape).all(fits).then_some(rest)
}

impl fmt::Debug for ArgumentRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|rule| &rule.words)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn keeps(check: Check, found: &Found<'_>) -> bool {
        let mut rules = ArgumentRules::default();
        rules.add("/x", (check, false), "words").unwrap();
        rules.hold(0, found, now()).is_continue()
    }

    fn text(text: &str) -> Found<'_> {
        Found::Text(text.into())
    }

    #[test]
    fn a_value_is_one_of_those_and_of_their_kind() {
        let check = || {
            let values = [Scalar::Text("a".into()), Scalar::Number(1.0), Scalar::Truth(true)];
            Check::OneOf(values.into())
        };
        for found in [text("a"), Found::Number("1"), Found::Number("1.0"), Found::Word("true")] {
            assert!(keeps(check(), &found), "{found:?}");
        }
        for found in [
            text("A"),
            text("1"),
            Found::Number("2"),
            Found::Word("null"),
            Found::Array(1),
            Found::Object,
            Found::Missing,
            Found::Elsewhere,
        ] {
            assert!(!keeps(check(), &found), "{found:?}");
        }
    }

    #[test]
    fn lengths_patterns_and_absence_are_held_to() {
        assert!(keeps(Check::MaxItems(2), &Found::Array(2)));
        assert!(!keeps(Check::MaxItems(2), &Found::Array(3)));
        assert!(!keeps(Check::MaxItems(2), &text("ab")));
        assert!(keeps(Check::MaxLength(2), &text("ßß")));
        assert!(!keeps(Check::MaxLength(2), &text("abc")));
        let regex = || Check::Matches(Regex::new("^(?:a+)$").unwrap());
        assert!(keeps(regex(), &text("aa")) && !keeps(regex(), &text("ab")));
        assert!(keeps(Check::Absent, &Found::Missing));
        assert!(!keeps(Check::Absent, &Found::Word("null")));
        assert!(!keeps(Check::Absent, &Found::Elsewhere));
    }

    #[test]
    fn a_time_is_before_or_after_in_utc() {
        let day = Moment::FromNow(SignedDuration::from_hours(24));
        for (written, before) in [
            ("2026-11-26T11:59:59Z", true),
            ("2026-11-26T12:00:00", false),
            ("2026-11-26T12:30:00+01:00", true),
            ("2026-11-26", true),
            ("2026-11-27", false),
            ("tomorrow", false),
            ("", false),
        ] {
            assert_eq!(keeps(Check::Before(day), &text(written)), before, "{written}");
        }
        let now = || Check::After(Moment::FromNow(SignedDuration::ZERO));
        assert!(keeps(now(), &text("2026-11-25T12:00:01Z")));
        assert!(!keeps(now(), &text("2026-11-25T12:00:00Z")));
        let fixed = Check::After(Moment::At(time("2027-01-01").unwrap()));
        assert!(!keeps(fixed, &text("2026-12-31T23:59:59")));
    }

    #[test]
    fn a_time_has_few_spellings() {
        let noon = |text: &str| time(text) == "2026-11-26T12:00:00Z".parse().ok();
        for text in [
            "2026-11-26T12:00:00Z",
            "2026-11-26T12:00Z",
            "2026-11-26T12:00:00.000Z",
            "2026-11-26T12:00:00",
            "2026-11-26 12:00",
            "2026-11-26T13:30:00+01:30",
        ] {
            assert!(noon(text), "{text}");
        }
        for text in [
            "2026-11-26t12:00:00z",
            "2026-11-26T12:00:60Z",
            "2026-11-26T24:00:00Z",
            "2026-11-26T12",
            "20261126T120000Z",
            "2026-11-26T12:00:00.Z",
            "2026-11-26T12:00:00Z[UTC]",
            "2026-11-26T12:00:00 Z",
            "2026-11-26T12:00:00+0100",
            "2026-11-26T12:00:00+24:00",
            "+002026-11-26T12:00:00Z",
            "2026-W48-4",
            "2026-11-31",
            "26 Nov 2026",
            "1795694400000",
            " 2026-11-26",
            "2026-11-26\u{a0}12:00",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    #[test]
    fn what_may_be_absent_may_not_be_another_thing() {
        let mut rules = ArgumentRules::default();
        rules
            .add("/x", (Check::OneOf(vec![Scalar::Truth(true)]), true), "it must be true")
            .unwrap();
        assert!(rules.hold(0, &Found::Missing, now()).is_continue());
        for found in [Found::Elsewhere, Found::Word("null"), Found::Word("false")] {
            let broken = rules.hold(0, &found, now());
            assert_eq!(broken.break_value().as_deref(), Some("it must be true"));
        }
    }
}
