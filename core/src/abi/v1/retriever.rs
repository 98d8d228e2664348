//! [`Retriever`] and [`Searcher`] across the boundary.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RArc, RBox, RSlice, RStr, RString};

use super::data::{
    FfiHits, FfiResult, export_path, export_texts, from_json, import_texts, to_json, to_usize,
};
use super::examples::{ExamplesExport, ExamplesImport, FfiExamplesRef};
use super::guard::Guarded;
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::{
    Context, Error, ErrorKind, HitsMut, Judgement, Phase, PhaseDirs, Pool, Result, Retriever,
    Searcher,
};

/// The pool, lent.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiPool<'a> {
    examples: FfiExamplesRef<'a>,
    rows_per_part: u64,
    /// JSON object for what is to come, or nothing at all.
    extra: RStr<'a>,
}

/// A phase's name and folder, lent.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiPhaseDir<'a> {
    phase: RStr<'a>,
    dir: RStr<'a>,
}

fn export_dirs(dirs: &PhaseDirs) -> Result<Vec<FfiPhaseDir<'_>>> {
    dirs.iter()
        .map(|(phase, dir)| Ok(FfiPhaseDir { phase: phase.into(), dir: export_path(dir)?.into() }))
        .collect()
}

fn import_dirs(dirs: RSlice<'_, FfiPhaseDir<'_>>) -> PhaseDirs {
    let one = |dir: &FfiPhaseDir<'_>| (dir.phase.to_string(), PathBuf::from(dir.dir.as_str()));
    PhaseDirs::new(dirs.iter().map(one).collect())
}

/// Lends a pool for the calls made in `body`.
fn with_pool<T>(pool: &Pool<'_>, body: impl FnOnce(FfiPool<'_>) -> T) -> T {
    let export = ExamplesExport(pool.examples);
    body(FfiPool {
        examples: export.lend(),
        rows_per_part: pool.rows_per_part as u64,
        extra: "".into(),
    })
}

impl FfiPool<'_> {
    fn imported<T>(self, body: impl FnOnce(&Pool<'_>) -> Result<T>) -> Result<T> {
        let examples = ExamplesImport::new(self.examples)?;
        body(&Pool { examples: &examples, rows_per_part: to_usize(self.rows_per_part)?.max(1) })
    }
}

#[sabi_trait]
pub trait FfiRetriever: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn phases(&self, ctx: FfiContext<'_>, pool: FfiPool<'_>) -> FfiResult<RString>;
    fn run_unit(
        &self,
        ctx: FfiContext<'_>,
        phase: RStr<'_>,
        unit: u64,
        pool: FfiPool<'_>,
        dirs: RSlice<'_, FfiPhaseDir<'_>>,
        out: RStr<'_>,
    ) -> FfiResult<()>;
    #[sabi(last_prefix_field)]
    fn open(
        &self,
        ctx: FfiContext<'_>,
        pool: FfiPool<'_>,
        dirs: RSlice<'_, FfiPhaseDir<'_>>,
    ) -> FfiResult<FfiSearcherBox>;
}

#[sabi_trait]
pub trait FfiSearcher: Send + Sync + 'static {
    fn retrieve(
        &self,
        ctx: FfiContext<'_>,
        queries: RSlice<'_, RStr<'_>>,
        hits: FfiHits<'_>,
    ) -> FfiResult<()>;
    #[sabi(last_prefix_field)]
    fn judge(
        &self,
        ctx: FfiContext<'_>,
        queries: RSlice<'_, RStr<'_>>,
        found: FfiHits<'_>,
        nearest: FfiHits<'_>,
    ) -> FfiResult<RString>;
}

pub type FfiRetrieverArc = FfiRetriever_TO<RArc<()>>;
pub type FfiSearcherBox = FfiSearcher_TO<RBox<()>>;

pub(crate) struct RetrieverExport(pub(crate) Guarded<Arc<dyn Retriever>>);

impl FfiRetriever for RetrieverExport {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| Ok(self.0.call(ctx, name.as_str(), json.as_str())?.into()))
    }

    fn phases(&self, ctx: FfiContext<'_>, pool: FfiPool<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| pool.imported(|pool| Ok(to_json(&self.0.phases(ctx, pool)?))))
    }

    fn run_unit(
        &self,
        ctx: FfiContext<'_>,
        phase: RStr<'_>,
        unit: u64,
        pool: FfiPool<'_>,
        dirs: RSlice<'_, FfiPhaseDir<'_>>,
        out: RStr<'_>,
    ) -> FfiResult<()> {
        ctx.guarded(|ctx| {
            let (unit, dirs) = (to_usize(unit)?, import_dirs(dirs));
            let out = Path::new(out.as_str());
            pool.imported(|pool| self.0.run_unit(ctx, phase.as_str(), unit, pool, &dirs, out))
        })
    }

    fn open(
        &self,
        ctx: FfiContext<'_>,
        pool: FfiPool<'_>,
        dirs: RSlice<'_, FfiPhaseDir<'_>>,
    ) -> FfiResult<FfiSearcherBox> {
        ctx.guarded(|ctx| {
            let dirs = import_dirs(dirs);
            let searcher = pool.imported(|pool| self.0.open(ctx, pool, &dirs))?;
            Ok(FfiSearcher_TO::from_ptr(
                RBox::new(SearcherExport(self.0.made(searcher))),
                TD_Opaque,
            ))
        })
    }
}

struct SearcherExport(Guarded<Box<dyn Searcher>>);

impl FfiSearcher for SearcherExport {
    fn retrieve(
        &self,
        ctx: FfiContext<'_>,
        queries: RSlice<'_, RStr<'_>>,
        hits: FfiHits<'_>,
    ) -> FfiResult<()> {
        ctx.guarded(|ctx| self.0.retrieve(ctx, &import_texts(queries), hits.import()?))
    }

    fn judge(
        &self,
        ctx: FfiContext<'_>,
        queries: RSlice<'_, RStr<'_>>,
        found: FfiHits<'_>,
        nearest: FfiHits<'_>,
    ) -> FfiResult<RString> {
        ctx.guarded(|ctx| {
            let (queries, found) = (import_texts(queries), found.import()?);
            Ok(to_json(&self.0.judge(ctx, &queries, found, nearest.import()?)?))
        })
    }
}

/// Refuses phases whose names could leave the store or be mistaken for one another.
fn check_phases(phases: &[Phase]) -> Result<()> {
    let plain = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !text.contains("..")
    };
    for (i, phase) in phases.iter().enumerate() {
        let refuse = |what: &str| {
            Err(Error::new(ErrorKind::Plugin, format!("the retriever's phases are wrong: {what}"))
                .with_context("phase", format!("{phase:?}")))
        };
        if phase.name.is_empty() || phases[..i].iter().any(|other| other.name == phase.name) {
            return refuse("a name is empty, or there twice");
        }
        if phase.name.starts_with('.') || !plain(&phase.name) {
            return refuse("a name has other characters than letters, digits, `-`, `_` and `.`");
        }
        if phase.artefact.is_empty() || phase.artefact.starts_with('.') || !plain(&phase.artefact) {
            return refuse("an artefact's name cannot name a folder");
        }
        if !(phase.suffix.is_empty() || phase.suffix.starts_with('.') && plain(&phase.suffix)) {
            return refuse("a suffix is no file name's end");
        }
        if phase.units > MAX_UNITS {
            return refuse("too many units for five digits");
        }
    }
    Ok(())
}

/// Units are named by five digits: see [`crate::part_name`].
const MAX_UNITS: usize = 100_000;

pub(crate) struct RetrieverImport {
    remote: FfiRetrieverArc,
    origin: Origin,
}

impl RetrieverImport {
    pub(crate) fn new(remote: FfiRetrieverArc, origin: Origin) -> Self {
        Self { remote, origin }
    }
}

impl Retriever for RetrieverImport {
    fn call(&self, ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        self.origin.call(Method::Call, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.call(ctx, name.into(), json.into()).into_result()?.into())
            })
        })
    }

    fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        self.origin.call(Method::Phases, || {
            let phases: Vec<Phase> = with_exported(ctx, |ctx| {
                with_pool(pool, |pool| from_json(&self.remote.phases(ctx, pool).into_result()?))
            })?;
            check_phases(&phases)?;
            Ok(phases)
        })
    }

    fn run_unit(
        &self,
        ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        let (dirs, out) = (export_dirs(dirs)?, export_path(out)?);
        self.origin.call(Method::RunUnit, || {
            with_exported(ctx, |ctx| {
                with_pool(pool, |pool| {
                    let (unit, dirs, out) = (unit as u64, dirs.as_slice().into(), out.into());
                    let done = self.remote.run_unit(ctx, phase.into(), unit, pool, dirs, out);
                    Ok(done.into_result()?)
                })
            })
        })
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        let dirs = export_dirs(dirs)?;
        let searcher = self.origin.call(Method::Open, || {
            with_exported(ctx, |ctx| {
                with_pool(pool, |pool| {
                    Ok(self.remote.open(ctx, pool, dirs.as_slice().into()).into_result()?)
                })
            })
        })?;
        let (origin, examples) = (self.origin.clone(), pool.examples.len());
        Ok(Box::new(SearcherImport { remote: searcher, origin, examples }))
    }
}

struct SearcherImport {
    remote: FfiSearcherBox,
    origin: Origin,
    /// Length of the pool: ids are below it.
    examples: usize,
}

impl Searcher for SearcherImport {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        let queries = export_texts(queries);
        hits.clear();
        self.origin.call(Method::Retrieve, || {
            with_exported(ctx, |ctx| {
                let queries = queries.as_slice().into();
                self.remote.retrieve(ctx, queries, hits.reborrow().into()).into_result()?;
                hits.check(self.examples)
            })
        })
    }

    fn judge(
        &self,
        ctx: &Context<'_>,
        queries: &[&str],
        mut found: HitsMut<'_>,
        mut nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        let queries = export_texts(queries);
        let ids = found.sorted_ids();
        nearest.clear();
        self.origin.call(Method::Judge, || {
            let judgement: Judgement = with_exported(ctx, |ctx| {
                let lent = (found.reborrow().into(), nearest.reborrow().into());
                let judged = self.remote.judge(ctx, queries.as_slice().into(), lent.0, lent.1);
                from_json(&judged.into_result()?)
            })?;
            if matches!(judgement, Judgement::Compared { .. }) {
                nearest.check(self.examples)?;
                found.check(self.examples)?;
                check_same(&ids, &found.sorted_ids())?;
            }
            Ok(judgement)
        })
    }
}

/// Refuses a judgement of other hits than those that were to be judged.
fn check_same(given: &[Vec<u64>], judged: &[Vec<u64>]) -> Result<()> {
    let Some(query) = given.iter().zip(judged).position(|(given, judged)| given != judged) else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Plugin, "a search was judged by other hits than it had found")
        .with_context("query", query)
        .with_context("hits found", given[query].len())
        .with_context("hits judged", judged[query].len()))
}

#[cfg(test)]
#[path = "retriever_tests.rs"]
mod tests;
