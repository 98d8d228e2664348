//! `deft run` and its stages.

use clap::Args;
use deft_core::Result;

use super::limits::LimitArgs;
use super::{ManifestArgs, print};
use crate::pipeline::{Run, RunOptions, Stage};
use crate::report;

/// Arguments of `deft run` and its stages.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
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
}

impl RunArgs {
    fn options(&self) -> RunOptions {
        RunOptions {
            workers: self.workers,
            retries: self.retries,
            rebuild: self.rebuild.clone(),
            limits: self.limits.options(),
            ..self.manifest.options()
        }
    }
}

pub(super) fn run(args: &RunArgs, last: Stage) -> Result<()> {
    let mut run = Run::open(&args.manifest.manifest, &args.manifest.overrides, &args.options())?;
    let results = run.execute(last)?;
    print(&report::table(&results, run.manifest().note.as_deref()))?;
    log::info!("results: {}", run.dir().display());
    Ok(())
}
