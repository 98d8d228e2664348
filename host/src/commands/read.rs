//! `deft read`: examples of a source as JSON lines.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use deft_core::{ErrorKind, Example, Kind, Result, ResultExt};

use super::{CommonArgs, print, single};
use crate::components::Components;
use crate::pool::{Skipped, expand_source, read_paths};

/// Arguments of `deft read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The reader, as in a manifest: `p3` or `{use: t0/rte, variant: paper}`
    #[arg(long)]
    reader: String,
    /// File, folder or glob, or `hf://datasets/ORG/NAME/PATH`
    #[arg(long)]
    source: String,
    /// Only the first examples
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn read(args: &ReadArgs) -> Result<()> {
    let plan = single::plan(&args.reader, Kind::Reader, &args.common)?;
    let services = single::services("read", &args.common);
    let ctx = services.context(0);
    let reader = Components::default().reader(&plan, &ctx)?;
    let paths = expand_source(&args.source, Path::new("."), &ctx)?;
    let (start, mut read) = (Instant::now(), 0);
    let mut print_examples = |examples: Vec<Example>| {
        read += examples.len();
        let mut lines = String::new();
        for example in &examples {
            lines += &serde_json::to_string(example)
                .or_error(ErrorKind::Unexpected, "the example is no JSON")?;
            lines.push('\n');
        }
        print(&lines)
    };
    let mut skipped = Skipped::default();
    read_paths(&*reader, &paths, args.limit, &ctx, &mut print_examples, &mut skipped)?;
    skipped.warn();
    if read == 0 && args.limit != Some(0) {
        let error = skipped.no_example(&paths);
        return Err(if skipped.is_empty() {
            error.with_hint("nothing is in it: is it what was meant, and was it copied whole?")
        } else {
            error
        });
    }
    log::info!("{}", skipped.pace(read, "examples", start));
    Ok(())
}
