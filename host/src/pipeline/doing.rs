//! What a run does now, told through the lock of its folder: `deft status` reads it there.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::console;
use crate::store::lock::Lock;

/// How often the lock's file is written.
const EVERY: Duration = Duration::from_secs(2);

/// The lock of a run's folder, with the stage that the run is at and how far that is.
#[derive(Debug)]
pub(super) struct Doing {
    told: Arc<Told>,
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Told {
    lock: Lock,
    stage: Mutex<String>,
}

impl Told {
    fn tell(&self) {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock.tell_progress(&stage, console::readings());
    }
}

impl Doing {
    /// Tells through this lock from now on.
    pub(super) fn through(lock: Lock) -> Self {
        let told = Arc::new(Told { lock, stage: Mutex::default() });
        let (end, ended) = channel::<()>();
        let telling = Arc::clone(&told);
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                telling.tell();
            }
        });
        Self { told, end: Some(end), thread: Some(thread) }
    }

    /// Begins a stage.
    pub(super) fn begin(&self, stage: &str) {
        stage.clone_into(&mut self.told.stage.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.tell();
    }
}

impl Drop for Doing {
    /// Ends the thread first: the lock goes with the last who has it.
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Progress;
    use crate::store::lock::{Attempt, holders};

    #[test]
    fn the_lock_tells_stage_and_progress_and_goes_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let Attempt::Taken(lock) = Lock::try_take(dir.path(), "run").unwrap() else {
            panic!("nobody holds it");
        };
        let doing = Doing::through(lock);
        let progress = Progress::new("train mood/retrieved");
        progress.update(3, 12, "steps");
        doing.begin("train and evaluate");
        let holder = holders(dir.path()).remove(0).1.unwrap();
        assert_eq!(holder.doing, "train and evaluate");
        let is_told = holder.progress.iter().any(|one| one["label"] == "train mood/retrieved");
        assert!(is_told, "{holder:?}");
        drop(doing);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
