//! Upkeep under load: streams that are held and calls that go on while the configuration is read again,
//! certificates are renewed, and other binaries take over.
//!
//! `cargo bench --bench upkeep` takes five minutes; after `--`, a number is how many seconds, a second one
//! how many streams, any other word chooses changes (`reload`, `swap`, `upgrade`), and `large` makes every
//! other reload one of a file with 100,000 consumers and 100,000 nets. It prints what
//! became of streams and calls, and how long they took when nothing changed and when something did, and
//! ends with 1 where one was cut or failed. At the end the key of all streams is revoked, wherever they
//! are by then.

#[path = "../../tests/suite/harness/anybody.rs"]
mod anybody;
mod calls;
mod changes;
mod gateway;
mod meter;
mod server;
mod streams;
mod trust;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use changes::Change;
use meter::Meter;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is asked for.
struct Plan {
    /// With changes, and before them without any.
    seconds: u64,
    streams: usize,
    changes: Vec<Change>,
    large: bool,
}

fn main() -> Outcome<ExitCode> {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits })?;
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let plan = Plan::of(&words);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build()?.block_on(run(plan))
}

impl Plan {
    fn of(words: &[String]) -> Self {
        let mut numbers = words.iter().filter_map(|word| word.parse::<u64>().ok());
        let seconds = numbers.next().unwrap_or(300).max(10);
        let streams = numbers.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(5000);
        let named = |change: &Change| words.iter().any(|word| word == change.name());
        let mut changes = changes::planned();
        if changes.iter().any(named) {
            changes.retain(named);
        }
        let large = words.iter().any(|word| word == "large");
        Self { seconds, streams, changes, large }
    }
}

/// Long work shows that it goes on.
fn progress(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

async fn run(plan: Plan) -> Outcome<ExitCode> {
    let folder = tempfile::TempDir::new()?;
    let meter = Arc::new(Meter::new(Instant::now()));
    let server = server::start(Arc::clone(&meter)).await?;
    let mut gateway = gateway::Gateway::start(folder.path(), server, plan.large).await?;
    progress(&format!("opening {} streams", plan.streams));
    let held = streams::open(gateway.address, plan.streams, &meter).await?;
    let lanes = calls::start(gateway.address, &meter);
    let quiet = Duration::from_secs((plan.seconds / 5).clamp(5, 60));
    progress(&format!("quiet for {} s", quiet.as_secs()));
    tokio::time::sleep(quiet).await;
    meter.begins();
    let pause = Duration::from_secs(plan.seconds) / u32::try_from(plan.changes.len().max(1))?;
    for change in &plan.changes {
        let next = Instant::now() + pause;
        let took = change.make(&mut gateway).await?;
        let at = meter.elapsed().as_secs();
        let memory = gateway.memory()? / 1024;
        progress(&format!("{at:4} s: {} took {took:.1?}, {memory} MiB", change.name()));
        meter.made(*change, took);
        tokio::time::sleep_until(next.into()).await;
    }
    lanes.end().await;
    let report = meter.report(held.alive());
    write!(io::stdout(), "{report}")?;
    let (live, took) = (held.alive(), gateway.revoke(|| held.alive()).await?);
    writeln!(io::stdout(), "revoke   {live} streams to their last byte in {took:.1?}")?;
    drop(held);
    gateway.end().await?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
