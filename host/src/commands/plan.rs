//! `deft plan`: what a run will cost, and whether it fits.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use deft_core::{ErrorKind, Result, ResultExt};

use super::limits::LimitArgs;
use super::{ManifestArgs, print};
use crate::console::{human_size, human_time};
use crate::pipeline::{Forecast, Limits, Run, RunOptions, StageForecast};

/// Arguments of `deft plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// Processes that would do the units, as for the run
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Longest time for one measurement, in seconds; 0 measures nothing
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    measure: u64,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn plan(args: &PlanArgs) -> Result<()> {
    let place = &args.manifest.place;
    let options =
        RunOptions { workers: args.workers, limits: args.limits.options(), ..place.options() };
    let mut run = Run::open(&args.manifest.manifest, &place.overrides, &options)?;
    let forecast = run.forecast(Duration::from_secs(args.measure))?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&forecast).or_error(ErrorKind::Unexpected, "no JSON")?;
        print(&format!("{text}\n"))?;
    } else {
        print(&describe(&forecast))?;
    }
    run.check_forecast(&forecast)
}

/// A line of the table: the first two cells to the left, numbers to the right.
type Line = [String; 7];

fn describe(forecast: &Forecast) -> String {
    let head = ["stage", "of", "rows", "units", "disk", "memory", "time"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(forecast.stages.iter().map(|stage| line(stage, forecast.rows.exact)));
    lines.push(total(&forecast.stages));
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).enumerate().map(|(i, (cell, width))| {
            if i < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for stage in &forecast.stages {
        if let Some(note) = &stage.note {
            let _ = writeln!(text, "{} ({}): not all is known: {note}", stage.stage, stage.of);
        }
    }
    text + &measured_with(forecast) + &what_there_is(&forecast.limits)
}

fn line(stage: &StageForecast, exact: bool) -> Line {
    let about = if exact || !stage.is_in_store { "" } else { "about " };
    let rows = if stage.rows > 0 { format!("{about}{}", stage.rows) } else { String::new() };
    let units = match stage.there {
        0 => stage.units.to_string(),
        there if there < stage.units => format!("{} of {}", stage.units - there, stage.units),
        _ => stage.units.to_string(),
    };
    let [disk, memory, time] = if stage.is_done {
        [String::new(), String::new(), "there".to_owned()]
    } else if stage.stage == "select" {
        // Neither counts beside the rest.
        [known(stage.disk), String::new(), String::new()]
    } else {
        [known(stage.disk), known(stage.memory), time(stage.seconds)]
    };
    [stage.stage.clone(), stage.of.clone(), rows, units, disk, memory, time]
}

/// The sum on disk and of time, and the peak of memory; with a `+` where something is not known.
fn total(stages: &[StageForecast]) -> Line {
    let mark = |all_known: bool| if all_known { "" } else { "+" };
    let disk: u64 = stages.iter().filter_map(|stage| stage.disk).sum();
    let memory = stages.iter().filter_map(|stage| stage.memory).max().unwrap_or(0);
    let seconds: f64 = stages.iter().filter_map(|stage| stage.seconds).sum();
    let known_by = |known: fn(&StageForecast) -> bool| mark(stages.iter().all(known));
    let disk_mark = known_by(|stage| stage.disk.is_some());
    let memory_mark = known_by(|stage| stage.memory.is_some() || stage.stage == "select");
    let time_mark = known_by(|stage| stage.seconds.is_some() || stage.stage == "select");
    [
        "all".to_owned(),
        String::new(),
        String::new(),
        String::new(),
        human_size(disk) + disk_mark,
        human_size(memory) + memory_mark,
        human_time(seconds) + time_mark,
    ]
}

fn known(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "?".to_owned(), human_size)
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "?".to_owned(),
        Some(seconds) if seconds < 1.0 => "< 1 s".to_owned(),
        Some(seconds) => human_time(seconds),
    }
}

fn measured_with(forecast: &Forecast) -> String {
    let workers = match forecast.workers {
        0 => String::new(),
        workers => format!(" and {workers} workers"),
    };
    format!(
        "\nfor this machine, with {} threads{workers}; all numbers are estimates\n",
        forecast.threads
    )
}

fn what_there_is(limits: &Limits) -> String {
    let disk = match (limits.store_disk, limits.run_disk) {
        (store, _) if limits.is_one_disk => known(store),
        (store, run) => format!("{} for the store, {} for the run", known(store), known(run)),
    };
    format!("there is: disk {disk}; memory {}\n", known(limits.memory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Rows;

    fn stage(stage: &str, rows: usize, seconds: Option<f64>) -> StageForecast {
        StageForecast {
            stage: stage.to_owned(),
            of: "t5".to_owned(),
            rows,
            units: 4,
            disk: Some(4_096_000),
            memory: None,
            seconds,
            is_in_store: true,
            ..StageForecast::default()
        }
    }

    #[test]
    fn a_plan_is_a_table_with_what_is_there_and_what_is_not_known() {
        let done = StageForecast {
            is_done: true,
            there: 4,
            memory: Some(0),
            seconds: Some(0.0),
            ..stage("index", 0, None)
        };
        let half = StageForecast { there: 1, ..stage("encode", 0, None) };
        let noted = StageForecast { note: Some("too few rows".to_owned()), ..half };
        let forecast = Forecast {
            rows: Rows { count: 1000, exact: false },
            stages: vec![stage("pool", 1000, Some(0.2)), noted, done],
            threads: 2,
            limits: Limits {
                store_disk: Some(68_000_000_000),
                is_one_disk: true,
                ..Limits::default()
            },
            ..Forecast::default()
        };
        let wanted = "\
stage   of        rows   units    disk  memory   time
pool    t5  about 1000       4  4.1 MB       ?  < 1 s
encode  t5              3 of 4  4.1 MB       ?      ?
index   t5                   4                  there
all                              12 MB    0 B+   0 s+
encode (t5): not all is known: too few rows

for this machine, with 2 threads; all numbers are estimates
there is: disk 68 GB; memory ?
";
        assert_eq!(describe(&forecast), wanted);
    }
}
