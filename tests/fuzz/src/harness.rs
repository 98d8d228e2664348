//! Many mutated inputs, each with limits on time and memory.

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::mutation::{Seed, mutations};

/// Inputs of each kind, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 1000;
/// The longest that one input may take.
const MAX_TIME: Duration = Duration::from_secs(5);
/// How much of an input is noted while it is at work: all but a library is shorter.
const MAX_NOTED: usize = 1 << 20;
/// An input that takes so long will not end: the process is given up.
const HANGS: Duration = Duration::from_mins(1);
/// The most memory that the process may have touched when an input is done, in KiB. All kinds
/// share it, as they run at the same time.
const MAX_MEMORY: u64 = 1 << 20;

/// Hands the seeds and mutations of them to `check`, which panics where it finds a fault.
///
/// What lies in `saved/<kind>` comes first. `words` are put in here and there.
///
/// # Panics
///
/// When `check` does, or an input takes too long or too much memory; the input is saved.
pub fn fuzz(kind: &str, seeds: &[Seed], words: &'static [&'static str], check: impl Fn(&[u8])) {
    fuzz_some(CASES, kind, seeds, words, check);
}

/// The same with another number of mutations: where each takes its time.
///
/// # Panics
///
/// See [`fuzz`].
pub fn fuzz_some(
    cases: u32,
    kind: &str,
    seeds: &[Seed],
    words: &'static [&'static str],
    check: impl Fn(&[u8]),
) {
    let trial = Trial::new(kind);
    let run = |input: &[u8]| trial.run(input, &check);
    for path in saved(kind) {
        let input = fs::read(&path).expect("a saved input can be read");
        run(&input).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
    }
    for seed in seeds {
        run(&seed.bytes).unwrap_or_else(|reason| panic!("a valid input of {kind}: {reason}"));
    }
    let inputs = (0..seeds.len(), mutations(words));
    let outcome = TestRunner::new(config(cases)).run(&inputs, |(seed, changes)| {
        run(&seeds[seed].mutated(&changes)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (seed, changes))) => {
            let path = save(kind, &seeds[seed].mutated(&changes));
            panic!("{kind}: {reason}; the input is saved: {}", path.display());
        }
        Err(error) => panic!("{kind}: {error}"),
    }
}

fn config(cases: u32) -> Config {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("saved").join(kind)
}

/// The inputs of a kind that once failed, and those made by hand.
fn saved(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(kind)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn save(kind: &str, input: &[u8]) -> PathBuf {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let name = format!("{:016x}", input.iter().fold(0xcbf2_9ce4_8422_2325, fold));
    let path = folder(kind).join(name);
    fs::create_dir_all(folder(kind)).expect("the folder can be made");
    fs::write(&path, input).expect("the input can be saved");
    path
}

/// Runs one input after the other, and sees what each takes.
struct Trial {
    /// The input at work: what is left of a process that was killed.
    current: PathBuf,
    began: Instant,
    /// When the present input began, in milliseconds.
    started: Arc<AtomicU64>,
}

impl Trial {
    fn new(kind: &str) -> Self {
        let name = format!("deft-fuzz-{}-{kind}", std::process::id());
        let trial = Self {
            current: std::env::temp_dir().join(name),
            began: Instant::now(),
            started: Arc::new(AtomicU64::new(0)),
        };
        let (began, current) = (trial.began, trial.current.clone());
        let started = Arc::downgrade(&trial.started);
        std::thread::spawn(move || watch(began, &started, &current));
        trial
    }

    /// Why an input is at fault, if it is.
    fn run(&self, input: &[u8], check: &impl Fn(&[u8])) -> Result<(), String> {
        let noted = if input.len() > MAX_NOTED { &input[..MAX_NOTED] } else { input };
        fs::write(&self.current, noted)
            .map_err(|error| format!("cannot note the input: {error}"))?;
        self.started.store(millis(self.began.elapsed()), Ordering::Relaxed);
        let start = Instant::now();
        catch_unwind(AssertUnwindSafe(|| check(input))).map_err(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            format!("it panics: {}", text.unwrap_or("without a message"))
        })?;
        if start.elapsed() > MAX_TIME {
            return Err(format!("it takes {:?}", start.elapsed()));
        }
        match peak_memory() {
            Some(peak) if peak > MAX_MEMORY => Err(format!("it takes {} MiB", peak >> 10)),
            _ => Ok(()),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // It is of no more use.
        let _ = fs::remove_file(&self.current);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ends the process when an input does not: a thread cannot be stopped.
fn watch(began: Instant, started: &Weak<AtomicU64>, current: &Path) {
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let Some(started) = started.upgrade() else { return };
        let running = millis(began.elapsed()).saturating_sub(started.load(Ordering::Relaxed));
        if running > millis(HANGS) {
            let _ = writeln!(std::io::stderr(), "this input does not end: {}", current.display());
            std::process::abort();
        }
    }
}

/// The most memory that the process had since it was last asked, in KiB; `None` off Linux.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = line.trim().strip_suffix(" kB")?.parse().ok()?;
    if peak > MAX_MEMORY {
        // Starts anew, or every later input would be blamed.
        let _ = fs::write("/proc/self/clear_refs", "5");
    }
    Some(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_a_long_time_and_much_memory_are_faults() {
        let trial = Trial::new("harness");
        assert_eq!(trial.run(b"x", &|_: &[u8]| ()), Ok(()));
        let panics = trial.run(b"x", &|_: &[u8]| panic!("so it {}", "is"));
        assert_eq!(panics.unwrap_err(), "it panics: so it is");
        let sleeps = |_: &[u8]| std::thread::sleep(MAX_TIME + Duration::from_millis(1));
        assert!(trial.run(b"x", &sleeps).unwrap_err().starts_with("it takes 5."));
        if cfg!(target_os = "linux") {
            let grabs = |_: &[u8]| {
                let length = usize::try_from(MAX_MEMORY + 1024).unwrap() << 10;
                assert_eq!(std::hint::black_box(vec![1u8; length])[length / 2], 1);
            };
            assert!(trial.run(b"x", &grabs).unwrap_err().ends_with(" MiB"));
            assert_eq!(trial.run(b"x", &|_: &[u8]| ()), Ok(()));
        }
    }
}
