//! `deft search`: hits of query lines in a manifest's pool.

use std::io::BufRead;

use clap::Args;
use deft_core::{Examples, Hits, Result, ResultExt};
use serde_json::json;

use super::limits::LimitArgs;
use super::{ManifestArgs, print};
use crate::pipeline::{Run, RunOptions};

/// Arguments of `deft search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    manifest: ManifestArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// A query; without any, each line of stdin is one
    #[arg(long)]
    query: Vec<String>,
    /// Hits for each query
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// One JSON object per hit instead of text
    #[arg(long)]
    json: bool,
    /// The arm whose retriever is meant [default: the first that searches]
    #[arg(long)]
    arm: Option<String>,
}

pub(super) fn search(args: &SearchArgs) -> Result<()> {
    let place = &args.manifest.place;
    let options = RunOptions { limits: args.limits.options(), ..place.options() };
    let mut run = Run::open(&args.manifest.manifest, &place.overrides, &options)?;
    let (pool, prepared) = run.open_prepared(args.arm.as_deref())?;
    let services = run.unit_services("search");
    let ctx = services.context(run.manifest().seed);
    let searcher = prepared.open(&ctx, &pool)?;
    let search_one = |number: usize, query: &str| -> Result<()> {
        let mut hits = Hits::new(1, pool.len().min(args.k as usize));
        searcher.retrieve(&ctx.quiet(), &[query], hits.as_mut())?;
        if !args.json {
            print(&format!("query: {}\n", deft_core::excerpt(query)))?;
        }
        if hits.of_query(0).len() == 0 {
            log::warn!("no hits for: {}", deft_core::excerpt(query));
        }
        for (hit, rank) in hits.of_query(0).zip(1..) {
            let example = pool.get(&[usize::try_from(hit.id).unwrap_or(usize::MAX)])?.remove(0);
            let line = if args.json {
                let hit = json!({"query": number, "rank": rank, "id": hit.id, "score": hit.score, "example": example});
                format!("{hit}\n")
            } else {
                let text = deft_core::excerpt(&example.input);
                format!("{rank:>3}  {:>9}  {:>12.6}  {text}\n", hit.id, hit.score)
            };
            print(&line)?;
        }
        Ok(())
    };
    if args.query.is_empty() {
        let stdin = std::io::stdin().lock();
        for (number, line) in stdin.lines().enumerate() {
            let line = line.or_error(deft_core::ErrorKind::Io, "cannot read stdin")?;
            search_one(number, &line)?;
        }
        return Ok(());
    }
    args.query.iter().enumerate().try_for_each(|(number, query)| search_one(number, query))
}
