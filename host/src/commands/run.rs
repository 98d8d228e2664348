//! `deft run` and its stages.

use deft_core::Result;

use super::{ManifestArgs, print};
use crate::pipeline::{Run, Stage};
use crate::report;

pub(super) fn run(args: &ManifestArgs, last: Stage) -> Result<()> {
    let mut run = Run::open(&args.manifest, &args.overrides, &args.places())?;
    let results = run.execute(last)?;
    print(&report::table(&results, run.manifest().note.as_deref()))?;
    log::info!("results: {}", run.dir().display());
    Ok(())
}
