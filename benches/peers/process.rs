//! What the kernel says about a proxy: processor time and memory of a process and its children.

use std::{fs, process::Child, time::Duration};

use rustix::{param::clock_ticks_per_second, process::Pid};

use crate::Outcome;

/// A proxy's first process; it and its children end when this is dropped.
pub(crate) struct Tree {
    child: Child,
}

impl Tree {
    pub(crate) const fn new(child: Child) -> Self {
        Self { child }
    }

    /// The first process, then all that descend from it.
    fn ids(&self) -> Vec<u32> {
        let mut family = vec![self.child.id()];
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id| Some((id, stat(id, 3)?.try_into().ok()?)))
            .collect();
        let mut checked = 0;
        while let Some(&parent) = family.get(checked) {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
            checked += 1;
        }
        family
    }

    /// Processor time that it has taken so far, in user space and in the kernel.
    pub(crate) fn processor_time(&self) -> Duration {
        let ids = self.ids();
        let ticks = ids.iter().filter_map(|id| Some(stat(*id, 13)? + stat(*id, 14)?)).sum::<u64>();
        Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap_or(u32::MAX)
    }

    /// Resident memory in KiB, what is shared counted once (proportional set size).
    pub(crate) fn memory(&self) -> Outcome<u32> {
        let mut sum = 0;
        for id in self.ids() {
            let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let size = line.and_then(|rest| rest.split_whitespace().next());
            sum += size.ok_or("no Pss in smaps_rollup")?.parse::<u32>()?;
        }
        Ok(sum)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The parent first: one that sees its children die starts new ones.
        for id in self.ids() {
            let id = i32::try_from(id).ok().and_then(Pid::from_raw);
            // It may have ended with its parent.
            let _ = id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::KILL));
        }
        let _ = self.child.wait();
    }
}

/// A number from `/proc/ID/stat`, counted from the first field as 0 (proc_pid_stat(5)).
fn stat(id: u32, field: usize) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may hold both blanks and parentheses.
    line.rsplit_once(") ")?.1.split(' ').nth(field - 2)?.parse().ok()
}
