//! What it costs to ask who may come, with ten nets and consumers and with 100,000, and what it takes to
//! read such a file.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Instant, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use portcullis::{
    config::{Surroundings, compile_text},
    snapshot::Snapshot,
    types::Secret,
};

use crate::{BLOCKS, Outcome, report::Report};

/// Questions in a block.
const QUESTIONS: u32 = 200_000;

/// Addresses and keys that are asked for in turn: more than a processor keeps the branches of in mind.
const DIFFERENT: u32 = 4096;

pub(crate) fn measure(report: &mut Report) -> Outcome<()> {
    let mut few: Option<[f64; 2]> = None;
    for count in [10, 100_000] {
        let text = file(count);
        let begin = Instant::now();
        let snapshot = compile(&text)?;
        let took = begin.elapsed().as_secs_f64() * 1e3;
        report
            .say(&format!("a file of {count} nets and {count} consumers is read in {took:.1} ms"));
        let [net, consumer] = questions(&snapshot, count);
        report
            .say(&format!("  may an address come: {net:.0} ns, whose is a key: {consumer:.0} ns"));
        if let Some([few_nets, few_consumers]) = few {
            let ratios = (net / few_nets, consumer / few_consumers);
            report.say(&format!("  {:.2} and {:.2} of that with ten", ratios.0, ratios.1));
        }
        few = few.or(Some([net, consumer]));
    }
    Ok(())
}

/// Nanoseconds of a question about an address, and about a key, in the quickest block.
fn questions(snapshot: &Snapshot, count: u32) -> [f64; 2] {
    // Every other address is in a net.
    let addresses: Vec<IpAddr> =
        (0..DIFFERENT).map(|at| net(at.wrapping_mul(7919) % (2 * count)).into()).collect();
    let keys: Vec<_> =
        (0..DIFFERENT).map(|at| Secret::new(key(at % (2 * count))).digest()).collect();
    let access = &snapshot.access;
    [
        quickest(&addresses, |address| {
            black_box(access.nets.judge(*address));
        }),
        quickest(&keys, |digest| {
            black_box(snapshot.consumers.find(digest, SystemTime::now));
        }),
    ]
}

fn quickest<T>(asked: &[T], question: impl Fn(&T)) -> f64 {
    let block = |_| {
        let begin = Instant::now();
        let all = asked.iter().cycle().take(usize::try_from(QUESTIONS).unwrap_or(0));
        all.for_each(|asked| question(black_box(asked)));
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(QUESTIONS)
    };
    (0..BLOCKS).map(block).fold(f64::INFINITY, f64::min)
}

/// One listener, one route, and so many nets and consumers, each of which has a net of its own.
fn file(count: u32) -> String {
    let nets: Vec<String> = (0..count).map(|at| format!("\"{}/28\"", net(at))).collect();
    let consumers = (0..count).map(|at| {
        format!(
            "[[consumers]]\nname = \"c{at}\"\nkey_sha256 = \"{}\"\nallow = [\"{}\"]\n",
            hex::encode(digest(&SHA256, key(at).as_bytes())),
            net(at)
        )
    });
    format!(
        "[[listeners]]\nname = \"http\"\naddress = \"127.0.0.1:0\"\n\
         [access]\ntrusted_proxies = []\nallow = [{}]\n\
         [upstreams.one]\nendpoints = [\"http://127.0.0.1:1\"]\n\
         [[routes]]\nname = \"mcp\"\nupstream = \"one\"\npaths = [\"/mcp/{{key}}\"]\n{}",
        nets.join(",\n"),
        consumers.collect::<String>()
    )
}

/// A net of sixteen addresses, by its first.
fn net(at: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0b00_0000 + at * 16)
}

fn key(at: u32) -> String {
    format!("a key of no account, number {at}")
}

fn compile(text: &str) -> Outcome<Snapshot> {
    let around = Surroundings {
        base_dir: Path::new("/"),
        environment: &|_| None,
        now: SystemTime::UNIX_EPOCH,
    };
    let loaded = compile_text(text, around);
    let problem = || loaded.problems.first().map_or("no problem", |problem| &*problem.message);
    loaded.snapshot.ok_or_else(|| problem().into())
}
