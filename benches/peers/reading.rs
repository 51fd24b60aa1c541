//! What it costs to read a call, which no peer does.

use std::{hint::black_box, time::Instant};

use portcullis::mcp;
use serde_json::json;

use crate::{BLOCKS, Outcome, report::Report};

/// Readings in a block.
const READINGS: u32 = 200_000;

/// A `tools/call` of a kilobyte: a post for a channel, as an agent writes it.
fn call() -> String {
    let text =
        "A post of some length, with \"quotes\", a line\nbreak and an emoji \u{1f680}. ".repeat(10);
    let settings =
        json!({"privacy": "public", "tags": ["one", "two"], "delay": 12.5, "draft": true});
    let post = json!({"integrationId": "cm0", "content": text, "settings": settings});
    let params =
        json!({"name": "integrationSchedulePostTool", "arguments": {"socialPost": [post]}});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
}

pub(crate) fn measure(report: &mut Report) -> Outcome<()> {
    let call = call();
    let mut best = f64::INFINITY;
    for _ in 0..BLOCKS {
        let begin = Instant::now();
        for _ in 0..READINGS {
            black_box(
                mcp::read(black_box(call.as_bytes())).map_err(|denial| format!("{denial:?}"))?,
            );
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / f64::from(READINGS));
    }
    report
        .say(&format!("reading a call of {} bytes: {best:.2} µs, the quickest block", call.len()));
    Ok(())
}
