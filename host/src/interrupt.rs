//! Ctrl-C, and the signals that mean the same: a stop at the next safe point, or else an end.
//!
//! Outputs are committed by renaming, so that ending the process loses the unit in hand and no more.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Thread, park_timeout};
use std::time::{Duration, Instant};

use deft_core::abi::v1::running::{self, Call};
use deft_core::{Error, ErrorKind, Result};

use crate::{console, crash};

/// Exit code after Ctrl-C.
pub const EXIT_CANCELLED: i32 = 130;

/// Time that a component has to come back.
const GRACE: Duration = Duration::from_secs(2);
/// Time that the program has when no component runs: it writes, or frees memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Set by the first Ctrl-C.
static CANCELLED: AtomicBool = AtomicBool::new(false);
/// Whether the same command goes on where this one stops.
static RESUMABLE: AtomicBool = AtomicBool::new(false);
/// Whether another process tells of a stop.
static WORKER: AtomicBool = AtomicBool::new(false);
/// The thread that sees to the end.
static WATCH: OnceLock<Thread> = OnceLock::new();

/// Whether the user asked to stop.
pub fn is_cancelled() -> bool {
    CANCELLED.load(Ordering::SeqCst)
}

/// Asks for a stop, as the first Ctrl-C does.
pub fn cancel() {
    CANCELLED.store(true, Ordering::SeqCst);
    if let Some(watch) = WATCH.get() {
        watch.unpark();
    }
}

/// Says whether the command of this process keeps what it has finished.
pub fn set_resumable(resumable: bool) {
    RESUMABLE.store(resumable, Ordering::Relaxed);
}

/// Says that this process works for another, which tells people of a stop: here it is a line for the
/// log.
pub fn set_worker() {
    WORKER.store(true, Ordering::Relaxed);
}

/// Whether the same command goes on where this one stops.
pub fn is_resumable() -> bool {
    RESUMABLE.load(Ordering::Relaxed)
}

/// How to go on after a stop, if one can.
pub fn how_to_go_on() -> &'static str {
    if is_resumable() { "; what was finished is kept: run the same command to go on" } else { "" }
}

/// Makes the first Ctrl-C (or SIGTERM, SIGHUP) ask for a stop, and the second end the process.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when the signal handler cannot be set.
pub fn handle_ctrl_c() -> Result<()> {
    let cannot = |error: &dyn std::error::Error| {
        Error::new(ErrorKind::Unexpected, "cannot listen for Ctrl-C").with_source(error)
    };
    let watch = Builder::new().name("deft-watch".to_owned()).spawn(|| watch());
    let _ = WATCH.set(watch.map_err(|error| cannot(&error))?.thread().clone());
    let under_nohup = crash::is_ignored(libc::SIGHUP);
    ctrlc::set_handler(on_signal).map_err(|error| cannot(&error))?;
    if under_nohup {
        crash::ignore(libc::SIGHUP);
    }
    Ok(())
}

/// Writes nothing: a full pipe must not keep the second Ctrl-C waiting.
fn on_signal() {
    static PRESSED: AtomicBool = AtomicBool::new(false);
    if PRESSED.swap(true, Ordering::SeqCst) {
        crash::exit_now(EXIT_CANCELLED);
    }
    cancel();
}

/// Keeps the clock of running calls; once cancelled, sees that the process ends.
fn watch() -> ! {
    const TICK: Duration = Duration::from_millis(500);
    let started = Instant::now();
    let tick = || running::tick(u32::try_from(started.elapsed().as_secs()).unwrap_or(u32::MAX));
    while !is_cancelled() {
        tick();
        park_timeout(TICK);
    }
    let cancelled = Instant::now();
    tell("stopping at the next safe point; press Ctrl-C again to end at once");
    loop {
        park_timeout(TICK / 10);
        tick();
        let waited = cancelled.elapsed();
        let calls = describe(running::all());
        if waited >= PATIENCE || waited >= GRACE && !calls.is_empty() {
            give_up(&calls);
        }
    }
}

fn tell(message: &str) {
    let is_worker = WORKER.load(Ordering::Relaxed);
    log::log!(if is_worker { log::Level::Info } else { log::Level::Warn }, "{message}");
}

fn give_up(calls: &[String]) -> ! {
    for call in calls {
        log::warn!("{call} and does not stop");
    }
    tell(&format!("ending now: the work in hand is dropped{}", how_to_go_on()));
    console::clear();
    crash::exit_now(EXIT_CANCELLED);
}

/// Running calls for people: each once, with the longest time, and a count if there are several.
fn describe(calls: impl Iterator<Item = Call>) -> Vec<String> {
    let mut known: Vec<(String, u32, usize)> = Vec::new();
    for call in calls {
        let (text, seconds) = (call.to_string(), call.seconds());
        match known.iter_mut().find(|(other, ..)| *other == text) {
            Some((_, longest, count)) => {
                *longest = seconds.max(*longest);
                *count += 1;
            }
            None => known.push((text, seconds, 1)),
        }
    }
    let tell = |(text, seconds, count)| match count {
        1 => format!("{text}, has run for {seconds} s"),
        _ => format!("{text}, has run for up to {seconds} s on {count} threads"),
    };
    known.into_iter().map(tell).collect()
}
