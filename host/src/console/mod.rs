//! What people see: log lines, progress and messages, all on stderr.

mod error;
mod progress;
mod rate;
mod size;
mod time;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::SystemTime;

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Value, json};

pub use error::print_error;
pub use progress::Progress;
pub(crate) use progress::{Reading, readings};
pub(crate) use size::{human as human_size, parse as parse_size, whole as whole_number};
pub(crate) use time::{human as human_time, rfc3339};

/// The host's own lines have this target for programs, and none for people.
pub(crate) const OWN_TARGET: &str = "deft";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

struct Console {
    bars: MultiProgress,
    format: LogFormat,
    /// Whether bars are drawn.
    terminal: bool,
}

static CONSOLE: OnceLock<Console> = OnceLock::new();

fn console() -> &'static Console {
    CONSOLE.get_or_init(|| Console::new(LogFormat::Text))
}

impl Console {
    fn new(format: LogFormat) -> Self {
        let can_move = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let terminal = format == LogFormat::Text && can_move && std::io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), format, terminal }
    }

    /// Writes a log line; programs get the progress that it tells of beside it.
    fn write(&self, level: log::Level, target: &str, message: &str, progress: Option<&Value>) {
        self.print(&match self.format {
            LogFormat::Json => {
                let target = source(target).map_or(OWN_TARGET, |_| target);
                let mut line = object(&level.as_str().to_lowercase(), target, message);
                if let Some(progress) = progress {
                    line["progress"] = progress.clone();
                }
                line.to_string()
            }
            LogFormat::Text => text_line(level, target, message),
        });
    }

    /// Writes whole lines above the bars. Nobody is left to tell when stderr is closed.
    fn print(&self, lines: &str) {
        // One call for all: lines of several threads and processes are not mixed.
        let text = format!("{}\n", without_controls(lines));
        let write = || drop(std::io::stderr().write_all(text.as_bytes()));
        // A terminal that was closed is none any more; `suspend` panics where it cannot write.
        if self.terminal && std::io::stderr().is_terminal() {
            self.bars.suspend(write);
        } else {
            write();
        }
    }
}

/// Text in which nothing commands a terminal: what is told of data may be anything.
fn without_controls(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let escaped =
        |c: char| if commands(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// What every line for programs has.
fn object(level: &str, target: &str, message: &str) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = String::from_utf8_lossy(&rfc3339(now)).into_owned();
    json!({"time": time, "level": level, "target": target, "message": message})
}

/// `message`, `t5: message`, `warn: t5: message`.
fn text_line(level: log::Level, target: &str, message: &str) -> String {
    let level = match level {
        log::Level::Info => String::new(),
        other => format!("{}: ", other.as_str().to_lowercase()),
    };
    let source = source(target).map(|source| format!("{source}: "));
    format!("{level}{}{message}", source.unwrap_or_default())
}

/// Who a line comes from, if not from the host: a component, a plugin, or a library in one.
fn source(target: &str) -> Option<&str> {
    let root = target.split("::").next().unwrap_or(target);
    if matches!(root, "deft" | "deft_host" | "deft_loader" | "deft_core") {
        return None;
    }
    Some(root.strip_prefix("deft_").unwrap_or(root))
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            console().write(record.level(), record.target(), &record.args().to_string(), None);
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

/// Takes the bars off the terminal.
pub fn clear() {
    let _ = console().bars.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_data_commands_no_terminal() {
        assert_eq!(without_controls("found: \u{1b}[31mred\0"), "found: \\u{1b}[31mred\\u{0}");
        let plain = "error: é\n\thint: do";
        assert_eq!(without_controls(plain), plain);
    }

    #[test]
    fn lines_of_plugins_say_where_they_come_from_and_those_of_the_host_do_not() {
        use log::Level::{Info, Warn};
        for (level, target, line) in [
            (Info, "deft_host::pool", "done"),
            (Warn, "deft_host", "warn: done"),
            (Info, "deft_t5::model::weights", "t5: done"),
            (Info, "t5", "t5: done"),
            (Warn, "candle_core::cuda", "warn: candle_core: done"),
            (Info, "my_plugin", "my_plugin: done"),
        ] {
            assert_eq!(text_line(level, target, "done"), line);
        }
    }

    #[test]
    fn every_object_has_time_level_target_and_message() {
        let line = object("info", "t5", "a \"quoted\"\nmessage");
        let keys: Vec<_> = line.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys, ["time", "level", "target", "message"]);
        assert!(!line.to_string().contains('\n'), "one line");
    }
}
