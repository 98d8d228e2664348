//! Searching the pool: hits of every query, kept with the run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{
    Context, Error, ErrorKind, Examples as _, Fingerprint, Hit, Hits, Reader, Result, ResultExt,
    Searcher,
};
use serde::{Deserialize, Serialize};

use super::outputs::Outputs;
use super::recall::ArmRecall;
use super::{Prepared, Run, arms};
use crate::manifest::{SourcePart, Task, TaskSource};
use crate::pool::{SourcePaths, StoredPool, read_examples};
use crate::recall::{HitsFrom, Recall};
use crate::selection::{QueryHits, choose_queries};
use crate::services::HostServices;
use crate::store::{self, HashedSource};
use crate::truncation::write_of_queries;

/// The output's name in the card.
pub(super) const HITS: &str = "hits";

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

/// A search of a task's queries with an arm's retriever.
pub(super) struct Search<'a> {
    pub(super) task: &'a Task,
    pub(super) arm: &'a str,
    pub(super) prepared: &'a Prepared,
    /// Where its results are.
    pub(super) dir: PathBuf,
    reader: Arc<dyn Reader>,
    source: &'a TaskSource,
    sources: SourcePaths,
    hashed: Vec<HashedSource>,
    /// Everything that can change the hits, but how many there are of each query.
    pub(super) fingerprint: String,
    /// Hits of each query that are wanted.
    neighbors: usize,
    /// Examples of the pool.
    pub(super) rows: usize,
}

impl Search<'_> {
    /// The task and the arm, for people.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.task.name, self.arm)
    }

    /// Whether there are hits, and enough of each query: those of more are made of no other search.
    fn has_hits(&self, outputs: &Outputs) -> bool {
        let is_there = ["hits.run", "hits.jsonl"].iter().all(|name| self.dir.join(name).exists());
        let depth = outputs.value(HITS).and_then(|noted| {
            let (fingerprint, depth) = noted.split_once(' ')?;
            (fingerprint == self.fingerprint).then(|| depth.parse::<usize>().ok())?
        });
        is_there && depth.is_some_and(|depth| depth >= self.neighbors)
    }

    /// What is noted of the hits: what they were made from, and how many each query has at most.
    fn note(&self) -> String {
        format!("{} {}", self.fingerprint, self.neighbors)
    }
}

/// Queries of a task, and what they are searched in.
pub(super) struct Queries<'a> {
    pub(super) searcher: &'a dyn Searcher,
    pub(super) ctx: &'a Context<'a>,
    /// Their positions among the examples of their source.
    pub(super) positions: &'a [usize],
    pub(super) texts: &'a [&'a str],
    /// Hits of each: no more than there are examples.
    pub(super) k: usize,
}

impl Run {
    pub(super) fn needs_hits(&self, arm: &str) -> bool {
        arms::needs_hits(&self.manifest, arm)
    }

    /// Searches the pool for every task and arm that needs hits, and tells what the searches miss.
    pub(super) fn retrieve_all(&mut self, pool: &StoredPool) -> Result<Vec<ArmRecall>> {
        let mut recalls = Vec::new();
        for (arm, prepared) in self.prepare_all(pool)? {
            // Opened for the first task that needs it, and then shared by the others.
            let mut searcher = None;
            for task in self.manifest.tasks.clone() {
                let search = self.search_of(&task, &arm, &prepared, pool.len())?;
                if let Some(recall) = self.retrieve(&search, &mut searcher, pool)? {
                    let (task, arm, recall) = (task.name.clone(), arm.clone(), recall.in_short());
                    recalls.push(ArmRecall { task, arm, recall });
                }
            }
        }
        Ok(recalls)
    }

    fn search_of<'a>(
        &mut self,
        task: &'a Task,
        arm: &'a str,
        prepared: &'a Prepared,
        rows: usize,
    ) -> Result<Search<'a>> {
        let (reader, identity) = self.task_reader(task, "query_source")?;
        let path = format!("tasks[{}].query_source", self.task_index(task));
        let source = task.query_source.as_ref();
        let source = source.ok_or_else(|| Error::option_at(&path, "the queries are missing"))?;
        let sources = self.expand(source.source(), &path)?;
        let (hash, hashed) = self.hash_files(&sources)?;
        let selection = self.manifest.selection_of(arm);
        let (seed, dir) = (self.manifest.seed, self.arm_dir(task, arm));
        let mut fingerprint = Fingerprint::new()
            .with(&prepared.fingerprint)
            .with(identity.to_string())
            .with(hash)
            .with(format!("{seed} {}", selection.queries));
        if let Some(part) = source.part().map(SourcePart::identity) {
            fingerprint = fingerprint.with(part);
        }
        let search_options = prepared.plan.search_options();
        if !search_options.is_null() {
            fingerprint = fingerprint.with(search_options.to_string());
        }
        if prepared.plan.hits_depend_on_k() {
            fingerprint = fingerprint.with(format!("k {}", selection.neighbors));
        }
        if let Some(least) = selection.scanned_below() {
            // What is measured, of so many hits, decides where the hits come from.
            let measured = (selection.recall_queries, selection.neighbors);
            fingerprint = fingerprint.with(format!("{least} {measured:?}"));
        }
        let (fingerprint, neighbors) = (fingerprint.short(), selection.neighbors);
        Ok(Search {
            task,
            arm,
            prepared,
            dir,
            reader,
            source,
            sources,
            hashed,
            fingerprint,
            neighbors,
            rows,
        })
    }

    /// Searches and measures, unless that has been done.
    fn retrieve(
        &self,
        search: &Search<'_>,
        searcher: &mut Option<Box<dyn Searcher>>,
        pool: &StoredPool,
    ) -> Result<Option<Recall>> {
        let mut outputs = Outputs::open(&search.dir)?;
        let known = self.known_recall(search, &outputs);
        let has_hits = search.has_hits(&outputs);
        let selection = self.manifest.selection_of(search.arm);
        if has_hits {
            log::info!("{}: hits are up to date", search.name());
            if known.is_some() || selection.recall_queries == 0 {
                return self.accept(search, known, &mut outputs);
            }
        }
        let services = self.services(&format!("search for {}", search.task.name));
        let ctx = services.context(self.manifest.seed);
        let (positions, texts) = self.read_queries(search, &ctx)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let searcher = match searcher {
            Some(searcher) => searcher,
            None => searcher.insert(search.prepared.open(&ctx, pool)?),
        };
        let queries = Queries {
            searcher: &**searcher,
            ctx: &ctx,
            positions: &positions,
            texts: &texts,
            k: selection.neighbors.min(pool.len()),
        };
        // Where hits may be those of a scan, they cannot be told from those of the search.
        if has_hits && selection.scanned_below().is_none() {
            let found = read_hits(&search.dir, queries.k)?;
            let recall = self.measure(search, &queries, &found, &mut outputs)?;
            return self.accept(search, recall, &mut outputs);
        }
        self.make_hits(search, &queries, &services, &mut outputs)
    }

    /// The queries to search with: their positions in their source, and their texts.
    fn read_queries(
        &self,
        search: &Search<'_>,
        ctx: &Context<'_>,
    ) -> Result<(Vec<usize>, Vec<String>)> {
        let examples = read_examples(&*search.reader, &search.sources, None, ctx)?;
        search.hashed.iter().try_for_each(HashedSource::check_unchanged)?;
        search.sources.check_unchanged()?;
        let mut taken = self.take(search.task, "query_source", search.source, examples)?;
        let count = self.manifest.selection_of(search.arm).queries;
        let chosen = choose_queries(taken.examples.len(), count, self.manifest.seed);
        let text = |&one: &usize| std::mem::take(&mut taken.examples[one].input);
        let texts = chosen.iter().map(text).collect();
        Ok((chosen.iter().map(|&one| taken.positions[one]).collect(), texts))
    }

    /// Searches with all queries, measures, and keeps the hits. The services are those of the queries'
    /// context.
    fn make_hits(
        &self,
        search: &Search<'_>,
        queries: &Queries<'_>,
        services: &HostServices,
        outputs: &mut Outputs,
    ) -> Result<Option<Recall>> {
        outputs.begin(HITS, &search.note())?;
        let mut found = queries.search()?;
        let tag = format!("{}-{}", self.manifest.name, search.arm);
        write_hits(&search.dir, queries.positions, &found, &tag)?;
        // What is measured below encodes queries again, and counts by itself.
        write_of_queries(&search.dir, found.len(), services.truncation())?;
        log::info!("{}: searched with {} queries", search.name(), found.len());
        let (short, k) = (found.iter().filter(|hits| hits.len() < queries.k).count(), queries.k);
        if short > 0 {
            log::info!("{}: {short} of the queries have fewer than {k} hits", search.name());
        }
        if search.neighbors > k {
            let (name, asked) = (search.name(), search.neighbors);
            log::info!(
                "{name}: the pool has {k} examples: no query has the {asked} hits asked for"
            );
        }
        let recall = self.measure(search, queries, &found, outputs)?;
        if recall.as_ref().is_some_and(|recall| recall.hits == HitsFrom::Scan) {
            found = self.scan(search, queries, &found)?;
            write_hits(&search.dir, queries.positions, &found, &tag)?;
        }
        // Not noted where they are refused: the next run makes them anew.
        let recall = self.accept(search, recall, outputs)?;
        outputs.note(HITS, &search.note())?;
        Ok(recall)
    }
}

impl Queries<'_> {
    pub(super) fn search(&self) -> Result<Vec<QueryHits>> {
        let mut found = Vec::new();
        for chunk in self.texts.chunks(QUERIES_AT_ONCE) {
            self.ctx.check()?;
            let mut hits = Hits::new(chunk.len(), self.k);
            self.searcher.retrieve(&self.ctx.quiet(), chunk, hits.as_mut())?;
            found.extend((0..chunk.len()).map(|query| hits.of_query(query).collect::<Vec<_>>()));
            self.ctx.progress(found.len(), self.texts.len(), "queries");
        }
        Ok(found)
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

/// Reads `hits.jsonl` back: the first `k` hits of each query.
pub(super) fn read_hits(dir: &Path, k: usize) -> Result<Vec<QueryHits>> {
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
        let hits = line.ids.iter().zip(&line.scores).take(k);
        Ok(hits.map(|(&id, &score)| Hit { id, score }).collect())
    };
    text.lines().enumerate().map(parse).collect()
}
