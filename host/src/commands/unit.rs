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
    #[arg(long)]
    unit: usize,
    /// The arm whose retriever is meant [default: the first that searches]
    #[arg(long)]
    arm: Option<String>,
}

pub(super) fn unit(args: &UnitArgs) -> Result<()> {
    let manifest = &args.manifest;
    let mut run = Run::open(&manifest.manifest, &manifest.overrides, &manifest.places())?;
    let (pool, prepared) = run.open_for_unit(args.arm.as_deref())?;
    prepared.check_before(&args.phase)?;
    let services = run.unit_services(&format!("{} {}", args.phase, args.unit));
    let ctx = services.context(run.manifest().seed);
    prepared.run_unit(&args.phase, args.unit, &pool, &ctx)?;
    log::info!("{} unit {}: done", args.phase, args.unit);
    Ok(())
}
