//! Portcullis beside nginx, HAProxy and Envoy, doing the same work on one machine in one run: TLS, access
//! log, a limit per key, an address list, the prefix taken off the path, nothing buffered.
//!
//! `cargo bench --bench peers` measures all; after `--`, `calls`, `handshakes`, `idle`, `events`,
//! `transfer`, `reading` and `policy` choose parts, `portcullis`, `nginx`, `haproxy` and `envoy` choose proxies. Absolute numbers mean
//! nothing beyond the machine and the run; ratios do.
//! Every number is the median of blocks that are interleaved, so that a slow minute hits all alike.
//! Processor time is that of the proxy's processes, from `/proc/PID/stat`. Answers are checked, and
//! the server's count has to agree with the clients'.

mod body;
mod calls;
mod client;
mod handshakes;
mod measure;
mod policy;
mod process;
mod proxies;
mod reading;
mod report;
mod server;
mod streams;
mod transfer;

use std::{env, error::Error, time::Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{client::Trust, proxies::Kind, report::Report, server::Server};

/// What is measured.
#[derive(Clone, Copy)]
enum Part {
    Calls,
    Handshakes,
    Idle,
    Events,
    Transfer,
    Reading,
    Policy,
}

impl Part {
    const ALL: [(&str, Self); 7] = [
        ("calls", Self::Calls),
        ("handshakes", Self::Handshakes),
        ("idle", Self::Idle),
        ("events", Self::Events),
        ("transfer", Self::Transfer),
        ("reading", Self::Reading),
        ("policy", Self::Policy),
    ];
}

/// What went wrong ends the run: half a comparison is none.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What all measurements stand on.
struct Ground {
    server: Server,
    trust: Trust,
    /// The proxies that take part.
    kinds: Vec<Kind>,
}

/// Interleaved blocks of each measurement.
const BLOCKS: u32 = 3;

fn main() -> Outcome<()> {
    raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let words: Vec<String> = env::args().skip(1).collect();
    let begin = Instant::now();
    let kinds = chosen(&words, Kind::ALL.map(|kind| (kind.name(), kind)));
    // Before anything is measured: it also finds out what isn't installed.
    let versions = Kind::versions(&kinds)?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::default();
    runtime.block_on(async {
        let trust = Trust::write_to(folder.path())?;
        let ground = Ground { server: Server::start().await?, trust, kinds };
        for part in chosen(&words, Part::ALL) {
            match part {
                Part::Calls => calls::measure(&ground, &mut report).await?,
                Part::Handshakes => handshakes::measure(&ground, &mut report).await?,
                Part::Idle => streams::measure_memory(&ground, &mut report).await?,
                Part::Events => streams::measure_events(&ground, &mut report).await?,
                Part::Transfer => transfer::measure(&ground, &mut report).await?,
                Part::Reading => reading::measure(&mut report)?,
                Part::Policy => policy::measure(&mut report)?,
            }
        }
        Outcome::Ok(())
    })?;
    report.print(&versions, begin.elapsed());
    Ok(())
}

/// Those of `all` that are named in `words`, or all where none is.
fn chosen<T: Copy, const N: usize>(words: &[String], all: [(&str, T); N]) -> Vec<T> {
    let named = |(name, what): &(&str, T)| {
        words.iter().any(|word| word.eq_ignore_ascii_case(name)).then_some(*what)
    };
    let some: Vec<T> = all.iter().filter_map(named).collect();
    if some.is_empty() { all.map(|(_, what)| what).to_vec() } else { some }
}

/// Each stream takes two descriptors here, and the proxies inherit the limit.
fn raise_descriptor_limit() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}
