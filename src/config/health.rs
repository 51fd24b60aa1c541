//! `health` of an upstream.

use super::{
    defaults,
    mask::shown,
    reading::Reading,
    table::Item,
    value::{self, Fault},
};
use crate::snapshot::HealthCheck;

/// The longest path of a question, in bytes.
const MOST: usize = 1024;

/// The most answers in a row that may be asked for.
const MOST_IN_A_ROW: u32 = 100;

pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<HealthCheck> {
    let mut table = item.table("`health`", reading)?;
    let path = table.require("path", "path = \"/\"", reading);
    let path = path.and_then(|item| item.read(reading, path_of));
    let mut time = |name| table.take(name).map(|item| item.read(reading, value::duration));
    let interval = time("interval").unwrap_or(Some(defaults::HEALTH_INTERVAL));
    let timeout = time("timeout").unwrap_or(Some(defaults::HEALTH_TIMEOUT));
    let mut count = |name| table.take(name).map(|item| item.count(reading, (1, MOST_IN_A_ROW)));
    let healthy_after = count("healthy_after").unwrap_or(Some(defaults::HEALTHY_AFTER));
    let unhealthy_after = count("unhealthy_after").unwrap_or(Some(defaults::UNHEALTHY_AFTER));
    table.finish(&[], reading);
    Some(HealthCheck {
        path: path?,
        interval: interval?,
        timeout: timeout?,
        healthy_after: healthy_after?,
        unhealthy_after: unhealthy_after?,
    })
}

fn path_of(text: &str) -> Result<Box<str>, Fault> {
    let sound = text.starts_with('/')
        && text.len() <= MOST
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let fault = || {
        Fault::new(format!("{} is no path to ask for", shown(text)))
            .hint("write a path of the server itself, without a key: \"/\"")
    };
    sound.then(|| text.into()).ok_or_else(fault)
}
