//! What this machine has left: disk and memory, as the system tells.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The folder itself, or the nearest above it that exists.
fn existing(dir: &Path) -> Option<&Path> {
    dir.ancestors()
        .map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
        .find(|dir| dir.exists())
}

/// Bytes that may still be written where a folder is, or would be.
pub(crate) fn free_disk(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(existing(dir)?).ok()?;
    // Some network file systems do not tell, and say that there are no blocks at all.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Which disk a folder is on, or would be.
pub(crate) fn disk_of(dir: &Path) -> Option<u64> {
    fs::metadata(existing(dir)?).ok().map(|metadata| metadata.dev())
}

/// Bytes of memory that a new process could take: what the system has, or what is left of this
/// process's group, whichever is less.
pub(crate) fn available_memory() -> Option<u64> {
    let system =
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemAvailable:"));
    system.into_iter().chain(left_in_group()).min()
}

/// Most memory that this process has held since [`forget_peak`].
pub(crate) fn peak_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Has the peak start from what is held now. Where the system cannot, the peak is that of the whole
/// process: an estimate made from it is too high, and never too low.
pub(crate) fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The value of a line `name 123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What is left below the limits of the control groups (version 2) that this process is in.
fn left_in_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let all = Path::new(own).ancestors().map(|group| root.join(group));
    all.filter_map(|group| {
        let read = |name: &str| fs::read_to_string(group.join(name)).ok();
        left_of(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
    })
    .min()
}

/// What is left of a group's memory; files in the system's cache make room when it is needed.
fn left_of(most: &str, current: &str, statistics: &str) -> Option<u64> {
    // `max` is no number: no limit.
    let most: u64 = most.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let cached = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let cached: u64 = cached.and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(most.saturating_sub(current.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_disk_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("not/yet");
        assert!(free_disk(&deep).unwrap() > 0);
        assert_eq!(disk_of(&deep), disk_of(dir.path()));
        assert!(free_disk(Path::new("runs-that-are-not-there")).is_some());
    }

    #[test]
    fn a_groups_limit_counts_without_what_is_only_cached() {
        let statistics = "anon 100\ninactive_file 300\nactive_file 7\n";
        assert_eq!(left_of("1000\n", "900\n", statistics), Some(400));
        assert_eq!(left_of("100\n", "900\n", statistics), Some(0));
        assert_eq!(left_of("max\n", "900\n", statistics), None);
    }

    #[test]
    fn memory_is_read_in_kilobytes() {
        assert_eq!(
            kilobytes("MemTotal: 9 kB\nMemAvailable:   12 kB\n", "MemAvailable:"),
            Some(12_288)
        );
        assert_eq!(kilobytes("MemTotal: 9 kB\n", "MemAvailable:"), None);
        assert!(cfg!(not(target_os = "linux")) || available_memory().is_some());
    }
}
