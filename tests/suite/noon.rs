//! A time zone in which it is about noon, so that no day ends in the middle of a test.

use jiff::{Timestamp, tz::TimeZone};

/// Its name. `Etc/GMT-3` is three hours ahead of UTC.
pub(crate) fn zone() -> String {
    let hour = i32::from(Timestamp::now().to_zoned(TimeZone::UTC).hour());
    match 12 - hour {
        0 => "Etc/GMT".to_owned(),
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        behind => format!("Etc/GMT+{}", -behind),
    }
}

/// `[limits]` with it.
pub(crate) fn limits() -> String {
    format!("[limits]\ntime_zone = \"{}\"", zone())
}

/// The seconds that are left of the day there, rounded up.
pub(crate) fn left_of_day() -> u64 {
    let now = Timestamp::now().in_tz(&zone()).unwrap();
    let end = now.tomorrow().unwrap().start_of_day().unwrap();
    u64::try_from(end.timestamp().as_second() - now.timestamp().as_second()).unwrap()
}
