//! What a plan knows of the pool: how many rows, and a few of them.

use std::path::Path;
use std::time::{Duration, Instant};

use deft_core::{Error, ErrorKind, Example, Examples, Pool, Result};

use super::fit::Fit;
use super::watch::Watch;
use crate::pipeline::Run;
use crate::pool::{
    Glimpse, ROWS_PER_GROUP, ReadSource, Rows, StoredPool, WantedPool, glimpse, spread,
    write_sample,
};

/// Rows that are measured with at most.
pub(super) const ROWS: usize = 512;
/// Neighbouring rows that are taken of a stored pool together: they are read together.
const RUN: usize = 32;
/// How long is looked at the sources, all together.
const LOOK: Duration = Duration::from_secs(4);

/// The pool as far as it is known.
pub(super) struct Sample {
    pub(super) rows: Rows,
    pub(super) examples: Vec<Example>,
    /// The pool itself, where the store has it.
    pub(super) stored: Option<StoredPool>,
    /// Seconds to read a row from its source.
    read_seconds: f64,
}

/// What reading the pool will take.
pub(super) struct PoolCost {
    pub(super) disk: u64,
    pub(super) memory: u64,
    pub(super) seconds: f64,
}

impl Run {
    /// Finds the pool in the store, or looks at its sources.
    pub(super) fn sample_pool(&mut self) -> Result<Sample> {
        let sources = self.pool_sources()?;
        let services = self.services("look at the sources");
        let ctx = services.context(self.manifest.seed);
        let rows_per_part = self.manifest.rows_per_part;
        if let Some(pool) = WantedPool::peek(&self.store, &sources, rows_per_part, &ctx)? {
            return Sample::of_stored(pool);
        }
        let time = LOOK / u32::try_from(sources.len()).unwrap_or(u32::MAX);
        let watch = Watch::begin(&services, Duration::MAX);
        let look = |source: &ReadSource| {
            glimpse(source, time, ROWS, &watch.context(self.manifest.seed, self.threads))
        };
        Sample::of_sources(sources.iter().map(look).collect::<Result<_>>()?)
    }
}

impl Sample {
    fn of_stored(pool: StoredPool) -> Result<Self> {
        let count = pool.len();
        let runs = spread(count, ROWS / RUN);
        let positions: Vec<usize> =
            runs.flat_map(|first| first..(first + RUN).min(count)).collect();
        let mut examples = Vec::with_capacity(positions.len());
        for run in positions.chunks(RUN) {
            examples.extend(pool.get(run)?);
        }
        let rows = Rows { count, exact: true };
        Ok(Self { rows, examples, stored: Some(pool), read_seconds: 0.0 })
    }

    /// Of each source as many rows as it has of the pool.
    fn of_sources(sources: Vec<Glimpse>) -> Result<Self> {
        let count = sources.iter().map(|source| source.rows.count).sum::<usize>();
        let exact = sources.iter().all(|source| source.rows.exact);
        let seconds: f64 = sources.iter().map(|source| source.seconds).sum();
        let read: usize = sources.iter().map(|source| source.read).sum();
        let mut examples = Vec::new();
        for source in sources {
            let share = (ROWS * source.rows.count).div_ceil(count.max(1)).max(1);
            let picked = spread(source.examples.len(), share).map(|i| source.examples[i].clone());
            examples.extend(picked);
        }
        if examples.is_empty() {
            return Err(Error::new(ErrorKind::Data, "the pool has no examples")
                .with_hint("look at its sources with `deft read`"));
        }
        let read_seconds = seconds / read.max(1) as f64;
        Ok(Self { rows: Rows { count, exact }, examples, stored: None, read_seconds })
    }

    /// The sample as if it were the whole pool.
    pub(super) fn stretched(&self) -> Stretched<'_> {
        Stretched { examples: &self.examples, count: self.rows.count }
    }

    /// What it takes to read the pool, by writing the sample.
    pub(super) fn pool_cost(
        &self,
        dir: &Path,
        rows_per_part: usize,
        threads: usize,
    ) -> Result<PoolCost> {
        let (mut bytes, mut times) = (Vec::new(), Vec::new());
        for count in [self.examples.len() / 4, self.examples.len()] {
            let some: Vec<Example> = self.take(count.max(1));
            let amount = some.len() as f64;
            let start = Instant::now();
            bytes.push((amount, write_sample(&dir.join("part"), some)? as f64));
            times.push((amount, start.elapsed().as_secs_f64()));
        }
        let rows = self.rows.count as f64;
        let fit = Fit::of_bytes(&bytes).map_or(0.0, |fit| {
            // A part's fixed bytes come once for each; its row groups are not told apart.
            let parts = self.rows.count.div_ceil(rows_per_part) as f64;
            parts * fit.at(rows / parts.max(1.0))
        });
        let write = times.last().map_or(0.0, |(amount, seconds)| seconds / amount);
        // Reading and writing go on at once, and groups are written by all threads.
        let seconds = self.read_seconds.max(write / threads.max(1) as f64) * rows;
        Ok(PoolCost {
            disk: crate::console::whole_number(fit),
            memory: self.mean_bytes() * (ROWS_PER_GROUP * 3 * threads) as u64,
            seconds,
        })
    }

    /// Some of its rows, evenly spread.
    pub(super) fn take(&self, count: usize) -> Vec<Example> {
        spread(self.examples.len(), count).map(|i| self.examples[i].clone()).collect()
    }

    /// Bytes of a row as JSON.
    pub(super) fn mean_bytes(&self) -> u64 {
        let all: usize =
            self.examples.iter().map(|e| serde_json::to_string(e).map_or(0, |t| t.len())).sum();
        (all / self.examples.len().max(1)) as u64
    }
}

/// Examples repeated until they are so many: what a component is told the pool's length with.
pub(super) struct Stretched<'a> {
    pub(super) examples: &'a [Example],
    pub(super) count: usize,
}

impl Stretched<'_> {
    pub(super) fn pool(&self, rows_per_part: usize) -> Pool<'_> {
        Pool { examples: self, rows_per_part }
    }
}

impl Examples for Stretched<'_> {
    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let one = |&position: &usize| self.examples[position % self.examples.len()].clone();
        Ok(positions.iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(name: &str, count: usize) -> Vec<Example> {
        let example =
            |i| Example { input: format!("{name} {i} {}", "x".repeat(90)), ..Example::default() };
        (0..count).map(example).collect()
    }

    fn seen(name: &str, count: usize, exact: bool) -> Glimpse {
        let rows = Rows { count, exact };
        Glimpse { rows, examples: examples(name, 512), read: 1000, seconds: 0.5 }
    }

    #[test]
    fn sources_are_in_a_sample_as_they_are_in_the_pool() {
        let sample =
            Sample::of_sources(vec![seen("a", 3_000_000, false), seen("b", 1_000_000, true)])
                .unwrap();
        assert_eq!(sample.rows, Rows { count: 4_000_000, exact: false });
        let of_a = sample.examples.iter().filter(|one| one.input.starts_with('a')).count();
        assert_eq!((of_a, sample.examples.len()), (384, 512));
        let stretched = sample.stretched();
        assert_eq!(stretched.len(), 4_000_000);
        assert_eq!(stretched.get(&[512 * 7000 + 3]).unwrap()[0], sample.examples[3]);
        assert!(Sample::of_sources(Vec::new()).is_err_and(|e| e.message().contains("no examples")));
    }

    #[test]
    fn what_the_pool_takes_grows_with_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let cost = |count| {
            let sample = Sample::of_sources(vec![seen("a", count, true)]).unwrap();
            sample.pool_cost(dir.path(), 100_000, 2).unwrap()
        };
        let (less, more) = (cost(1_000_000), cost(4_000_000));
        assert!(less.disk > 1_000_000, "{}", less.disk);
        assert_eq!(more.disk.div_ceil(1000), (less.disk * 4).div_ceil(1000));
        // A row takes 0.5 ms to read.
        assert!(less.seconds >= 500.0 && more.seconds >= 2000.0);
    }
}
