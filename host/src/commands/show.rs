//! `deft show`: what a run selected, and from what.

use std::path::PathBuf;

use clap::Args;
use deft_core::{ErrorKind, Result, ResultExt};

use super::print;
use crate::show;

/// Arguments of `deft show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run's folder: runs/NAME beside the manifest, or what `--run` named
    run: PathBuf,
    /// The store that has the run's pool now [default: where the run had it]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> Result<()> {
    let shown = show::show(&args.run, args.store.as_deref())?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&shown).or_error(ErrorKind::Unexpected, "no JSON")?;
        return print(&format!("{text}\n"));
    }
    print(&show::describe(&shown))
}
