//! [`IndexFactory`], [`IndexBuilder`] and [`Index`] across the boundary.

use std::path::Path;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RArc, RBox, ROption, RStr, RString};

use super::data::{FfiHits, FfiMatrix, FfiResult, export_path, from_json, to_json, to_usize};
use super::guard::{Guarded, guard, guard_or};
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::{
    Context, HitsMut, Index, IndexBuilder, IndexFactory, IndexInfo, Matrix, Result, VectorStore,
};

/// Where vectors lie and which rows are meant: each side opens the files itself.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiVectors<'a> {
    dir: RStr<'a>,
    first: u64,
    end: u64,
}

impl<'a> FfiVectors<'a> {
    fn export(vectors: &'a VectorStore) -> Result<Self> {
        let rows = vectors.rows();
        let dir = export_path(vectors.dir())?.into();
        Ok(Self { dir, first: rows.start as u64, end: rows.end as u64 })
    }

    fn import(&self) -> Result<VectorStore> {
        let rows = to_usize(self.first)?..to_usize(self.end)?;
        VectorStore::open(Path::new(self.dir.as_str()))?.slice(rows)
    }
}

#[sabi_trait]
pub trait FfiIndexFactory: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn info(&self) -> FfiResult<RString>;
    fn builder(
        &self,
        ctx: FfiContext<'_>,
        dimension: u64,
        trained: ROption<RStr<'_>>,
    ) -> FfiResult<FfiIndexBuilderBox>;
    #[sabi(last_prefix_field)]
    fn open(
        &self,
        ctx: FfiContext<'_>,
        dir: RStr<'_>,
        vectors: FfiVectors<'_>,
    ) -> FfiResult<FfiIndexBox>;
}

#[sabi_trait]
pub trait FfiIndexBuilder: Send + 'static {
    fn train(&mut self, ctx: FfiContext<'_>, sample: FfiMatrix<'_>) -> FfiResult<()>;
    fn add(&mut self, ctx: FfiContext<'_>, rows: FfiMatrix<'_>) -> FfiResult<()>;
    #[sabi(last_prefix_field)]
    fn finish(&mut self, ctx: FfiContext<'_>, dir: RStr<'_>) -> FfiResult<()>;
}

#[sabi_trait]
pub trait FfiIndex: Send + Sync + 'static {
    fn len(&self) -> u64;
    #[sabi(last_prefix_field)]
    fn search(
        &self,
        ctx: FfiContext<'_>,
        queries: FfiMatrix<'_>,
        hits: FfiHits<'_>,
    ) -> FfiResult<()>;
}

pub type FfiIndexFactoryArc = FfiIndexFactory_TO<RArc<()>>;
pub type FfiIndexBuilderBox = FfiIndexBuilder_TO<RBox<()>>;
pub type FfiIndexBox = FfiIndex_TO<RBox<()>>;

pub(crate) struct IndexFactoryExport(pub(crate) Guarded<Arc<dyn IndexFactory>>);

impl FfiIndexFactory for IndexFactoryExport {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| Ok(self.0.call(ctx, name.as_str(), json.as_str())?.into()))
    }

    fn info(&self) -> FfiResult<RString> {
        guard(|| Ok(to_json(&self.0.info())))
    }

    fn builder(
        &self,
        ctx: FfiContext<'_>,
        dimension: u64,
        trained: ROption<RStr<'_>>,
    ) -> FfiResult<FfiIndexBuilderBox> {
        ctx.guarded(|ctx| {
            let trained = trained.into_option();
            let trained = trained.as_ref().map(|dir| Path::new(dir.as_str()));
            let builder = self.0.builder(ctx, to_usize(dimension)?, trained)?;
            Ok(FfiIndexBuilder_TO::from_ptr(
                RBox::new(BuilderExport(Guarded::new(builder))),
                TD_Opaque,
            ))
        })
    }

    fn open(
        &self,
        ctx: FfiContext<'_>,
        dir: RStr<'_>,
        vectors: FfiVectors<'_>,
    ) -> FfiResult<FfiIndexBox> {
        ctx.guarded(|ctx| {
            let index = self.0.open(ctx, Path::new(dir.as_str()), vectors.import()?)?;
            Ok(FfiIndex_TO::from_ptr(RBox::new(IndexExport(Guarded::new(index))), TD_Opaque))
        })
    }
}

struct BuilderExport(Guarded<Box<dyn IndexBuilder>>);

impl FfiIndexBuilder for BuilderExport {
    fn train(&mut self, ctx: FfiContext<'_>, sample: FfiMatrix<'_>) -> FfiResult<()> {
        ctx.guarded(|ctx| self.0.train(ctx, sample.import()?))
    }

    fn add(&mut self, ctx: FfiContext<'_>, rows: FfiMatrix<'_>) -> FfiResult<()> {
        ctx.guarded(|ctx| self.0.add(ctx, rows.import()?))
    }

    fn finish(&mut self, ctx: FfiContext<'_>, dir: RStr<'_>) -> FfiResult<()> {
        ctx.guarded(|ctx| self.0.finish(ctx, Path::new(dir.as_str())))
    }
}

struct IndexExport(Guarded<Box<dyn Index>>);

impl FfiIndex for IndexExport {
    fn len(&self) -> u64 {
        guard_or(0, || self.0.len() as u64)
    }

    fn search(
        &self,
        ctx: FfiContext<'_>,
        queries: FfiMatrix<'_>,
        hits: FfiHits<'_>,
    ) -> FfiResult<()> {
        ctx.guarded(|ctx| self.0.search(ctx, queries.import()?, hits.import()?))
    }
}

pub(crate) struct IndexFactoryImport {
    remote: FfiIndexFactoryArc,
    info: IndexInfo,
    origin: Origin,
}

impl IndexFactoryImport {
    pub(crate) fn new(remote: FfiIndexFactoryArc, origin: Origin) -> Result<Self> {
        let info = origin.call(Method::Info, || Ok(remote.info().into_result()?))?;
        Ok(Self { remote, info: from_json(&info)?, origin })
    }
}

impl IndexFactory for IndexFactoryImport {
    fn call(&self, ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        self.origin.call(Method::Call, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.call(ctx, name.into(), json.into()).into_result()?.into())
            })
        })
    }

    fn info(&self) -> IndexInfo {
        self.info.clone()
    }

    fn builder(
        &self,
        ctx: &Context<'_>,
        dimension: usize,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        let trained = trained.map(export_path).transpose()?.map(RStr::from);
        let builder = self.origin.call(Method::Builder, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.builder(ctx, dimension as u64, trained.into()).into_result()?)
            })
        })?;
        Ok(Box::new(BuilderImport { remote: builder, origin: self.origin.clone() }))
    }

    fn open(&self, ctx: &Context<'_>, dir: &Path, vectors: VectorStore) -> Result<Box<dyn Index>> {
        let dir = export_path(dir)?;
        let vectors = FfiVectors::export(&vectors)?;
        let index = self.origin.call(Method::Open, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.open(ctx, dir.into(), vectors).into_result()?)
            })
        })?;
        Ok(Box::new(IndexImport { remote: index, origin: self.origin.clone() }))
    }
}

struct BuilderImport {
    remote: FfiIndexBuilderBox,
    origin: Origin,
}

impl IndexBuilder for BuilderImport {
    fn train(&mut self, ctx: &Context<'_>, sample: Matrix<'_>) -> Result<()> {
        self.origin.call(Method::Train, || {
            with_exported(ctx, |ctx| Ok(self.remote.train(ctx, sample.into()).into_result()?))
        })
    }

    fn add(&mut self, ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()> {
        self.origin.call(Method::Add, || {
            with_exported(ctx, |ctx| Ok(self.remote.add(ctx, rows.into()).into_result()?))
        })
    }

    fn finish(&mut self, ctx: &Context<'_>, dir: &Path) -> Result<()> {
        let dir = export_path(dir)?;
        self.origin.call(Method::Finish, || {
            with_exported(ctx, |ctx| Ok(self.remote.finish(ctx, dir.into()).into_result()?))
        })
    }
}

struct IndexImport {
    remote: FfiIndexBox,
    origin: Origin,
}

impl Index for IndexImport {
    fn len(&self) -> usize {
        usize::try_from(self.remote.len()).unwrap_or(usize::MAX)
    }

    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        hits.clear();
        self.origin.call(Method::Search, || {
            with_exported(ctx, |ctx| {
                self.remote.search(ctx, queries.into(), hits.reborrow().into()).into_result()?;
                hits.check(self.len())
            })
        })
    }
}
