//! `deft unit`: one unit of one phase, which is all that a cluster's engine needs.

use clap::Args;
use deft_core::Result;

use super::ManifestArgs;
use crate::pipeline::Run;

/// Arguments of `deft unit`.
#[derive(Debug, Args)]
pub struct UnitArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    /// The phase: `encode`, `index` …
    #[arg(long)]
    phase: String,
    /// The unit's number, from 0
    #[arg(long, required_unless_present = "worker")]
    unit: Option<usize>,
    /// The arm whose retriever is meant [default: the first that searches]
    #[arg(long)]
    arm: Option<String>,
    /// Take units' numbers from stdin: what `deft run --workers` calls
    #[arg(long, hide = true, conflicts_with = "unit")]
    worker: bool,
}

pub(super) fn unit(args: &UnitArgs) -> Result<()> {
    let manifest = &args.manifest;
    let mut run = Run::open(&manifest.manifest, &manifest.overrides, &manifest.options())?;
    let arm = args.arm.as_deref();
    let Some(unit) = args.unit else { return run.serve_units(arm, &args.phase) };
    run.do_unit(arm, &args.phase, unit)?;
    log::info!("{} unit {unit}: done", args.phase);
    Ok(())
}
