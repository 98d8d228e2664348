//! `deft read`: examples of a source as JSON lines.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use deft_core::{ErrorKind, Kind, Result, ResultExt};

use super::{CommonArgs, print, single};
use crate::components::Components;
use crate::pool::expand_source;

/// Arguments of `deft read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The reader, as in a manifest: `p3` or `{use: t0/rte, variant: paper}`
    #[arg(long)]
    reader: String,
    /// File, folder or glob
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
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
    for path in expand_source(&args.source, Path::new("."))? {
        let mut stream = reader.open(&ctx, &path)?;
        while left > 0 {
            ctx.check()?;
            let Some(batch) = stream.next_batch(&ctx, left.min(1024))? else { break };
            left = left.saturating_sub(batch.examples.len());
            let mut lines = String::new();
            for example in &batch.examples {
                lines += &serde_json::to_string(example)
                    .or_error(ErrorKind::Unexpected, "the example is no JSON")?;
                lines.push('\n');
            }
            print(&lines)?;
            for row in batch.skipped {
                *skipped.entry(row.reason).or_default() += 1;
            }
        }
    }
    for (reason, count) in skipped {
        log::warn!("{count} rows were left out: {reason}");
    }
    Ok(())
}
