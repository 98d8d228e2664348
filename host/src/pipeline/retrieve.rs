//! Searching the pool: hits of every query, kept with the run.

use std::fmt::Write as _;
use std::path::Path;

use deft_core::{
    Error, ErrorKind, Examples as _, Fingerprint, Hit, Hits, Result, ResultExt, Searcher,
};
use serde::{Deserialize, Serialize};

use super::outputs::Outputs;
use super::{Prepared, Run, arms};
use crate::manifest::Task;
use crate::pool::{StoredPool, read_examples};
use crate::selection::{QueryHits, choose_queries};
use crate::store::{self, HashedSource};

/// Queries searched in one call.
const QUERIES_AT_ONCE: usize = 256;

/// A line of `hits.jsonl`: the hits of one query, best first.
#[derive(Debug, Serialize, Deserialize)]
struct HitsLine {
    /// The query's position among the examples of its source; rows left out do not count.
    query: usize,
    ids: Vec<u64>,
    scores: Vec<f32>,
}

impl Run {
    pub(super) fn needs_hits(&self, arm: &str) -> bool {
        arms::needs_hits(&self.manifest, arm)
    }

    /// Searches the pool for every task and arm that needs hits.
    pub(super) fn retrieve_all(&mut self, pool: &StoredPool) -> Result<()> {
        for (arm, prepared) in self.prepare_all(pool)? {
            // Opened for the first task that needs it, and then shared by the others.
            let mut searcher = None;
            for task in self.manifest.tasks.clone() {
                self.retrieve(&task, &arm, &prepared, &mut searcher, pool)?;
            }
        }
        Ok(())
    }

    fn retrieve(
        &mut self,
        task: &Task,
        arm: &str,
        prepared: &Prepared,
        searcher: &mut Option<Box<dyn Searcher>>,
        pool: &StoredPool,
    ) -> Result<()> {
        let selection = self.manifest.selection_of(arm).clone();
        let i = self.task_index(task);
        let (reader, identity) = self.reader(&task.reader, &format!("tasks[{i}].reader"))?;
        let source = task.query_source.as_deref().unwrap_or_default();
        let paths = self.expand(source, &format!("tasks[{i}].query_source"))?;
        let (hash, hashed) = self.hash_files(&paths)?;
        let fingerprint = Fingerprint::new()
            .with(&prepared.fingerprint)
            .with(identity.to_string())
            .with(hash)
            .with(format!("{} {} {}", self.manifest.seed, selection.queries, selection.neighbors))
            .short();
        let dir = self.arm_dir(task, arm);
        let mut outputs = Outputs::open(&dir)?;
        let is_there = ["hits.run", "hits.jsonl"].iter().all(|name| dir.join(name).exists());
        let is_current = outputs.has("hits", &fingerprint) && is_there;
        if is_current {
            log::info!("{}/{arm}: hits are up to date", task.name);
            return Ok(());
        }
        outputs.begin("hits", &fingerprint)?;
        let services = self.services(&format!("search for {}", task.name));
        let ctx = services.context(self.manifest.seed);
        let queries = read_examples(&*reader, &paths, None, &ctx)?;
        hashed.iter().try_for_each(HashedSource::check_unchanged)?;
        paths.check_unchanged()?;
        let chosen = choose_queries(queries.len(), selection.queries, self.manifest.seed);
        let texts: Vec<&str> = chosen.iter().map(|&query| queries[query].input.as_str()).collect();
        let searcher = match searcher {
            Some(searcher) => searcher,
            None => searcher.insert(prepared.open(&ctx, pool)?),
        };
        // The caller's memory holds k hits: no more than there are examples.
        let k = selection.neighbors.min(pool.len());
        let mut found = Vec::new();
        for chunk in texts.chunks(QUERIES_AT_ONCE) {
            ctx.check()?;
            let mut hits = Hits::new(chunk.len(), k);
            searcher.retrieve(&ctx.quiet(), chunk, hits.as_mut())?;
            found.extend((0..chunk.len()).map(|query| hits.of_query(query).collect::<Vec<_>>()));
            ctx.progress(found.len(), texts.len(), "queries");
        }
        write_hits(&dir, &chosen, &found, &format!("{}-{arm}", self.manifest.name))?;
        outputs.note("hits", &fingerprint)?;
        let short = found.iter().filter(|hits| hits.len() < k).count();
        log::info!("{}/{arm}: searched with {} queries", task.name, found.len());
        if short > 0 {
            log::info!("{short} of them have fewer than {k} hits");
        }
        Ok(())
    }
}

/// Writes `hits.jsonl` and, for retrieval tools, `hits.run` in TREC form.
fn write_hits(dir: &Path, queries: &[usize], found: &[QueryHits], tag: &str) -> Result<()> {
    let (mut lines, mut trec) = (String::new(), String::new());
    for (&query, hits) in queries.iter().zip(found) {
        let line = HitsLine {
            query,
            ids: hits.iter().map(|hit| hit.id).collect(),
            scores: hits.iter().map(|hit| hit.score).collect(),
        };
        lines += &serde_json::to_string(&line).or_error(ErrorKind::Unexpected, "no JSON")?;
        lines.push('\n');
        for (hit, rank) in hits.iter().zip(1..) {
            let Hit { id, score } = hit;
            let _ = writeln!(trec, "{query} Q0 {id} {rank} {score:.6} {tag}");
        }
    }
    store::write_file(&dir.join("hits.run"), trec.as_bytes())?;
    store::write_file(&dir.join("hits.jsonl"), lines.as_bytes())
}

/// Reads `hits.jsonl` back.
pub(super) fn read_hits(dir: &Path) -> Result<Vec<QueryHits>> {
    let path = dir.join("hits.jsonl");
    let text = std::fs::read_to_string(&path).or_io("cannot read the hits", &path)?;
    let parse = |(number, line): (usize, &str)| {
        let line: HitsLine = serde_json::from_str(line).map_err(|error| {
            Error::new(ErrorKind::Data, "the hits are damaged")
                .with_context("file", path.display())
                .with_context("line", number + 1)
                .with_source(&error)
                .with_hint("remove the file: the next run makes it again")
        })?;
        Ok(line.ids.iter().zip(&line.scores).map(|(&id, &score)| Hit { id, score }).collect())
    };
    text.lines().enumerate().map(parse).collect()
}
