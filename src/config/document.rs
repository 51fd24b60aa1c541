//! The whole file: its sections in order, then what they mean together.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use toml::de::DeTable;
use tracing_subscriber::EnvFilter;

use super::{
    Span, access, audit, bans, conflicts, consumers, defaults, limits, listeners,
    mask::shown,
    reading::Reading,
    routes, sets,
    table::{Item, Table, nearest},
    upstreams,
    value::Fault,
    weak,
};
use crate::{
    policy::Consumers,
    snapshot::{Log, LogFormat, Routes, Snapshot},
};

/// Reads the file. What comes back is whole only where no error was reported on the way.
pub(super) fn read<'t>(root: &'t DeTable<'t>, reading: &mut Reading<'t>) -> Option<Snapshot> {
    let mut root = Table::new("the file", 0..0, root);
    reading.sets = sets::read(&mut root, reading);
    let listeners = listeners::read(&mut root, reading);
    let (admin, admin_socket) = admin(&mut root, reading);
    let watch = watch(&mut root, reading);
    let state_dir = state_dir(&mut root, reading);
    let access = access::read(&mut root, reading);
    let bans = bans::read(&mut root, reading);
    let (limits, time_zone) = limits::read(&mut root, reading);
    let timeouts = limits::timeouts(&mut root, reading);
    let upstreams = upstreams::read(&mut root, reading);
    let routes = routes::read(&mut root, reading);
    let consumers = consumers::read(&mut root, reading);
    let audit = audit::read(&mut root, reading);
    let log = log(&mut root, reading);
    root.finish(&[], reading);

    conflicts::listeners(&listeners, admin.as_ref(), reading);
    conflicts::acme(&listeners, state_dir.is_some(), reading);
    conflicts::client_certificates(&listeners, &consumers, reading);
    conflicts::proxy_protocol(&listeners, &access, reading);
    conflicts::routes(&routes, &upstreams, reading);
    conflicts::prefixes(&upstreams, &routes, reading);
    conflicts::audit(audit.as_ref(), state_dir.is_some(), (&*routes, &*consumers), reading);
    weak::listeners(&listeners, reading);
    weak::acme(&listeners, &access, reading);
    weak::loopback(&listeners, &access, (&routes, &consumers), reading);
    weak::routes(&routes, &consumers, reading);
    weak::budgets(state_dir.is_some(), (&routes, &consumers), reading);
    weak::hosts(&routes, &listeners, reading);
    weak::upstreams(&upstreams, &routes, reading);
    weak::postiz_nginx(&upstreams, &routes, reading);
    weak::bearer(&upstreams, &routes, reading);
    sets::unused(reading);

    let consumers = consumers.into_iter().map(|draft| consumers::compile(draft, &routes, reading));
    // Collected before they are judged: `Option`'s own collecting ends at the first that fails.
    let consumers: Vec<_> = consumers.collect();
    let unproven = limits.unproven_per_address;
    let compile = |draft| routes::compile(draft, &upstreams, unproven, reading);
    let routes: Vec<Option<Vec<_>>> = routes.into_iter().map(compile).collect();
    let all = &listeners;
    let listeners = listeners.iter().map(|draft| listeners::compile(draft, all));
    let routes = routes.into_iter().collect::<Option<Vec<_>>>()?.concat();
    Some(Snapshot {
        listeners: listeners.collect::<Option<_>>()?,
        admin: admin.map(|(address, _)| address),
        admin_socket,
        watch,
        state_dir,
        bans,
        limits,
        time_zone,
        timeouts,
        routes: Arc::new(Routes::new(routes, Arc::clone(&access.access.trusted_header))),
        access: access.access,
        consumers: Consumers::new(consumers.into_iter().collect::<Option<Vec<_>>>()?),
        audit: match audit {
            Some(draft) => Some(draft.audit?),
            None => None,
        },
        log,
    })
}

/// The address and the socket of `[admin]`.
type Admin = (Option<(SocketAddr, Span)>, Option<PathBuf>);

fn admin(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Admin {
    let Some(mut table) = root.section("admin", "[admin]", reading) else { return (None, None) };
    let (address, socket) = (table.take("address"), table.take("socket"));
    if address.is_none() && socket.is_none() {
        let example = "address = \"127.0.0.1:9464\"";
        reading.missing(table.at(), "[admin] has neither `address` nor `socket`", example);
    }
    table.finish(&[], reading);
    let address = address.and_then(|item| admin_address(&item, reading));
    (address, socket.and_then(|item| socket_path(&item, reading)))
}

/// Whether the file is watched.
fn watch(root: &mut Table<'_>, reading: &mut Reading<'_>) -> bool {
    let Some(mut table) = root.section("reload", "[reload]", reading) else { return false };
    let watch = table.require("watch", "watch = true", reading);
    table.finish(&[], reading);
    watch.and_then(|item| item.flag(reading)).unwrap_or(false)
}

/// The socket alone, of a file that may have any other fault.
pub(super) fn admin_socket<'t>(
    root: &'t DeTable<'t>,
    reading: &mut Reading<'t>,
) -> Option<PathBuf> {
    admin(&mut Table::new("the file", 0..0, root), reading).1
}

/// The most that a path of a socket may come to, in bytes: Linux has room for 107, and the socket is
/// made in a directory beside it first.
const SOCKET_PATH: usize = 96;

fn socket_path(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<PathBuf> {
    let text = item.text(reading)?;
    if text.is_empty() {
        reading.error(&item.at, "`socket` is empty").hint("leave it out to have no admin socket");
        return None;
    }
    let path = reading.path(text);
    if path.as_os_str().len() > SOCKET_PATH {
        reading
            .error(&item.at, "`socket` is longer than a socket's path may be")
            .hint("write a path of at most 96 bytes: \"/run/portcullis/admin.sock\"");
        return None;
    }
    Some(path)
}

fn admin_address(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<(SocketAddr, Span)> {
    let address = item.socket_address(reading)?;
    if !address.ip().is_loopback() {
        reading
            .warning(&item.at, "other machines can read the metrics, which name your consumers")
            .hint("listen on 127.0.0.1, or let a firewall admit your Prometheus alone");
    }
    Some((address, item.at.clone()))
}

fn state_dir(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Option<PathBuf> {
    let mut table = root.section("state", "[state]", reading)?;
    let dir = table.require("dir", "dir = \"/var/lib/portcullis\"", reading);
    table.finish(&[], reading);
    let item = dir?;
    let text = item.text(reading)?;
    if text.is_empty() {
        reading.error(&item.at, "`dir` is empty").hint("leave [state] out to keep nothing");
    }
    Some(reading.path(text))
}

fn log(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Log {
    let mut log = Log { format: defaults::LOG_FORMAT, level: defaults::LOG_LEVEL.into() };
    let Some(mut table) = root.section("log", "[log]", reading) else { return log };
    if let Some(item) = table.take("format") {
        let choices = [("json", LogFormat::Json), ("text", LogFormat::Text)];
        log.format = item.choice(reading, &choices).unwrap_or(log.format);
    }
    if let Some(item) = table.take("level")
        && let Some(level) = item.read(reading, level)
    {
        log.level = level;
    }
    table.finish(&[], reading);
    log
}

/// A level, or a filter of `tracing` (`info,portcullis=debug`).
fn level(text: &str) -> Result<Box<str>, Fault> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let fault = |hint: String| Fault::new(format!("{} is no log level", shown(text))).hint(hint);
    // As a filter, a misspelled level would be taken for the name of a module.
    if !text.contains(['=', ',']) && !LEVELS.contains(&text) {
        return Err(fault(match nearest(text, LEVELS.into_iter()) {
            Some(level) => format!("did you mean \"{level}\"?"),
            None => format!("write one of {}", LEVELS.join(", ")),
        }));
    }
    let filter = EnvFilter::builder().parse(text);
    filter.map_err(|_| fault("write a level, or module=level pairs with commas".to_owned()))?;
    Ok(text.into())
}
