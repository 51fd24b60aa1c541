use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The day that calls are counted in. A clock that is set back gives no budget a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    date: Date,
    /// A later day that the counts are of too: the clock was there, and went back.
    was: Option<Date>,
}

/// What becomes of the counts when the clock is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// They go on.
    Same,
    /// They begin anew.
    New,
}

/// How far back a clock may go, in days, for the day to stay: so far it is set right, or its time
/// zone is another. From farther the day would stay for ever. And how far ahead for the next to begin:
/// a clock that was far off for a moment would else give the day's budgets a second time. After a sleep
/// of days they are of the day before for one day.
const NEAR: i64 = 2;

impl Day {
    pub(super) const fn new(date: Date) -> Self {
        Self { date, was: None }
    }

    pub(super) const fn date(self) -> Date {
        self.date
    }

    /// The clock says that it is `today`.
    pub(super) fn turn(&mut self, today: Date) -> Turn {
        let ahead = today.duration_since(self.date).as_hours() / 24;
        if (1..=NEAR).contains(&ahead) && self.was != Some(today) {
            *self = Self::new(today);
            return Turn::New;
        }
        let back = self.date.duration_since(today).as_hours() / 24;
        if today > self.date {
            *self = Self::new(today);
        } else if back > NEAR {
            *self = Self { date: today, was: Some(self.date) };
        }
        Turn::Same
    }

    /// How long until the next one begins. A day is as long as its time zone has it: of 23 or 25
    /// hours where summer time begins or ends.
    pub(super) fn left(self, zone: &TimeZone, now: Timestamp) -> Duration {
        let next = self.date.tomorrow().and_then(|date| date.to_zoned(zone.clone()));
        let left = next.map(|next| next.timestamp().duration_since(now));
        // Beyond the calendar there are no days.
        left.ok().and_then(|left| left.try_into().ok()).unwrap_or_default()
    }
}

/// The day that it is.
pub(super) fn today(zone: &TimeZone, now: Timestamp) -> Date {
    zone.to_datetime(now).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_as_long_as_its_time_zone_has_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (day, begins, hours) in [
            ("2026-03-28", "2026-03-27T23:00:00Z", 24),
            ("2026-03-29", "2026-03-28T23:00:00Z", 23),
            ("2026-10-25", "2026-10-24T22:00:00Z", 25),
        ] {
            let begins: Timestamp = begins.parse().unwrap();
            assert_eq!(today(&berlin, begins), date(day));
            let left = Day::new(date(day)).left(&berlin, begins);
            assert_eq!(left, Duration::from_secs(hours * 3600), "{day}");
            let ends = begins + left;
            assert_eq!(today(&berlin, ends), date(day).tomorrow().unwrap());
        }
        // Where the clock goes ahead at midnight, the day begins at one.
        let beirut = TimeZone::get("Asia/Beirut").unwrap();
        let ends = "2026-03-28T22:00:00Z".parse().unwrap();
        assert_eq!(today(&beirut, ends), date("2026-03-29"));
        assert_eq!(Day::new(date("2026-03-28")).left(&beirut, ends), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_day_twice() {
        let mut day = Day::new(date("2026-11-25"));
        assert_eq!(day.turn(date("2026-11-25")), Turn::Same);
        assert_eq!(day.turn(date("2026-11-26")), Turn::New);
        // A little: the day stays, and what is left of it is longer.
        assert_eq!(day.turn(date("2026-11-25")), Turn::Same);
        assert_eq!(day.date(), date("2026-11-26"));
        let left = day.left(&TimeZone::UTC, "2026-11-25T12:00:00Z".parse().unwrap());
        assert_eq!(left, Duration::from_secs(36 * 3600));
        assert_eq!(day.turn(date("2026-11-26")), Turn::Same);
        assert_eq!(day.turn(date("2026-11-27")), Turn::New);
    }

    #[test]
    fn a_clock_that_was_far_off_holds_nobody_for_ever() {
        let mut day = Day::new(date("2026-11-25"));
        // Far ahead, and set right: what was counted counts there and here, and tomorrow is new.
        assert_eq!(day.turn(date("2099-01-01")), Turn::Same);
        assert_eq!(day.turn(date("2026-11-25")), Turn::Same);
        assert_eq!(day.date(), date("2026-11-25"));
        assert_eq!(day.turn(date("2026-11-26")), Turn::New);
        // A machine that starts in 1970, with counts of the right day.
        assert_eq!(day.turn(date("1970-01-01")), Turn::Same);
        assert_eq!(day.turn(date("2026-11-26")), Turn::Same);
        assert_eq!(day, Day::new(date("2026-11-26")));
    }
}
