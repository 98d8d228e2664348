//! `deft run` and its stages.

use std::path::Path;

use clap::Args;
use deft_core::Result;

use super::limits::LimitArgs;
use super::{ManifestArgs, PlaceArgs, print};
use crate::pipeline::{Run, RunOptions, Stage};
use crate::report;

/// Arguments of `deft run` and its stages.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// How stages are done.
#[derive(Debug, Args)]
pub(super) struct HowArgs {
    #[command(flatten)]
    limits: LimitArgs,
    /// Do the units of phases in N processes: a crash costs one unit [default: in this process]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Try a unit that failed again, so many times
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Make a stage again, and all that follows: pool, a phase (`encode`, `index` …), hits,
    /// selection, model or metrics
    #[arg(long, value_name = "STAGE")]
    rebuild: Option<String>,
    /// Print the results as a Markdown table, tasks by arms, for papers
    #[arg(long)]
    pub(super) markdown: bool,
}

impl HowArgs {
    fn options(&self, place: &PlaceArgs) -> RunOptions {
        RunOptions {
            workers: self.workers,
            retries: self.retries,
            rebuild: self.rebuild.clone(),
            limits: self.limits.options(),
            ..place.options()
        }
    }
}

pub(super) fn run(args: &RunArgs, last: Stage) -> Result<()> {
    run_stages(&args.manifest.manifest, &args.manifest.place, &args.how, last)
}

/// Does the stages of a manifest up to `last`, and prints what they came to.
pub(super) fn run_stages(
    manifest: &Path,
    place: &PlaceArgs,
    how: &HowArgs,
    last: Stage,
) -> Result<()> {
    let mut run = Run::open(manifest, &place.overrides, &how.options(place))?;
    let results = run.execute(last)?;
    let note = run.manifest().note.as_deref();
    print(&if how.markdown {
        report::markdown(&results, note)
    } else {
        report::table(&results, note)
    })?;
    log::info!("results: {}", run.dir().display());
    Ok(())
}
