//! Processes, as temporaries and locks name them: alive or gone.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use deft_core::Fingerprint;

/// A process: machine, number, and when it started, since numbers are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    machine: String,
    pid: u32,
    started: u64,
}

impl Process {
    /// This process.
    pub(super) fn this() -> &'static Self {
        static THIS: OnceLock<Process> = OnceLock::new();
        THIS.get_or_init(|| {
            let pid = std::process::id();
            Self { machine: machine(), pid, started: start_time(pid).unwrap_or(0) }
        })
    }

    /// The process with a name that [`Process::name`] gave, and what follows the name.
    pub(super) fn parse(name: &str) -> Option<(Self, &str)> {
        let mut fields = name.splitn(4, '-');
        let machine = fields.next()?.to_owned();
        let pid = fields.next()?.parse().ok()?;
        let started = fields.next()?.parse().ok()?;
        Some((Self { machine, pid, started }, fields.next()?))
    }

    /// Its name in a file's name: `<machine>-<pid>-<start>`.
    pub(super) fn name(&self) -> String {
        format!("{}-{}-{}", self.machine, self.pid, self.started)
    }

    /// Whether it is gone; `None` where that cannot be told: on another machine.
    pub(super) fn is_gone(&self) -> Option<bool> {
        if self.machine != Self::this().machine || !Path::new("/proc/self").exists() {
            return None;
        }
        Some(match start_time(self.pid) {
            Some(started) => started != self.started,
            // Other users' processes may be hidden.
            None => !exists(self.pid),
        })
    }
}

/// Name of the machine, for messages.
pub(super) fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// What tells this machine, since it was started, from others.
fn machine() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // Containers may share a host name, but number their processes each for itself.
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    identity([
        &host_name(),
        &text("/etc/machine-id"),
        &namespace.to_string_lossy(),
        // Copies of one machine have all of the above in common. The price is that what was written
        // before a restart counts as another machine's.
        &text("/proc/sys/kernel/random/boot_id"),
    ])
}

fn identity(facts: [&str; 4]) -> String {
    facts.into_iter().fold(Fingerprint::new(), Fingerprint::with).short()
}

/// Whether there is a process of this number, ours or not.
fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// When a process started, in clock ticks since the machine did; a clock set back changes nothing.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in brackets, and may hold anything; the 22nd is the start.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_an_earlier_one_of_its_number() {
        let this = Process::this();
        assert_eq!(this.is_gone(), Some(false));
        let earlier = Process { started: this.started.wrapping_sub(1), ..this.clone() };
        assert_eq!(earlier.is_gone(), Some(true));
        let elsewhere = Process { machine: "0123".to_owned(), ..this.clone() };
        assert_eq!(elsewhere.is_gone(), None);
        assert!(exists(std::process::id()) && exists(1) && !exists(u32::MAX / 2 - 1));
    }

    #[test]
    fn copies_of_a_machine_are_told_apart_by_when_they_were_started() {
        let one = identity(["vm", "0123", "pid:[4026531836]", "first boot"]);
        assert_ne!(one, identity(["vm", "0123", "pid:[4026531836]", "second boot"]));
        assert_eq!(machine(), machine());
    }

    #[test]
    fn names_are_read_back() {
        let name = format!("{}-0-part-00001.parquet", Process::this().name());
        assert_eq!(Process::parse(&name), Some((Process::this().clone(), "0-part-00001.parquet")));
        assert_eq!(Process::parse("0123-12"), None);
    }
}
