//! The host's services, as a test lends them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deft_core::{Context, Error, ErrorKind, Result, Services};

use crate::report::{Verdict, ensure};

/// Services that resolve a name to itself, count how often a component asks whether to go on, and
/// can be told to say no.
#[derive(Debug)]
pub struct TestServices {
    looks: AtomicUsize,
    allowed: usize,
}

impl TestServices {
    /// Services that let every call go on to its end.
    pub fn new() -> Self {
        Self::cancelled_after(usize::MAX)
    }

    /// Services of a user who has asked to stop.
    pub fn cancelled() -> Self {
        Self::cancelled_after(0)
    }

    /// Services that say “go on” so many times, and “stop” from then on.
    pub fn cancelled_after(looks: usize) -> Self {
        Self { looks: AtomicUsize::new(0), allowed: looks }
    }

    /// How often it was asked whether to go on.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// A context over these services.
    pub fn context(&self, seed: u64, threads: usize) -> Context<'_> {
        Context::new(self, seed, threads)
    }
}

impl Default for TestServices {
    fn default() -> Self {
        Self::new()
    }
}

impl Services for TestServices {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed) >= self.allowed
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, _json: &str) -> Result<String> {
        Err(Error::unknown_call(name))
    }
}

/// Calls what must stop at once because the user has asked to.
pub(crate) fn must_stop<T>(
    what: &str,
    threads: usize,
    call: impl FnOnce(&Context<'_>) -> Result<T>,
) -> Verdict {
    let services = TestServices::cancelled();
    let start = Instant::now();
    let stopped = call(&services.context(SEED, threads)).map(|_| ());
    let took = start.elapsed();
    let kind = stopped.as_ref().err().map(Error::kind);
    ensure!(
        kind == Some(ErrorKind::Cancelled),
        "{what}, cancelled from its start, gave {stopped:?}"
    );
    ensure!(took < Duration::from_secs(1), "{what} took {took:?} to stop");
    Ok(())
}

/// Runs `call` with the numbers from 0 on several threads that start together.
pub(crate) fn at_once<T: Send>(count: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    let (start, call) = (&start, &call);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    call(number)
                })
            })
            .collect();
        let finished = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        finished.map(|one| one.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// The seed of every call that none is named for.
pub(crate) const SEED: u64 = 5;
