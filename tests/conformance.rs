//! The official conformance suite through the built gateway: no check may end otherwise than without it.
//!
//! The suite runs against a server, then against the gateway before the same server, and what it finds
//! is compared check by check. What was found is kept for the table of `make conformance`, which also
//! runs the sets that are ignored here.

#![expect(clippy::expect_used, reason = "a test ends at the line where its ground gives way")]
#![expect(clippy::panic, reason = "a test ends at the line where its ground gives way")]

#[path = "clients/everything.rs"]
mod everything;
#[path = "clients/gateway.rs"]
#[expect(dead_code, reason = "nobody asks here which server was found")]
mod gateway;
#[path = "clients/process.rs"]
#[expect(dead_code, reason = "nothing is said to these programs")]
mod process;
#[path = "clients/programs.rs"]
mod programs;
#[path = "clients/suite.rs"]
mod suite;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    everything::{Kind, Pair, Policy},
    suite::{Check, Findings, Scenarios},
};

/// How long both runs may take, the start of all programs included.
const BOTH: Duration = Duration::from_secs(120);

#[test]
#[ignore = "`make conformance`"]
fn nothing_of_2025_11_25_differs() {
    nothing_differs(Scenarios::Of2025, Policy::None);
}

#[test]
#[ignore = "`make conformance`"]
fn nothing_of_2026_07_28_differs() {
    nothing_differs(Scenarios::Of2026, Policy::None);
}

#[test]
#[ignore = "`make conformance`"]
fn nothing_of_2025_11_25_differs_where_everything_is_allowed() {
    nothing_differs(Scenarios::Of2025, Policy::Everything);
}

#[test]
fn nothing_of_2026_07_28_differs_where_everything_is_allowed() {
    nothing_differs(Scenarios::Of2026, Policy::Everything);
}

#[test]
fn a_server_that_takes_any_host_is_protected_from_rebinding() {
    let (direct, through) = compare(Kind::Official, Scenarios::Rebinding, Policy::None);
    assert!(!direct.passed, "it needs no protection:\n{}", direct.told);
    assert!(through.passed, "it has none:\n{}", through.told);
}

#[test]
#[ignore = "`make conformance`"]
fn what_differs_before_an_official_server_is_what_the_gateway_mends() {
    let (direct, through) = compare(Kind::Official, Scenarios::Of2025, Policy::None);
    let differs = through.without(&direct);
    // It takes any `Host`, and says 400 of a session that has ended.
    let mended: Vec<_> = differs.iter().map(|check| (&*check.scenario, &*check.status)).collect();
    let expected = [Scenarios::Rebinding.name(), "server-session-lifecycle"];
    assert_eq!(mended, expected.map(|scenario| (scenario, "SUCCESS")), "{}", listed(&differs));
}

fn nothing_differs(scenarios: Scenarios, policy: Policy) {
    let (direct, through) = compare(Kind::Ours, scenarios, policy);
    assert!(direct.passed, "the server fails:\n{}", direct.told);
    assert_eq!(direct.count("WARNING"), 0, "the server is warned:\n{}", direct.told);
    let (before, after) = (direct.without(&through), through.without(&direct));
    let differs = format!("without the gateway:\n{}with it:\n{}", listed(&before), listed(&after));
    assert!(before.is_empty() && after.is_empty(), "{differs}\n{}", through.told);
    assert!(through.passed, "the same checks have passed:\n{}", through.told);
}

/// What the suite finds without the gateway, and with it.
fn compare(kind: Kind, scenarios: Scenarios, policy: Policy) -> (Findings, Findings) {
    let deadline = Instant::now() + BOTH;
    let pair = Pair::start(kind, policy, deadline);
    let direct = suite::run(scenarios, &pair.direct(), deadline);
    let through = suite::run(scenarios, &pair.through(), deadline);
    pair.end(deadline);
    for findings in [&direct, &through] {
        assert_eq!(findings.scenarios(), scenarios.count(), "{}", findings.told);
    }
    keep(kind, scenarios, policy, [&direct, &through]);
    (direct, through)
}

/// Writes the line for the table, in the place of an earlier one.
fn keep(kind: Kind, scenarios: Scenarios, policy: Policy, [direct, through]: [&Findings; 2]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    fs::create_dir_all(&folder).expect("the folder is ours");
    let place = [kind.name(), scenarios.name(), policy.name()];
    let checks = [direct, through].map(|found| {
        format!("{}/{}", found.count("SUCCESS"), found.count("SUCCESS") + found.count("FAILURE"))
    });
    let differences = direct.without(through).len().max(through.without(direct).len());
    let line = format!("{}\t{}\t{differences}\n", place.join("\t"), checks.join("\t"));
    fs::write(folder.join(place.join(".") + ".tsv"), line).expect("the folder is ours");
}

fn listed(checks: &[&Check]) -> String {
    checks.iter().map(|check| format!("    {check}\n")).collect()
}
