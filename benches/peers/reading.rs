//! What it costs to read a call, which no peer does.

use std::{hint::black_box, time::Instant};

use portcullis::{
    mcp,
    policy::{ArgumentRules, Check, Moment, Scalar},
};
use serde_json::json;

use crate::{BLOCKS, Outcome, report::Report};

/// Readings in a block.
const READINGS: u32 = 200_000;

/// A `tools/call` of a kilobyte for ten times: a post for a channel, as an agent writes it.
fn call(times: usize) -> String {
    let params = json!({"name": "integrationSchedulePostTool", "arguments": arguments(times)});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
}

fn arguments(times: usize) -> serde_json::Value {
    let text = "A post of some length, with \"quotes\", a line\nbreak and an emoji \u{1f680}. "
        .repeat(times);
    let settings =
        json!({"privacy": "public", "tags": ["one", "two"], "delay": 12.5, "draft": true});
    let post = json!({"integrationId": "cm0", "content": text, "settings": settings});
    json!({"socialPost": [post]})
}

/// Eight rules about a post, as somebody writes them who lets an agent draft.
const RULES: [(&str, &str); 8] = [
    ("/socialPost", "max_items"),
    ("/socialPost/*/integrationId", "one_of"),
    ("/socialPost/*/type", "one_of"),
    ("/socialPost/*/date", "after"),
    ("/socialPost/*/content", "max_length"),
    ("/socialPost/*/settings/privacy", "one_of"),
    ("/socialPost/*/content", "matches"),
    ("/socialPost/*/settings/delay", "absent"),
];

fn rules(count: usize) -> Outcome<ArgumentRules> {
    let any = regex::Regex::new("^(?:(?s).*)$")?;
    let check = |kind| match kind {
        "max_items" => Check::MaxItems(10_000_000),
        "max_length" => Check::MaxLength(100_000),
        "matches" => Check::Matches(any.clone()),
        "after" => Check::After(Moment::FromNow(jiff::SignedDuration::ZERO)),
        "absent" => Check::Absent,
        _ => Check::OneOf(["cm0", "draft", "public"].map(|text| Scalar::Text(text.into())).into()),
    };
    let mut rules = ArgumentRules::default();
    for (number, (pointer, kind)) in RULES.iter().cycle().take(count).enumerate() {
        // Beyond the eight: of members that are looked for in vain in each post.
        let pointer = match number / RULES.len() {
            0 => (*pointer).to_owned(),
            more => format!("{pointer}{more}"),
        };
        rules.add(&pointer, (check(kind), *kind != "absent"), "words").map_err(|_| "no pointer")?;
    }
    Ok(rules)
}

/// Judges the arguments as the page does; whether they keep every rule.
fn judge(arguments: &str, rules: &ArgumentRules) -> bool {
    let (now, mut keeps) = (jiff::Timestamp::now(), true);
    let walked = mcp::look_at(arguments, rules.pointers(), |pointer, found| {
        let held = rules.hold(pointer, found, now);
        keeps &= held.is_continue();
        held.map_break(drop)
    });
    walked.is_ok() && keeps
}

/// The quickest of a few blocks, in microseconds a time.
fn quickest(times: u32, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..BLOCKS {
        let begin = Instant::now();
        for _ in 0..times {
            work();
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(times));
    }
    best
}

/// What so many bytes cost that were made to cost much: objects that are nested and empty, in which a
/// thousand rules look for what isn't there.
fn hostile(bytes: usize) -> String {
    let nested = "{\"settings\":{\"a\":[[[[{}]]]]}},{},{},".repeat(bytes / 40);
    format!("{{\"socialPost\":[{nested}{{}}]}}")
}

pub(crate) fn measure(report: &mut Report) -> Outcome<()> {
    let call = call(10);
    mcp::read(call.as_bytes()).map_err(|denial| format!("{denial:?}"))?;
    let took = quickest(READINGS, || {
        let _ = black_box(mcp::read(black_box(call.as_bytes())));
    });
    report
        .say(&format!("reading a call of {} bytes: {took:.2} µs, the quickest block", call.len()));
    let arguments = arguments(50).to_string();
    let eight = rules(RULES.len())?;
    if judge(&arguments, &eight) {
        return Err("the rules should find `delay`".into());
    }
    for (count, about) in
        [(6, "none of them a regular expression"), (7, "one a regular expression")]
    {
        let lenient = rules(count)?;
        if !judge(&arguments, &lenient) {
            return Err("the call keeps its rules".into());
        }
        let took = quickest(READINGS / 10, || {
            black_box(judge(black_box(&arguments), &lenient));
        });
        let length = arguments.len();
        report.say(&format!(
            "{count} rules, {about}, for the arguments of a call of {length} bytes: {took:.2} µs"
        ));
    }
    let thousand = rules(1000)?;
    for megabytes in [1, 2, 4] {
        let hostile = hostile(megabytes << 20);
        let took = quickest(1, || {
            black_box(judge(black_box(&hostile), &thousand));
        });
        let took = took / 1e3;
        report.say(&format!("1,000 rules for {megabytes} MiB of hostile nesting: {took:.1} ms"));
    }
    Ok(())
}
