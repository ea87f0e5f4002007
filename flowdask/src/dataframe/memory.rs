//! How much memory this process may still take.

use std::path::{Path, PathBuf};

/// The bytes that are available: what the system can give without swapping, or less if a control
/// group limits this process. Nothing on systems where that cannot be known.
pub(crate) fn available() -> Option<u64> {
    let system = system_available(&std::fs::read_to_string("/proc/meminfo").ok()?);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_directories(&groups)
        .filter_map(|directory| group_available(&directory))
        .min();
    match (system, group) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

fn system_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The directories of the memory control groups that this process is in, up to the root.
fn group_directories(groups: &str) -> impl Iterator<Item = PathBuf> {
    let own = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            _ if controllers
                .split(',')
                .any(|controller| controller == "memory") =>
            {
                "/sys/fs/cgroup/memory"
            }
            _ => return None,
        };
        let inside = Path::new(path.trim_start_matches('/'));
        Some(
            inside
                .ancestors()
                .map(|part| Path::new(root).join(part))
                .collect::<Vec<_>>(),
        )
    });
    own.flatten().collect::<Vec<_>>().into_iter()
}

fn group_available(directory: &Path) -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        std::fs::read_to_string(directory.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    // The limit of an unlimited group is "max", or a number beyond any memory.
    let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
    let used = read("memory.current").or_else(|| read("memory.usage_in_bytes"))?;
    let reclaimable = std::fs::read_to_string(directory.join("memory.stat"))
        .ok()
        .and_then(|stat| {
            stat.lines().find_map(|line| {
                line.strip_prefix("inactive_file ")?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
        });
    Some(limit.saturating_sub(used.saturating_sub(reclaimable.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_understood() {
        assert_eq!(
            system_available("MemTotal:  9 kB\nMemAvailable:    1024 kB\n"),
            Some(1 << 20)
        );
        assert_eq!(system_available("nothing"), None);
        let directories: Vec<PathBuf> = group_directories("0::/a/b\n").collect();
        assert_eq!(
            directories,
            ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup/"].map(PathBuf::from)
        );
        let old: Vec<PathBuf> = group_directories("4:cpu:/x\n3:memory:/\n").collect();
        assert_eq!(old, [PathBuf::from("/sys/fs/cgroup/memory/")]);
    }

    #[test]
    fn a_limited_group_has_less() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("memory.max"), "1000\n").unwrap();
        std::fs::write(directory.path().join("memory.current"), "700\n").unwrap();
        std::fs::write(
            directory.path().join("memory.stat"),
            "anon 1\ninactive_file 100\n",
        )
        .unwrap();
        assert_eq!(group_available(directory.path()), Some(400));
        std::fs::write(directory.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(group_available(directory.path()), None);
    }
}
