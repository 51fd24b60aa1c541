use crate::{
    config::Problem,
    policy::BanMode,
    snapshot::{LogFormat, Snapshot},
};

/// What can't change in a running process, and does: a problem for each.
pub(super) fn changed(now: &Snapshot, new: &Snapshot) -> Vec<Problem> {
    let are_counted = |snapshot: &Snapshot| snapshot.bans.mode != BanMode::Off;
    let is_json = |snapshot: &Snapshot| matches!(snapshot.log.format, LogFormat::Json);
    let sizes = |Snapshot { limits, .. }: &Snapshot| {
        (limits.connections, limits.connections_per_address, limits.handshakes)
    };
    let sink =
        |snapshot: &Snapshot| snapshot.audit.as_ref().map(|audit| (audit.to.clone(), audit.digest));
    let all = [
        (now.state_dir != new.state_dir, "`dir` of [state]"),
        (now.admin != new.admin, "`address` of [admin]"),
        (now.admin_socket != new.admin_socket, "`socket` of [admin]"),
        (
            sink(now) != sink(new),
            "`file`, its rotation, `digest` of [audit], or whether it is there,",
        ),
        (is_json(now) != is_json(new), "`format` of [log]"),
        (now.log.level != new.log.level, "`level` of [log]"),
        (
            sizes(now) != sizes(new),
            "`connections`, `connections_per_address` or `handshakes` of [limits]",
        ),
        (now.limits.descriptors != new.limits.descriptors, "`descriptors` of [limits]"),
        (are_counted(now) != are_counted(new), "`mode` of [bans], from \"off\" or to it,"),
    ];
    let changed = all.into_iter().filter(|(differs, _)| *differs);
    changed.map(|(_, what)| fixed(what)).collect()
}

fn fixed(what: &str) -> Problem {
    let message = format!("{what} can't change in a running process");
    Problem::of_file(&message, "restart to apply it, or put it back as it was and reload")
}
