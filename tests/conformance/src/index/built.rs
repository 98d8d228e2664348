//! Indexes built over known rows, and what a scan of the rows finds.

use std::path::PathBuf;
use std::sync::Arc;

use deft_core::{
    Handle, Hit, Hits, Index, IndexFactory, IndexShape, Matrix, Result, VectorStore, VectorType,
    part_name, write_vectors,
};
use tempfile::TempDir;

use super::{IndexChecks, Metric};
use crate::services::{SEED, TestServices};

/// Rows that are added at once.
const ADDED_AT_ONCE: usize = 400;

/// A folder with vectors and an index over them.
pub(super) struct Built {
    pub(super) factory: Arc<dyn IndexFactory>,
    pub(super) store: VectorStore,
    pub(super) dir: TempDir,
    pub(super) dimension: usize,
    rows: Vec<f32>,
    metric: Metric,
}

impl Built {
    pub(super) fn new(checks: &IndexChecks, rows: Vec<f32>) -> Result<Self> {
        let factory = factory(checks)?;
        let (dir, dimension) = (new_folder(), checks.dimension);
        let vectors = dir.path().join("vectors");
        make_folder(&vectors)?;
        // Several parts: an index may not take the first file for all.
        let per_part = (rows.len() / dimension).div_ceil(2);
        for (part, some) in rows.chunks(per_part * dimension).enumerate() {
            let path = vectors.join(part_name(part, ".safetensors"));
            let some = Matrix::new(some, dimension)?;
            write_vectors(&path, some, VectorType::F32, part * per_part, "conformance")?;
        }
        let store = VectorStore::open(&vectors)?;
        let built = Self { factory, store, dir, dimension, rows, metric: checks.metric };
        built.build("index", ADDED_AT_ONCE)?;
        Ok(built)
    }

    /// Whether such an index learns from a sample first.
    pub(super) fn trains(checks: &IndexChecks) -> Result<bool> {
        Ok(factory(checks)?.info().training_vectors > 0)
    }

    pub(super) fn index_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Builds the index as a retriever does: a codec first, where it trains.
    pub(super) fn build(&self, name: &str, added_at_once: usize) -> Result<()> {
        let services = TestServices::new();
        let ctx = &services.context(SEED, 1);
        let sample = self.factory.info().training_vectors.min(self.len());
        let trained = (sample > 0).then(|| self.index_dir(&format!("{name}-codec")));
        if let Some(dir) = &trained {
            make_folder(dir)?;
            let mut builder = self.factory.builder(ctx, self.shape(), None)?;
            builder.train(ctx, self.matrix(0, sample)?)?;
            builder.finish(ctx, dir)?;
        }
        let mut builder = self.factory.builder(ctx, self.shape(), trained.as_deref())?;
        for first in (0..self.len()).step_by(added_at_once) {
            builder.add(ctx, self.matrix(first, (first + added_at_once).min(self.len()))?)?;
        }
        make_folder(&self.index_dir(name))?;
        builder.finish(ctx, &self.index_dir(name))
    }

    pub(super) fn shape(&self) -> IndexShape {
        IndexShape { rows: self.len(), dimension: self.dimension }
    }

    pub(super) fn matrix(&self, first: usize, end: usize) -> Result<Matrix<'_>> {
        Matrix::new(&self.rows[first * self.dimension..end * self.dimension], self.dimension)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.dimension
    }

    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Index>> {
        let services = TestServices::new();
        let ctx = services.context(SEED, 2);
        self.factory.open(&ctx, &self.index_dir(name), Some(self.store.clone()))
    }

    /// The hits of queries, row by row.
    pub(super) fn search(
        &self,
        index: &dyn Index,
        queries: &[f32],
        k: usize,
        threads: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        let queries = Matrix::new(queries, self.dimension)?;
        let mut hits = Hits::new(queries.rows(), k);
        let services = TestServices::new();
        index.search(&services.context(SEED, threads), queries, hits.as_mut())?;
        Ok((0..queries.rows()).map(|query| hits.of_query(query).collect()).collect())
    }

    /// How close a row is to a query.
    pub(super) fn score(&self, query: &[f32], row: usize) -> f32 {
        let row = &self.rows[row * self.dimension..][..self.dimension];
        let pairs = query.iter().zip(row).map(|(&q, &r)| (f64::from(q), f64::from(r)));
        let score: f64 = match self.metric {
            Metric::L2 => -pairs.map(|(q, r)| (q - r) * (q - r)).sum::<f64>(),
            Metric::InnerProduct => pairs.map(|(q, r)| q * r).sum(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        let score = score as f32;
        score
    }

    /// Every row as a hit, best first.
    pub(super) fn scan(&self, query: &[f32]) -> Vec<Hit> {
        let hit = |row: usize| Hit { id: row as u64, score: self.score(query, row) };
        let mut hits: Vec<Hit> = (0..self.len()).map(hit).collect();
        hits.sort_by(Hit::rank_order);
        hits
    }
}

fn factory(checks: &IndexChecks) -> Result<Arc<dyn IndexFactory>> {
    match checks.component.create()? {
        Handle::Index(factory) => Ok(factory),
        other => unreachable!("an index was made, not {other:?}"),
    }
}

fn make_folder(dir: &std::path::Path) -> Result<()> {
    deft_core::ResultExt::or_io(std::fs::create_dir(dir), "cannot make a folder", dir)
}

fn new_folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}
