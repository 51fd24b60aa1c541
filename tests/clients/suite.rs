//! The official conformance suite, and what it found.

use std::{collections::BTreeSet, fmt, fs, path::Path, process::Command, time::Instant};

use serde_json::Value;

use crate::{process::Process, programs};

/// The length of what follows a scenario in the name of its folder: `-2026-01-31T12-00-00-000Z`.
const TIMESTAMP: usize = 25;

/// What the suite is asked to run.
#[derive(Clone, Copy)]
pub(crate) enum Scenarios {
    /// What 2025-11-25 requires: sessions, streams that are taken up again, requests of the server.
    Of2025,
    /// What 2026-07-28 requires: no sessions, heads that repeat the body, streams of subscriptions.
    Of2026,
    /// The one that sends another site's `Host` and `Origin`.
    Rebinding,
}

impl Scenarios {
    /// Its name in the table of what was found.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Of2025 => "2025-11-25",
            Self::Of2026 => "2026-07-28",
            Self::Rebinding => "dns-rebinding-protection",
        }
    }

    /// How many there are; those that don't count towards the score are run too.
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::Of2025 => 33,
            Self::Of2026 => 50,
            Self::Rebinding => 1,
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Of2025 | Self::Of2026 => "--requirements",
            Self::Rebinding => "--scenario",
        }
    }
}

/// What a run of the suite found.
pub(crate) struct Findings {
    /// Whether all that is scored has passed.
    pub(crate) passed: bool,
    /// In order, with repetitions: some scenarios make a check several times.
    pub(crate) checks: Vec<Check>,
    /// What the suite wrote, for who wants to know why.
    pub(crate) told: String,
}

/// A check, how it ended, and why it failed. Sessions, times and ports are in what the suite tells of it, not here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Check {
    pub(crate) scenario: String,
    pub(crate) id: String,
    name: String,
    pub(crate) status: String,
    because: Option<String>,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, id, name, status, because } = self;
        let because = because.as_deref().unwrap_or_default();
        write!(f, "{scenario}: {id} ({name}): {status} {because}")
    }
}

impl Findings {
    /// How many of these scenarios were run.
    pub(crate) fn scenarios(&self) -> usize {
        self.checks.iter().map(|check| &check.scenario).collect::<BTreeSet<_>>().len()
    }

    /// How many checks ended so.
    pub(crate) fn count(&self, status: &str) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// The checks that the other run doesn't have as often, or ended otherwise.
    pub(crate) fn without(&self, other: &Self) -> Vec<&Check> {
        let mut others = other.checks.iter().collect::<Vec<_>>();
        let is_alone = |check: &&Check| {
            let twin = others.iter().position(|other| *other == *check);
            twin.map(|twin| others.swap_remove(twin)).is_none()
        };
        self.checks.iter().filter(is_alone).collect()
    }
}

/// Runs the scenarios against the server at the URL.
pub(crate) fn run(scenarios: Scenarios, url: &str, deadline: Instant) -> Findings {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut suite = command();
    suite.args(["server", "--url", url, scenarios.option(), scenarios.name(), "--output-dir"]);
    let (status, told) = Process::start(suite.arg(folder.path())).finish(deadline);
    let mut checks = read(folder.path());
    checks.sort();
    Findings { passed: status.success(), checks, told }
}

fn command() -> Command {
    let suite = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    programs::node22("conformance", suite)
}

/// The checks of all scenarios: each has a folder of its own.
fn read(results: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    for folder in fs::read_dir(results).expect("the suite has made it") {
        let folder = folder.expect("it is ours").path();
        let name = folder.file_name().expect("it has one").to_string_lossy().into_owned();
        let name = name.strip_prefix("server-").expect("only servers are tested");
        let scenario = &name[..name.len() - TIMESTAMP];
        let found = fs::read_to_string(folder.join("checks.json")).expect("a scenario has checks");
        let found: Vec<Value> = serde_json::from_str(&found).expect("a list of checks");
        checks.extend(found.iter().map(|found| check(scenario, found)));
    }
    checks
}

fn check(scenario: &str, found: &Value) -> Check {
    let text = |member: &str| found[member].as_str().expect("a check has it").to_owned();
    Check {
        scenario: scenario.to_owned(),
        id: text("id"),
        name: text("name"),
        status: text("status"),
        because: found["errorMessage"].as_str().map(str::to_owned),
    }
}
