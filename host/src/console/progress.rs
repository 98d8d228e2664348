//! Progress of a stage: a bar on a terminal, a line now and then elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
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

/// How far all work of this process is, the piece that was begun first before the others.
static AT_WORK: Mutex<Vec<(u64, Reading)>> = Mutex::new(Vec::new());

fn at_work() -> MutexGuard<'static, Vec<(u64, Reading)>> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far all work of this process is, as [`Reading::object`]s: what a terminal shows as bars.
pub(crate) fn readings() -> Vec<Value> {
    at_work().iter().map(|(_, reading)| reading.object()).collect()
}

/// Progress of one stage: a bar on a terminal, a line now and then elsewhere.
#[derive(Debug)]
pub struct Progress {
    /// Its number in this process.
    number: u64,
    label: String,
    bar: ProgressBar,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rate: Rate,
    /// When it was last put among all that is at work.
    noted: Option<Instant>,
    /// When progress was last shown; the bar has not been yet when there is none.
    shown: Option<Instant>,
}

impl Progress {
    /// Progress under a label; nothing is shown before the first update.
    pub fn new(label: &str) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            label: label.to_owned(),
            bar: ProgressBar::hidden(),
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Tells how far the stage is; `total` 0 means unknown.
    pub fn update(&self, done: u64, total: u64, unit: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = state.rate.note(self.started.elapsed().as_secs_f64(), done);
        let reading = || Reading::new(&self.label, done, total, unit, per_second);
        if is_due(state.noted, OBJECTS) {
            self.note(reading());
            state.noted = Some(Instant::now());
        }
        let console = console();
        let interval = match console.format {
            _ if console.terminal => FRAMES,
            LogFormat::Json => OBJECTS,
            LogFormat::Text => LINES,
        };
        // A bar is there from the beginning; a line only for what takes its time.
        let last = state.shown.or((!console.terminal).then_some(self.started));
        if log::max_level() < log::Level::Info || !is_due(last, interval) {
            return;
        }
        let now = reading();
        if console.terminal {
            self.show(&now, state.shown.is_none());
        } else {
            console.write(log::Level::Info, OWN_TARGET, &now.line(), Some(&now.object()));
        }
        state.shown = Some(Instant::now());
    }

    /// Puts it among all that is at work.
    fn note(&self, reading: Reading) {
        let mut all = at_work();
        match all.iter_mut().find(|(number, _)| *number == self.number) {
            Some((_, known)) => *known = reading,
            None => all.push((self.number, reading)),
        }
    }

    /// Every change of a bar that is there draws it.
    fn show(&self, now: &Reading, is_first: bool) {
        let (length, template) = (now.total.unwrap_or(0).max(now.done), now.template());
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
        at_work().retain(|(number, _)| *number != self.number);
        self.bar.finish_and_clear();
        console().bars.remove(&self.bar);
    }
}

/// Whether so much time has passed since `last`.
fn is_due(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= interval)
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Reading {
    label: String,
    done: u64,
    /// None where the end is not known.
    total: Option<u64>,
    unit: String,
    per_second: Option<f64>,
    seconds_left: Option<f64>,
}

impl Reading {
    fn new(label: &str, done: u64, total: u64, unit: &str, per_second: Option<f64>) -> Self {
        let left = total.checked_sub(done).filter(|left| *left > 0);
        Self {
            label: label.to_owned(),
            done,
            total: (total > 0).then_some(total),
            unit: unit.to_owned(),
            per_second,
            seconds_left: left.zip(per_second).map(|(left, rate)| left as f64 / rate),
        }
    }

    /// Widest where the terminal is: the bar takes what the numbers leave.
    fn template(&self) -> &'static str {
        match self.total {
            None => "{prefix}: {msg}",
            Some(_) => "{prefix} {wide_bar} {percent:>3} % {msg}",
        }
    }

    /// `500/2000 rows, 50.0/s, 30 s left`
    fn tail(&self) -> String {
        let Self { done, total, unit, .. } = self;
        let of = total.map_or_else(String::new, |total| format!("/{total}"));
        format!("{done}{of} {unit}{}", self.speed())
    }

    /// `encode: 500 of 2000 rows (25 %), 50.0/s, 30 s left`
    pub(crate) fn line(&self) -> String {
        let Self { label, done, total, unit, .. } = self;
        let Some(total) = total else {
            return format!("{label}: {done} {unit}{}", self.speed());
        };
        let percent = 100 * u128::from(*done) / u128::from(*total).max(1);
        format!("{label}: {done} of {total} {unit} ({percent} %){}", self.speed())
    }

    fn speed(&self) -> String {
        let rate = match self.per_second {
            Some(rate) if rate >= 100.0 => format!(", {rate:.0}/s"),
            Some(rate) if rate >= 0.1 => format!(", {rate:.1}/s"),
            Some(rate) => format!(", {} each", human(1.0 / rate)),
            None => String::new(),
        };
        let left = self.seconds_left.map(|left| format!(", {} left", human(left)));
        rate + &left.unwrap_or_default()
    }

    fn object(&self) -> Value {
        // What is slow keeps its digits.
        let rounded = |rate: f64| {
            let scale = if rate < 1.0 { 1e9 } else { 1e3 };
            (rate * scale).round() / scale
        };
        json!({
            "label": self.label,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "per_second": self.per_second.map(rounded),
            "seconds_left": self.seconds_left.map(f64::round),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(done: u64, total: u64, per_second: Option<f64>) -> Reading {
        Reading::new("encode", done, total, "rows", per_second)
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
    fn a_line_can_be_made_of_an_object_again() {
        for slow in [reading(500, 2000, Some(50.0)), reading(1, 100, Some(1.0 / 7200.0))] {
            let read: Reading = serde_json::from_value(slow.object()).unwrap();
            assert_eq!(read.line(), slow.line());
        }
    }

    #[test]
    fn what_is_at_work_is_known_until_it_ends() {
        let mine = || {
            let labels = readings().into_iter().map(|reading| reading["label"].clone());
            labels.filter(|label| label == "a label of this test").count()
        };
        let progress = Progress::new("a label of this test");
        assert_eq!(mine(), 0, "nothing is known before the first update");
        progress.update(1, 10, "rows");
        progress.update(2, 10, "rows");
        assert_eq!(mine(), 1);
        drop(progress);
        assert_eq!(mine(), 0);
    }

    #[test]
    fn the_numbers_leave_room_for_a_bar_at_80_columns() {
        let (done, total) = (12_345_678, 23_456_789);
        let long = Reading::new("read the pool", done, total, "rows", Some(1e4));
        assert!("read the pool  100 % ".len() + long.tail().len() <= 70, "{}", long.tail());
    }
}
