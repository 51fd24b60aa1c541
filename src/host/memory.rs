use std::{fs, path::Path};

use rustix::param::page_size;

/// The memory that the process holds now, in bytes. `None` where the system doesn't say.
pub fn resident_memory() -> Option<u64> {
    let pages = resident_pages(&fs::read_to_string("/proc/self/statm").ok()?)?;
    u64::try_from(page_size()).ok()?.checked_mul(pages)
}

/// The memory that the process may have, in bytes: the least that its control groups allow it, and
/// never more than there is. `None` where the system doesn't say.
pub fn memory_limit() -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let machine = total(&read(Path::new("/proc/meminfo"))?)?;
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    Some(of_groups(&groups, read).map_or(machine, |least| least.min(machine)))
}

/// The second number of `/proc/self/statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least limit of the groups that `/proc/self/cgroup` names, and of those around them. A group
/// without one says `max`, or in the first version a number beyond any machine.
fn of_groups(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next());
        let root_and_file = match controllers {
            "" => Some(("/sys/fs/cgroup", "memory.max")),
            named if named.split(',').any(|controller| controller == "memory") => {
                Some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))
            }
            _ => None,
        };
        let Some(((root, file), path)) = root_and_file.zip(path) else { return Vec::new() };
        let own = Path::new(root).join(path.trim_start_matches('/'));
        // In a container the path may be the host's; the group's own files then stand at the root.
        let around = own.ancestors().take_while(|group| group.starts_with(root));
        around.filter_map(|group| read(&group.join(file))?.trim().parse().ok()).collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        assert_eq!(resident_pages("36000 4711 1200 310 0 9000 0\n"), Some(4711));
        let meminfo = "MemTotal:       16316412 kB\nMemFree:          817668 kB\n";
        assert_eq!(total(meminfo), Some(16_316_412 * 1024));
        for bad in ["", "1", "a b"] {
            assert_eq!((resident_pages(bad), total(bad)), (None, None));
        }
    }

    #[test]
    fn the_least_limit_of_the_groups_around_holds_in_both_versions() {
        let files = [
            ("/sys/fs/cgroup/system.slice/portcullis.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "2000\n"),
            ("/sys/fs/cgroup/memory.max", "3000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"),
            ("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(found.1.to_owned())
        };
        for (groups, limit) in [
            ("0::/system.slice/portcullis.service\n", Some(2000)),
            ("0::/\n", Some(3000)),
            ("12:cpu,cpuacct:/docker\n5:memory:/docker\n", Some(1000)),
            ("12:cpu:/\n", None),
            ("", None),
            ("0\n1:\n", None),
        ] {
            assert_eq!(of_groups(groups, read), limit, "{groups:?}");
        }
    }

    #[test]
    fn this_process_holds_less_than_it_may() {
        assert!(resident_memory().unwrap() > 0 && resident_memory() < memory_limit());
    }
}
