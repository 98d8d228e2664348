//! A stand-in for the host, for the tests of this crate.

use std::path::PathBuf;

use deft_core::prelude::*;
use deft_core::{Hit, Hits, NoServices, part_name};

use crate::config::Bm25Config;
use crate::retriever::Bm25;

/// A pool of these texts.
pub(crate) fn pool_of(texts: &[&str]) -> Vec<Example> {
    let example = |&text: &&str| Example { input: text.to_owned(), ..Example::default() };
    texts.iter().map(example).collect()
}

/// Hits as numbers that can be compared for equality.
pub(crate) fn bits(hits: &[Vec<Hit>]) -> Vec<Vec<(u64, u32)>> {
    let bits = |hits: &Vec<Hit>| hits.iter().map(|hit| (hit.id, hit.score.to_bits())).collect();
    hits.iter().map(bits).collect()
}

/// Runs units into a temporary folder, as the host does into the store.
pub(crate) struct Host {
    pub(crate) examples: Vec<Example>,
    bm25: Bm25,
    rows_per_part: usize,
    store: tempfile::TempDir,
}

impl Host {
    /// A host that has run every unit of every phase.
    pub(crate) fn prepared(config: Bm25Config, texts: &[&str], rows_per_part: usize) -> Self {
        let ctx = Context::new(&NoServices, 0, 1);
        let host = Self {
            examples: pool_of(texts),
            bm25: Bm25::new(&ctx, config, Children::none()).expect("a retriever"),
            rows_per_part,
            store: tempfile::tempdir().expect("a temporary folder"),
        };
        for phase in host.bm25.phases(&ctx, &host.pool()).expect("phases") {
            std::fs::create_dir(host.dir(&phase.name)).expect("a folder for the phase");
            for unit in 0..phase.units {
                let out = host.dir(&phase.name).join(part_name(unit, &phase.suffix));
                let (pool, dirs) = (host.pool(), host.dirs());
                host.bm25.run_unit(&ctx, &phase.name, unit, &pool, &dirs, &out).expect("it ran");
            }
        }
        host
    }

    fn dir(&self, phase: &str) -> PathBuf {
        self.store.path().join(phase)
    }

    /// The folder of a part's index.
    pub(crate) fn unit(&self, part: usize) -> PathBuf {
        self.dir("index").join(part_name(part, ""))
    }

    /// The file of the statistics.
    pub(crate) fn statistics(&self) -> PathBuf {
        self.dir("merge").join(part_name(0, ".json"))
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Searcher>> {
        self.bm25.open(&Context::new(&NoServices, 0, 1), &self.pool(), &self.dirs())
    }

    pub(crate) fn retrieve(&self, queries: &[&str], k: usize, threads: usize) -> Vec<Vec<Hit>> {
        let ctx = Context::new(&NoServices, 0, threads);
        let mut hits = Hits::new(queries.len(), k);
        self.open().expect("opened").retrieve(&ctx, queries, hits.as_mut()).expect("found");
        (0..queries.len()).map(|query| hits.of_query(query).collect()).collect()
    }

    fn pool(&self) -> Pool<'_> {
        Pool { examples: &self.examples, rows_per_part: self.rows_per_part }
    }

    fn dirs(&self) -> PhaseDirs {
        let phases = ["index", "merge"];
        PhaseDirs::new(phases.map(|name| (name.to_owned(), self.dir(name))).to_vec())
    }
}
