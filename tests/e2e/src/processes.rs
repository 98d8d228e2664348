//! Processes of a run: those that it started must not outlive it for long.

use std::fs;
use std::time::{Duration, Instant};

/// The processes of a group that live. One that has ended and that nobody has waited for does not
/// count.
pub fn living(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| lives_in(*pid, group)).collect()
}

fn lives_in(pid: u32, group: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the command in brackets, which may hold anything: state, parent, group.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = fields.split_whitespace().take(3).collect();
    matches!(fields.as_slice(), [state, _, of] if *state != "Z" && of.parse() == Ok(group))
}

/// Waits until no process of a group lives.
///
/// # Panics
///
/// When one does after so long.
pub fn wait_for_end(group: u32, within: Duration) {
    let start = Instant::now();
    while !living(group).is_empty() {
        assert!(start.elapsed() < within, "processes {:?} live on", living(group));
        std::thread::sleep(Duration::from_millis(10));
    }
}
