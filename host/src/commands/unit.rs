//! `deft unit`: one unit of one phase, which is all that a cluster's engine needs.

use clap::Args;
use deft_core::Result;

use super::ManifestArgs;
use crate::pipeline::{Requests, Run, RunOptions};

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
    /// A stage of the store that a worker may use, as its host knows it; may be given several times
    #[arg(long, hide = true, value_name = "STAGE")]
    expect: Vec<String>,
}

impl UnitArgs {
    fn open(&self) -> Result<Run> {
        let place = &self.manifest.place;
        let options = RunOptions { expected_stages: self.expect.clone(), ..place.options() };
        Run::open(&self.manifest.manifest, &place.overrides, &options)
    }
}

pub(super) fn unit(args: &UnitArgs) -> Result<()> {
    let Some(unit) = args.unit else { return serve(args) };
    args.open()?.do_unit(args.arm.as_deref(), &args.phase, unit)?;
    log::info!("{} unit {unit}: done", args.phase);
    Ok(())
}

fn serve(args: &UnitArgs) -> Result<()> {
    // Before any plugin is loaded: what it prints must not get among the answers.
    let mut requests = Requests::listen()?;
    let serve = |mut run: Run| run.serve_units(&mut requests, args.arm.as_deref(), &args.phase);
    let done = args.open().and_then(serve);
    if let Err(error) = &done {
        requests.refuse(error);
    }
    done
}
