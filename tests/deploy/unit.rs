//! `portcullis.service`: systemd's own view of how far a broken gateway would get.

use std::process::Command;

use crate::{read, root, succeeds};

const UNIT: &str = "deploy/portcullis.service";

/// The highest exposure that is still called "OK", with room for what a newer systemd asks.
const EXPOSURE: f64 = 2.0;

#[test]
fn the_unit_is_barely_exposed() {
    let said = succeeds(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(root(UNIT)),
    );
    let overall = said.lines().find(|line| line.contains("Overall exposure level"));
    let level = overall.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
    let level: f64 = level.unwrap_or_else(|| panic!("{said}"));
    assert!(level <= EXPOSURE, "{said}");
}

#[test]
fn the_unit_keeps_its_folders_and_has_time_to_drain() {
    let unit = read(UNIT);
    for line in [
        "RuntimeDirectory=portcullis",
        "RuntimeDirectoryMode=0700",
        "StateDirectory=portcullis",
        "StateDirectoryMode=0700",
        "Type=notify-reload",
        "NotifyAccess=main",
        "KillSignal=SIGTERM",
        "TimeoutStopSec=20s",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
