//! A stand-in for children, for the tests of this crate.

use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;
use deft_core::{Child, Handle, Hit, Hits, NoServices};

use crate::config::FusionConfig;
use crate::retriever::{Fusion, RETRIEVERS};

/// A pool of so many texts.
pub(crate) fn pool_of(rows: usize) -> Vec<Example> {
    (0..rows).map(|row| Example { input: row.to_string(), ..Example::default() }).collect()
}

/// A retriever with the same hits for every query, after two phases.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// Its component's name.
    pub(crate) name: &'static str,
    pub(crate) hits: Vec<(u64, f32)>,
    pub(crate) judgement: Judgement,
    /// The method that returns an error, if there is one of this name.
    pub(crate) fails_in: &'static str,
}

impl Fixed {
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name, hits: Vec::new(), judgement: Judgement::Unknown, fails_in: "" }
    }

    fn enter(&self, method: &str) -> Result<()> {
        if self.fails_in == method {
            return Err(Error::option_at("fails_in", "told to fail"));
        }
        Ok(())
    }
}

impl Retriever for Fixed {
    fn phases(&self, _ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        self.enter("phases")?;
        let note = Phase {
            name: "note".to_owned(),
            artefact: "fixed".to_owned(),
            fingerprint: "notes".to_owned(),
            units: pool.parts(),
            suffix: ".txt".to_owned(),
            threads: 3,
            cost: 2.0,
            disk: Some(5),
            memory: Some(6),
            search_memory: Some(7),
            temporary: true,
            ..Phase::default()
        };
        let sum = Phase { name: "sum".to_owned(), temporary: false, ..note.clone() };
        Ok(vec![note, sum])
    }

    fn run_unit(
        &self,
        _ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        _pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        self.enter("run_unit")?;
        let dirs: Vec<_> =
            dirs.iter().map(|(name, dir)| format!("{name} {}", dir.display())).collect();
        let text = format!("{}: {phase} {unit} of {}", self.name, dirs.join(", "));
        std::fs::write(out, text).or_io("cannot write the unit", out)
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        _pool: &Pool<'_>,
        _dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        self.enter("open")?;
        Ok(Box::new(self.clone()))
    }
}

impl Searcher for Fixed {
    fn retrieve(&self, _ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        self.enter("retrieve")?;
        for query in 0..queries.len() {
            let mut found = self.hits.iter().map(|&(id, score)| Hit { id, score }).collect();
            hits.set(query, &mut found);
        }
        Ok(())
    }

    fn judge(
        &self,
        _ctx: &Context<'_>,
        queries: &[&str],
        _found: HitsMut<'_>,
        _nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        assert!(queries.is_empty(), "comparing costs time, and what it finds is not used");
        Ok(self.judgement.clone())
    }
}

fn built(members: Vec<Fixed>, config: FusionConfig) -> Result<Fusion> {
    let child = |fixed: Fixed| Child {
        slot: RETRIEVERS.to_owned(),
        name: fixed.name.to_owned(),
        identity: String::new(),
        handle: Handle::Retriever(Arc::new(fixed)),
    };
    let children = Children::new(members.into_iter().map(child).collect());
    Fusion::new(&Context::new(&NoServices, 0, 1), config, children)
}

/// A fusion of such retrievers.
pub(crate) fn fusion_of(members: Vec<Fixed>, config: FusionConfig) -> Fusion {
    built(members, config).unwrap_or_else(|error| panic!("{error}"))
}

/// Why there is none.
pub(crate) fn refused(members: Vec<Fixed>, config: FusionConfig) -> Error {
    built(members, config).err().expect("it is refused")
}

/// A fusion of such retrievers, open over ten examples.
pub(crate) fn searcher_of(members: Vec<Fixed>, config: FusionConfig) -> Result<Box<dyn Searcher>> {
    let examples = pool_of(10);
    let pool = Pool { examples: &examples, rows_per_part: 10 };
    let ctx = Context::new(&NoServices, 0, 1);
    built(members, config)?.open(&ctx, &pool, &PhaseDirs::default())
}

/// The `k` hits of each query.
pub(crate) fn try_retrieve(
    members: Vec<Fixed>,
    config: FusionConfig,
    queries: &[&str],
    k: usize,
) -> Result<Vec<Vec<Hit>>> {
    let mut hits = Hits::new(queries.len(), k);
    let searcher = searcher_of(members, config)?;
    searcher.retrieve(&Context::new(&NoServices, 0, 1), queries, hits.as_mut())?;
    Ok((0..queries.len()).map(|query| hits.of_query(query).collect()).collect())
}

/// The `k` hits of one query.
pub(crate) fn retrieve(members: Vec<Fixed>, config: FusionConfig, k: usize) -> Vec<Hit> {
    try_retrieve(members, config, &["a"], k).expect("found").remove(0)
}
