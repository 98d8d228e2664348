//! Pools prepared for search as the host prepares them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{
    Context, Example, Handle, Hit, Hits, Judgement, Phase, PhaseDirs, Pool, Result, ResultExt,
    Retriever, Searcher, part_name,
};
use tempfile::TempDir;

use super::RetrieverChecks;
use crate::data;
use crate::services::{SEED, TestServices};

pub(super) const ROWS_PER_PART: usize = 60;

pub(super) fn create(checks: &RetrieverChecks) -> Result<Arc<dyn Retriever>> {
    match checks.component.create()? {
        Handle::Retriever(retriever) => Ok(retriever),
        other => unreachable!("a retriever was made, not {other:?}"),
    }
}

pub(super) fn pool_of(texts: Vec<String>) -> Vec<Example> {
    let example = |input| Example { input, target: Some("yes".to_owned()), ..Example::default() };
    texts.into_iter().map(example).collect()
}

/// 230 examples: the last part is short.
pub(super) fn pool() -> Vec<Example> {
    pool_of(data::texts(230, 21))
}

pub(super) fn view(examples: &Vec<Example>) -> Pool<'_> {
    Pool { examples, rows_per_part: ROWS_PER_PART }
}

/// One unit to be done.
pub(super) struct Unit<'a> {
    pub(super) phase: &'a Phase,
    pub(super) number: usize,
    pub(super) dirs: &'a PhaseDirs,
    /// Does not exist yet.
    pub(super) out: &'a Path,
    pool: Pool<'a>,
}

impl Unit<'_> {
    pub(super) fn run_with(&self, retriever: &dyn Retriever, ctx: &Context<'_>) -> Result<()> {
        retriever.run_unit(ctx, &self.phase.name, self.number, &self.pool, self.dirs, self.out)
    }

    pub(super) fn run(&self, retriever: &dyn Retriever) -> Result<()> {
        self.run_with(retriever, &TestServices::new().context(SEED, 1))
    }

    /// Throws away what it wrote, as the host does after an error.
    pub(super) fn discard(&self) -> Result<()> {
        if self.out.is_dir() {
            std::fs::remove_dir_all(self.out).or_io("cannot remove the unit", self.out)
        } else if self.out.exists() {
            std::fs::remove_file(self.out).or_io("cannot remove the unit", self.out)
        } else {
            Ok(())
        }
    }
}

/// A store with the phases of a retriever over a pool.
pub(super) struct Prepared<'a> {
    pub(super) pool: Pool<'a>,
    pub(super) phases: Vec<Phase>,
    pub(super) dirs: PhaseDirs,
    store: TempDir,
}

impl<'a> Prepared<'a> {
    /// A store in which nothing is done.
    pub(super) fn begun(retriever: &dyn Retriever, examples: &'a Vec<Example>) -> Result<Self> {
        let pool = view(examples);
        let phases = retriever.phases(&TestServices::new().context(SEED, 1), &pool)?;
        let store = tempfile::tempdir().or_io("no temporary folder", Path::new("/tmp"))?;
        let dir = |phase: &Phase| (phase.name.clone(), store.path().join(&phase.name));
        let dirs = PhaseDirs::new(phases.iter().map(dir).collect());
        for (_, dir) in dirs.iter() {
            std::fs::create_dir(dir).or_io("cannot make a folder", dir)?;
        }
        Ok(Self { pool, phases, dirs, store })
    }

    /// A store in which everything is done, by one instance, in order.
    pub(super) fn new(retriever: &dyn Retriever, examples: &'a Vec<Example>) -> Result<Self> {
        let prepared = Self::begun(retriever, examples)?;
        prepared.for_each_unit(|unit| unit.run(retriever))?;
        Ok(prepared)
    }

    /// Does every unit, in order, and commits it.
    pub(super) fn for_each_unit(&self, run: impl Fn(&Unit<'_>) -> Result<()>) -> Result<()> {
        for phase in &self.phases {
            for number in 0..phase.units {
                self.unit(phase, number, &run)?;
            }
        }
        Ok(())
    }

    /// Does one unit and commits it under its final name.
    pub(super) fn unit<E: From<deft_core::Error>>(
        &self,
        phase: &Phase,
        number: usize,
        run: impl Fn(&Unit<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = part_name(number, &phase.suffix);
        let dir = self.dirs.get(&phase.name)?;
        let (out, done) = (dir.join(format!(".unfinished-{name}")), dir.join(name));
        run(&Unit { phase, number, dirs: &self.dirs, out: &out, pool: self.pool })?;
        std::fs::rename(&out, &done).or_io("the unit left nothing at its path", &out)?;
        Ok(())
    }

    pub(super) fn store(&self) -> PathBuf {
        self.store.path().to_owned()
    }

    pub(super) fn open(&self, retriever: &dyn Retriever) -> Result<Box<dyn Searcher>> {
        retriever.open(&TestServices::new().context(SEED, 2), &self.pool, &self.dirs)
    }

    /// The hits of the usual queries.
    pub(super) fn hits(&self, retriever: &dyn Retriever) -> Result<Found> {
        retrieve(self.open(retriever)?.as_ref(), &data::texts(25, 22), super::K, 2)
    }
}

/// The hits of queries.
pub(super) type Found = Vec<Vec<Hit>>;

pub(super) fn retrieve<T: AsRef<str>>(
    searcher: &dyn Searcher,
    queries: &[T],
    k: usize,
    threads: usize,
) -> Result<Found> {
    let queries: Vec<&str> = queries.iter().map(AsRef::as_ref).collect();
    let mut hits = Hits::new(queries.len(), k);
    let services = TestServices::new();
    searcher.retrieve(&services.context(SEED, threads), &queries, hits.as_mut())?;
    Ok(lists(&hits))
}

fn lists(hits: &Hits) -> Found {
    (0..hits.queries()).map(|query| hits.of_query(query).collect()).collect()
}

/// What a searcher says of hits, their true scores, and the nearest of all.
pub(super) struct Judged {
    pub(super) judgement: Judgement,
    pub(super) found: Found,
    pub(super) nearest: Found,
}

/// Lets a searcher judge hits of queries.
pub(super) fn judge<T: AsRef<str>>(
    searcher: &dyn Searcher,
    queries: &[T],
    found: &Found,
    k: usize,
    threads: usize,
) -> Result<Judged> {
    let queries: Vec<&str> = queries.iter().map(AsRef::as_ref).collect();
    let mut given = Hits::new(queries.len(), k);
    for (query, found) in found.iter().enumerate() {
        given.as_mut().set(query, &mut found.clone());
    }
    let mut nearest = Hits::new(queries.len(), k);
    let services = TestServices::new();
    let ctx = services.context(SEED, threads);
    let judgement = searcher.judge(&ctx, &queries, given.as_mut(), nearest.as_mut())?;
    Ok(Judged { judgement, found: lists(&given), nearest: lists(&nearest) })
}
