//! What a worker process is asked, and answers: `deft unit --worker`, the other end of
//! [`worker`](super::worker).

use std::fs::File;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::units::Outcome;
use crate::interrupt;

/// A worker's answer to the number of a unit.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) unit: usize,
    pub(super) outcome: Result<Outcome>,
}

/// Numbers of units asked for on stdin. Once that is closed, nobody wants an answer any more: what is
/// being done stops, and nothing else begins.
#[derive(Debug)]
pub struct Requests {
    lines: Receiver<String>,
    /// Takes the answers: what was stdout when the process started.
    answers: File,
    /// Whether there is something to stop: loading, at first.
    at_work: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Requests {
    /// Listens from now on, and takes stdout for answers alone. Plugins may print when they are
    /// loaded, too: call it before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when stdout cannot be taken.
    pub fn listen() -> Result<Self> {
        interrupt::set_worker();
        let answers = private_stdout()?;
        let (sender, lines) = channel();
        let at_work = Arc::new(AtomicBool::new(true));
        let closed = Arc::new(AtomicBool::new(false));
        let (stops, ended) = (Arc::clone(&at_work), Arc::clone(&closed));
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
            ended.store(true, Ordering::SeqCst);
            if stops.load(Ordering::SeqCst) {
                interrupt::cancel();
            }
        });
        Ok(Self { lines, answers, at_work, closed })
    }

    /// Answers each request.
    pub(super) fn serve(
        &mut self,
        mut execute: impl FnMut(usize) -> Result<Outcome>,
    ) -> Result<()> {
        self.at_work.store(false, Ordering::SeqCst);
        while let Some(unit) = self.next()? {
            self.at_work.store(true, Ordering::SeqCst);
            if self.closed.load(Ordering::SeqCst) {
                return Ok(());
            }
            log::debug!("asked for unit {unit}");
            let outcome = execute(unit);
            self.at_work.store(false, Ordering::SeqCst);
            self.answer(unit, outcome)?;
        }
        Ok(())
    }

    /// Answers a request with why nothing can be done: the host then knows more than that the process
    /// has ended.
    pub fn refuse(&mut self, error: &Error) {
        if let Ok(Some(unit)) = self.next() {
            // Who does not listen any more needs no answer.
            let _ = self.answer(unit, Err(error.clone()));
        }
    }

    /// The next unit; none once stdin is closed.
    fn next(&self) -> Result<Option<usize>> {
        let Ok(line) = self.lines.recv() else { return Ok(None) };
        line.trim().parse().map(Some).map_err(|_| {
            Error::option_at("", "a line on stdin is no unit's number").with_context("line", line)
        })
    }

    fn answer(&mut self, unit: usize, outcome: Result<Outcome>) -> Result<()> {
        let line = serde_json::to_string(&Answer { unit, outcome })
            .or_error(ErrorKind::Unexpected, "an answer is no JSON")?;
        writeln!(self.answers, "{line}")
            .or_error(ErrorKind::Io, "the host does not listen any more")
    }
}

/// Takes stdout for answers alone; whatever else is printed goes to stderr from now on.
fn private_stdout() -> Result<File> {
    let failed = "cannot set up the worker's answers";
    let own = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)
        .or_error(ErrorKind::Unexpected, failed)?;
    rustix::stdio::dup2_stdout(std::io::stderr()).or_error(ErrorKind::Unexpected, failed)?;
    Ok(File::from(own))
}
