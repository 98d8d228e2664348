//! Progress of a stage: a bar on a terminal, a line now and then elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::rate::Rate;
use super::time::human;
use super::{LogFormat, OWN_TARGET, console};

/// Between progress lines for people.
const LINES: Duration = Duration::from_secs(10);
/// Between progress objects for programs.
const OBJECTS: Duration = Duration::from_secs(1);
/// Between two states of a bar.
const FRAMES: Duration = Duration::from_millis(100);

/// Progress of one stage: a bar on a terminal, a line now and then elsewhere.
#[derive(Debug)]
pub struct Progress {
    label: String,
    bar: ProgressBar,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: Rate,
    /// When progress was last shown; the bar has not been yet when there is none.
    shown: Option<Instant>,
}

impl Progress {
    /// Progress under a label; nothing is shown before the first update.
    pub fn new(label: &str) -> Self {
        let state = Mutex::new(State { rate: Rate::default(), shown: None });
        Self { label: label.to_owned(), bar: ProgressBar::hidden(), started: Instant::now(), state }
    }

    /// Tells how far the stage is; `total` 0 means unknown.
    pub fn update(&self, done: u64, total: u64, unit: &str) {
        let console = console();
        if log::max_level() < log::Level::Info {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = state.rate.note(self.started.elapsed().as_secs_f64(), done);
        let interval = match console.format {
            _ if console.terminal => FRAMES,
            LogFormat::Json => OBJECTS,
            LogFormat::Text => LINES,
        };
        // A bar is there from the beginning; a line only for what takes its time.
        let last = state.shown.or((!console.terminal).then_some(self.started));
        if last.is_some_and(|last| last.elapsed() < interval) {
            return;
        }
        let now = Reading { label: &self.label, done, total, unit, per_second };
        if console.terminal {
            self.show(&now, state.shown.is_none());
        } else {
            console.write(log::Level::Info, OWN_TARGET, &now.line(), Some(&now.object()));
        }
        state.shown = Some(Instant::now());
    }

    /// Every change of a bar that is there draws it.
    fn show(&self, now: &Reading<'_>, is_first: bool) {
        let (length, template) = (now.total.max(now.done), now.template());
        if is_first || self.bar.length() != Some(length) {
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_length(length);
        }
        self.bar.set_position(now.done);
        self.bar.set_message(now.tail());
        if is_first {
            self.bar.set_prefix(self.label.clone());
            console().bars.add(self.bar.clone());
            self.bar.tick();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        console().bars.remove(&self.bar);
    }
}

/// How far a stage is.
struct Reading<'a> {
    label: &'a str,
    done: u64,
    /// 0 when unknown.
    total: u64,
    unit: &'a str,
    per_second: Option<f64>,
}

impl Reading<'_> {
    /// Widest where the terminal is: the bar takes what the numbers leave.
    fn template(&self) -> &'static str {
        if self.total == 0 { "{prefix}: {msg}" } else { "{prefix} {wide_bar} {percent:>3} % {msg}" }
    }

    fn seconds_left(&self) -> Option<f64> {
        let left = self.total.checked_sub(self.done).filter(|left| *left > 0)?;
        Some(left as f64 / self.per_second?)
    }

    /// `500/2000 rows, 50.0/s, 30 s left`
    fn tail(&self) -> String {
        let Self { done, total, unit, .. } = self;
        let of = if *total == 0 { String::new() } else { format!("/{total}") };
        format!("{done}{of} {unit}{}", self.speed())
    }

    /// `encode: 500 of 2000 rows (25 %), 50.0/s, 30 s left`
    fn line(&self) -> String {
        let Self { label, done, total, unit, .. } = self;
        if *total == 0 {
            return format!("{label}: {done} {unit}{}", self.speed());
        }
        let percent = 100 * u128::from(*done) / u128::from(*total);
        format!("{label}: {done} of {total} {unit} ({percent} %){}", self.speed())
    }

    fn speed(&self) -> String {
        let rate = match self.per_second {
            Some(rate) if rate >= 100.0 => format!(", {rate:.0}/s"),
            Some(rate) if rate >= 0.1 => format!(", {rate:.1}/s"),
            Some(rate) => format!(", {} each", human(1.0 / rate)),
            None => String::new(),
        };
        let left = self.seconds_left().map(|left| format!(", {} left", human(left)));
        rate + &left.unwrap_or_default()
    }

    fn object(&self) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({
            "label": self.label,
            "done": self.done,
            "total": (self.total > 0).then_some(self.total),
            "unit": self.unit,
            "per_second": self.per_second.map(rounded),
            "seconds_left": self.seconds_left().map(f64::round),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(done: u64, total: u64, per_second: Option<f64>) -> Reading<'static> {
        Reading { label: "encode", done, total, unit: "rows", per_second }
    }

    #[test]
    fn progress_lines_tell_rate_and_time_left() {
        for (reading, line) in [
            (reading(500, 2000, Some(50.0)), "encode: 500 of 2000 rows (25 %), 50.0/s, 30 s left"),
            (reading(1999, 2000, None), "encode: 1999 of 2000 rows (99 %)"),
            (reading(2000, 2000, Some(50.0)), "encode: 2000 of 2000 rows (100 %), 50.0/s"),
            (reading(7, 0, Some(3.5)), "encode: 7 rows, 3.5/s"),
            (
                reading(1, 100, Some(0.01)),
                "encode: 1 of 100 rows (1 %), 1 min 40 s each, 2 h 45 min left",
            ),
        ] {
            assert_eq!(reading.line(), line);
        }
    }

    #[test]
    fn progress_objects_have_null_for_what_is_not_known() {
        assert_eq!(
            reading(500, 2000, Some(49.99999)).object(),
            json!({"label": "encode", "done": 500, "total": 2000, "unit": "rows",
                   "per_second": 50.0, "seconds_left": 30.0})
        );
        assert_eq!(
            reading(7, 0, None).object(),
            json!({"label": "encode", "done": 7, "total": null, "unit": "rows",
                   "per_second": null, "seconds_left": null})
        );
    }

    #[test]
    fn the_numbers_leave_room_for_a_bar_at_80_columns() {
        let long = Reading { label: "read the pool", ..reading(12_345_678, 23_456_789, Some(1e4)) };
        assert!("read the pool  100 % ".len() + long.tail().len() <= 70, "{}", long.tail());
    }
}
