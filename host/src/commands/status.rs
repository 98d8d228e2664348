//! `deft status`: how far a run is.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use deft_core::{ErrorKind, Result, ResultExt};

use super::print;
use crate::console::{Reading, human_time};
use crate::pipeline::status::{PhaseStatus, Status, status as status_of};

/// Arguments of `deft status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The manifest
    manifest: PathBuf,
    /// Set a value of the manifest, as for the run
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Folder of the run [default: runs/NAME beside the manifest]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &StatusArgs) -> Result<()> {
    let status = status_of(&args.manifest, &args.overrides, args.run.as_deref())?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&status).or_error(ErrorKind::Unexpected, "no JSON")?;
        return print(&format!("{text}\n"));
    }
    print(&describe(&status))
}

fn describe(status: &Status) -> String {
    if !status.run.is_dir() {
        return format!("{}: nothing has been run here\n", status.run.display());
    }
    let working = match &status.working {
        Some(holder) if !holder.doing.is_empty() => format!("{holder} works: {}", holder.doing),
        Some(holder) => format!("{holder} works"),
        None => "nobody works in it now".to_owned(),
    };
    let mut text = format!("{}: {working}\n", status.run.display());
    for reading in status.working.iter().flat_map(|holder| &holder.progress) {
        // Another version of the program may tell it otherwise.
        if let Ok(reading) = serde_json::from_value::<Reading>(reading.clone()) {
            let _ = writeln!(text, "  now: {}", reading.line());
        }
    }
    let _ = writeln!(text, "  pool: {}", describe_pool(status));
    for phase in &status.phases {
        describe_phase(&mut text, phase);
    }
    for (output, there, all) in &status.outputs {
        let _ = writeln!(text, "  {output}: {there} of {all}");
    }
    text
}

fn describe_pool(status: &Status) -> String {
    if let Some(rows) = status.pool_rows {
        return format!("{rows} rows");
    }
    let parts = format!("{} parts of {} rows so far", status.pool_parts, status.rows_per_part);
    match &status.pool_reader {
        Some(holder) => format!("{holder} reads it, {parts}"),
        None if status.pool_parts > 0 => format!("half read, {parts}"),
        None => "not read".to_owned(),
    }
}

fn describe_phase(text: &mut String, phase: &PhaseStatus) {
    let _ = write!(
        text,
        "  {} {}: {} of {} units",
        phase.retriever, phase.phase, phase.done, phase.units
    );
    if phase.spent {
        text.push_str(", needed no more");
    }
    if !phase.running.is_empty() {
        let _ = write!(text, ", {} running", phase.running.len());
    }
    if !phase.failed.is_empty() {
        let _ = write!(text, ", {} failed", phase.failed.len());
    }
    if let Some(seconds) = phase.seconds_left {
        let _ = write!(text, ", about {} left", human_time(seconds));
    }
    text.push('\n');
    for (unit, holder) in &phase.running {
        if let Some(holder) = holder {
            let _ = writeln!(text, "    unit {unit} running: {holder}");
        }
    }
    for failure in &phase.failed {
        let (unit, attempts, error) = (failure.unit, failure.attempts, &failure.error);
        let times = if attempts == 1 { "attempt" } else { "attempts" };
        let _ = writeln!(text, "    unit {unit} failed ({attempts} {times}): {error}");
    }
}
