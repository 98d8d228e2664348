//! What people see: log lines, progress and messages, all on stderr.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use deft_core::Error;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Seconds between progress lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

struct Console {
    bars: MultiProgress,
    format: LogFormat,
    terminal: bool,
}

static CONSOLE: OnceLock<Console> = OnceLock::new();

fn console() -> &'static Console {
    CONSOLE.get_or_init(|| Console::new(LogFormat::Text))
}

impl Console {
    fn new(format: LogFormat) -> Self {
        let terminal = format == LogFormat::Text && std::io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), format, terminal }
    }

    fn line(&self, level: log::Level, target: &str, message: &str) {
        let line = match self.format {
            LogFormat::Json => {
                json!({"level": level.as_str().to_lowercase(), "target": target, "message": message})
                    .to_string()
            }
            LogFormat::Text if level == log::Level::Info => message.to_owned(),
            LogFormat::Text => format!("{}: {message}", level.as_str().to_lowercase()),
        };
        // Nobody is left to tell when stderr is closed.
        let _ = self.bars.suspend(|| writeln!(std::io::stderr().lock(), "{line}"));
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            console().line(record.level(), record.target(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Sets up log lines for the program: `verbose` counts `-v`, `quiet` keeps warnings only.
pub fn install(format: LogFormat, verbose: u8, quiet: bool) {
    let _ = CONSOLE.set(Console::new(format));
    let level = match (quiet, verbose) {
        (true, _) => log::LevelFilter::Warn,
        (_, 0) => log::LevelFilter::Info,
        (_, 1) => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Prints an error as people want it: place, message, causes, remedy.
pub fn print_error(error: &Error) {
    if console().format == LogFormat::Json {
        let line = json!({
            "level": "error",
            "kind": error.kind(),
            "message": error.to_string(),
            "option": error.option(),
            "hint": error.hint(),
        });
        let _ = writeln!(std::io::stderr(), "{line}");
        return;
    }
    let option = match error.option() {
        Some("") | None => String::new(),
        Some(option) => format!("{option}: "),
    };
    let _ = writeln!(std::io::stderr(), "error: {option}{error}");
    if let Some(hint) = error.hint() {
        let _ = writeln!(std::io::stderr(), "\nhint: {hint}");
    }
}

/// Progress of one stage: a bar on a terminal, a line now and then elsewhere.
#[derive(Debug)]
pub struct Progress {
    label: String,
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    last_line: Instant,
    /// What had been done when this process began: it does not count for the rate.
    first: Option<u64>,
}

impl Progress {
    /// Progress under a label; nothing is shown before the first update.
    pub fn new(label: &str) -> Self {
        let now = Instant::now();
        let state = Mutex::new(State { started: now, last_line: now, first: None });
        Self { label: label.to_owned(), bar: ProgressBar::hidden(), state }
    }

    /// Tells how far the stage is; `total` 0 means unknown.
    pub fn update(&self, done: u64, total: u64, unit: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.first.is_none() {
            state.first = Some(done);
            if console().terminal {
                self.show_bar(total, unit);
            }
        }
        if console().terminal {
            self.bar.set_length(total.max(done));
            self.bar.set_position(done);
        } else if state.last_line.elapsed() >= INTERVAL {
            state.last_line = Instant::now();
            let new = done.saturating_sub(state.first.unwrap_or(0));
            let rate = new as f64 / state.started.elapsed().as_secs_f64();
            log::info!("{}", progress_line(&self.label, done, total, unit, rate));
        }
    }

    fn show_bar(&self, total: u64, unit: &str) {
        let template = if total == 0 {
            format!("{{prefix}} {{human_pos}} {unit} ({{per_sec}})")
        } else {
            format!(
                "{{prefix}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} ({{per_sec}}, {{eta}})"
            )
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(self.label.clone());
        console().bars.add(self.bar.clone());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        console().bars.remove(&self.bar);
    }
}

fn progress_line(label: &str, done: u64, total: u64, unit: &str, rate: f64) -> String {
    let line = format!("{label}: {done} {unit}, {rate:.1}/s");
    if total <= done || rate <= 0.0 {
        return line;
    }
    let left = (total - done) as f64 / rate;
    let percent = 100.0 * done as f64 / total as f64;
    format!("{label}: {done} of {total} {unit} ({percent:.0} %), {rate:.1}/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_tell_rate_and_time_left() {
        assert_eq!(
            progress_line("encode", 500, 2000, "rows", 50.0),
            "encode: 500 of 2000 rows (25 %), 50.0/s, 30 s left"
        );
        assert_eq!(progress_line("read", 7, 0, "rows", 3.5), "read: 7 rows, 3.5/s");
    }
}
