//! Worker processes: `deft unit --worker` takes the numbers of units on stdin, a line each, and
//! answers each with a line of JSON on stdout. A worker that crashes costs the unit in hand.
//!
//! Its other end is [`requests`](super::requests).

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deft_core::{Context, Error, ErrorKind, Phase, Result, ResultExt};
use serde_json::Value;

use super::Run;
use super::requests::Answer;
use super::units::{Executor, Outcome};
use crate::console::OWN_TARGET;
use crate::services::HostServices;
use crate::store::{self, Stage};

/// How often a waiting host looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(100);

/// How long a worker may take to stop once it was told to: the two seconds that a component has
/// there, and what it takes to name one that does not come back.
const STOP_WITHIN: Duration = Duration::from_millis(2500);

/// How long the end of a log is waited for once its process has ended.
const LOG_WITHIN: Duration = Duration::from_secs(1);

/// Lines of a worker's log that an error quotes.
const QUOTED: usize = 15;

/// Does units in a process of its own, which is started when it is needed, and again after a crash.
pub(super) struct Worker<'a> {
    program: &'a Path,
    arguments: Vec<OsString>,
    log: PathBuf,
    ctx: Context<'a>,
    /// Services under a label, for the progress of the unit in hand.
    services: Box<dyn Fn(usize) -> HostServices + Send + 'a>,
    running: Option<Running>,
}

/// A worker's process, with threads that read what it writes.
struct Running {
    child: Child,
    /// Closed to stop the worker.
    units: Option<ChildStdin>,
    answers: Receiver<String>,
    /// Ends once its log has been read to the end.
    log_end: Option<Receiver<()>>,
    /// The last lines of its log.
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Where the progress of the unit in hand is shown.
    progress: Arc<Mutex<Option<HostServices>>>,
}

impl Run {
    /// A worker process for units of a phase, with its share of the threads.
    pub(super) fn worker<'a>(
        &'a self,
        arm: &str,
        (phase, stage): &'a (Phase, Stage),
        number: usize,
        ctx: Context<'a>,
    ) -> Result<Worker<'a>> {
        let program = self.program.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the program's own file is not known")
        })?;
        let arguments = self.worker_arguments(arm, phase);
        let logs = self.dir.join("logs");
        store::make_dir(&logs)?;
        let log = logs.join(format!("{}-worker-{number}.log", stage.name()));
        let label = move |unit: usize| format!("{} {} of {}", phase.name, unit + 1, phase.units);
        let services = Box::new(move |unit| self.services(&label(unit)));
        Ok(Worker { program, arguments, log, ctx, services, running: None })
    }

    fn worker_arguments(&self, arm: &str, phase: &Phase) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["unit".into(), (&self.path).into()];
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        for value in &self.overrides {
            add("--set", value.into());
        }
        for dir in &self.options.plugin_dirs {
            add("--plugin-dir", dir.into());
        }
        if let Some(store) = &self.options.store {
            add("--store", store.into());
        }
        add("--run", (&self.dir).into());
        add("--arm", arm.into());
        add("--phase", phase.name.clone().into());
        add("--threads", (self.threads / self.options.workers).max(1).to_string().into());
        add("--log-format", "json".into());
        for stage in self.progress.names() {
            add("--expect", stage.into());
        }
        arguments.push("--worker".into());
        arguments.extend(log_level().map(OsString::from));
        arguments
    }
}

/// The option that has another process log as much as this one.
fn log_level() -> Option<&'static str> {
    match log::max_level() {
        log::LevelFilter::Off | log::LevelFilter::Error | log::LevelFilter::Warn => Some("-q"),
        log::LevelFilter::Info => None,
        log::LevelFilter::Debug => Some("-v"),
        log::LevelFilter::Trace => Some("-vv"),
    }
}

impl Executor for Worker<'_> {
    fn execute(&mut self, unit: usize) -> Result<Outcome> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&current(self.program), &self.arguments, &self.log)?,
        };
        running.show(Some((self.services)(unit)));
        let answer = running.ask(unit, &self.ctx);
        running.show(None);
        // Whatever a failed unit left in memory goes with its process.
        match answer? {
            Some(Ok(outcome)) => {
                self.running = Some(running);
                Ok(outcome)
            }
            Some(Err(error)) if error.kind() == ErrorKind::Cancelled => {
                self.ctx.check()?;
                // Somebody stopped that process alone.
                Err(Error::new(ErrorKind::Unexpected, "the worker process was told to stop")
                    .with_context("log", self.log.display()))
            }
            Some(Err(error)) => Err(error.with_context("log", self.log.display())),
            None => Err(running.crashed(&self.log)),
        }
    }
}

/// This program: at its path or, once another file lies there, as the system still has it.
fn current(path: &Path) -> PathBuf {
    let own = Path::new("/proc/self/exe");
    let file = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    match file(own) {
        Some(running) if file(path) != Some(running) => own.to_owned(),
        _ => path.to_owned(),
    }
}

impl Running {
    fn start(program: &Path, arguments: &[OsString], log: &Path) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .or_io("cannot write the log", log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .or_error(ErrorKind::Unexpected, "cannot start a worker process")?;
        let (sender, answers) = channel();
        let (reading, log_end) = channel();
        let (tail, progress) = (Arc::default(), Arc::default());
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        if let Some(stderr) = child.stderr.take() {
            let (tail, progress) = (Arc::clone(&tail), Arc::clone(&progress));
            std::thread::spawn(move || {
                follow(stderr, log, &tail, &progress);
                drop::<Sender<()>>(reading);
            });
        }
        let (units, log_end) = (child.stdin.take(), Some(log_end));
        Ok(Self { child, units, answers, log_end, tail, progress })
    }

    fn show(&self, services: Option<HostServices>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = services;
    }

    /// Asks for a unit and waits; `None` when the process has ended.
    fn ask(&mut self, unit: usize, ctx: &Context<'_>) -> Result<Option<Result<Outcome>>> {
        let Some(units) = &mut self.units else { return Ok(None) };
        if writeln!(units, "{unit}").and_then(|()| units.flush()).is_err() {
            return Ok(None);
        }
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(line) => return parse_answer(&line, unit).map(Some),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    ctx.check()?;
                    // A process that it started may keep its stdout open.
                    if matches!(self.child.try_wait(), Ok(Some(_))) {
                        return match self.answers.recv_timeout(LOOK) {
                            Ok(line) => parse_answer(&line, unit).map(Some),
                            Err(_) => Ok(None),
                        };
                    }
                }
            }
        }
    }

    /// What is known of a process that ended without an answer.
    fn crashed(mut self, log: &Path) -> Error {
        let status = self.stop();
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: Vec<&str> = tail.iter().map(String::as_str).collect();
        Error::new(ErrorKind::Unexpected, "the worker process crashed")
            .with_context("status", status.map_or_else(|| "unknown".to_owned(), |s| s.to_string()))
            .with_context("log", log.display())
            .with_hint(format!("its last lines:\n  {}", tail.join("\n  ")))
    }

    /// Ends the process, by force if it takes too long, and reads its log to the end.
    fn stop(&mut self) -> Option<ExitStatus> {
        self.units = None;
        let status = self.wait_or_kill();
        if let Some(end) = self.log_end.take() {
            // Not for ever: a process that it started may keep its stderr open.
            let _ = end.recv_timeout(LOG_WITHIN);
        }
        status
    }

    fn wait_or_kill(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < STOP_WITHIN {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK / 10);
        }
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn parse_answer(line: &str, unit: usize) -> Result<Result<Outcome>> {
    match serde_json::from_str::<Answer>(line) {
        Ok(answer) if answer.unit == unit => Ok(answer.outcome),
        _ => Err(Error::new(ErrorKind::Unexpected, "a worker answered otherwise")
            .with_context("answer", deft_core::excerpt(line))),
    }
}

/// Passes a worker's log on: progress to its bar, warnings to the host's log, all lines to a file.
fn follow(
    stderr: impl Read,
    mut log: File,
    tail: &Mutex<VecDeque<String>>,
    progress: &Mutex<Option<HostServices>>,
) {
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        let value: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(event) = value["progress"].as_object() {
            let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
            let unit = event.get("unit").and_then(Value::as_str).unwrap_or_default();
            let shown = progress.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(services) = shown.as_ref() {
                services.progress().update(number("done"), number("total"), unit);
            }
            continue;
        }
        let text = match (value["level"].as_str(), value["message"].as_str()) {
            (Some(level), Some(message)) => {
                let target = value["target"].as_str().unwrap_or("worker");
                if level == "warn" {
                    log::warn!(target: target, "{message}");
                }
                let time = value["time"].as_str().unwrap_or_default();
                let source = if target == OWN_TARGET { "" } else { &format!("{target}: ") };
                format!("{time} {level}: {source}{message}")
            }
            _ => line,
        };
        // A log that cannot be written is no reason to stop.
        let _ = writeln!(log, "{text}");
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == QUOTED {
            tail.pop_front();
        }
        tail.push_back(text);
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
