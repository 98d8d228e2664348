//! [`IndexFactory`], [`IndexBuilder`] and [`Index`] across the boundary.

use std::path::Path;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RArc, RBox, ROption, RStr, RString};

use super::data::{FfiHits, FfiMatrix, FfiResult, export_path, from_json, to_json, to_usize};
use super::guard::{Guarded, guard};
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::{
    Context, HitsMut, Index, IndexBuilder, IndexFactory, IndexInfo, IndexShape, Matrix, Result,
    VectorStore,
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

/// [`IndexShape`], as it crosses.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FfiIndexShape {
    rows: u64,
    dimension: u64,
}

impl From<IndexShape> for FfiIndexShape {
    fn from(IndexShape { rows, dimension }: IndexShape) -> Self {
        Self { rows: rows as u64, dimension: dimension as u64 }
    }
}

impl FfiIndexShape {
    fn import(self) -> Result<IndexShape> {
        Ok(IndexShape { rows: to_usize(self.rows)?, dimension: to_usize(self.dimension)? })
    }
}

#[sabi_trait]
pub trait FfiIndexFactory: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn info(&self) -> FfiResult<RString>;
    fn builder(
        &self,
        ctx: FfiContext<'_>,
        shape: FfiIndexShape,
        trained: ROption<RStr<'_>>,
    ) -> FfiResult<FfiIndexBuilderBox>;
    #[sabi(last_prefix_field)]
    fn open(
        &self,
        ctx: FfiContext<'_>,
        dir: RStr<'_>,
        vectors: ROption<FfiVectors<'_>>,
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
    fn len(&self) -> FfiResult<u64>;
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
        shape: FfiIndexShape,
        trained: ROption<RStr<'_>>,
    ) -> FfiResult<FfiIndexBuilderBox> {
        ctx.guarded(|ctx| {
            let trained = trained.into_option();
            let trained = trained.as_ref().map(|dir| Path::new(dir.as_str()));
            let builder = self.0.builder(ctx, shape.import()?, trained)?;
            Ok(FfiIndexBuilder_TO::from_ptr(
                RBox::new(BuilderExport(self.0.made(builder))),
                TD_Opaque,
            ))
        })
    }

    fn open(
        &self,
        ctx: FfiContext<'_>,
        dir: RStr<'_>,
        vectors: ROption<FfiVectors<'_>>,
    ) -> FfiResult<FfiIndexBox> {
        ctx.guarded(|ctx| {
            let vectors = vectors.as_ref().into_option().map(FfiVectors::import).transpose()?;
            let index = self.0.open(ctx, Path::new(dir.as_str()), vectors)?;
            Ok(FfiIndex_TO::from_ptr(RBox::new(IndexExport(self.0.made(index))), TD_Opaque))
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
    fn len(&self) -> FfiResult<u64> {
        guard(|| Ok(self.0.len() as u64))
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
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        let trained = trained.map(export_path).transpose()?.map(RStr::from);
        let builder = self.origin.call(Method::Builder, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.builder(ctx, shape.into(), trained.into()).into_result()?)
            })
        })?;
        Ok(Box::new(BuilderImport { remote: builder, origin: self.origin.clone() }))
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let dir = export_path(dir)?;
        let vectors = vectors.as_ref().map(FfiVectors::export).transpose()?.into();
        let (index, rows) = self.origin.call(Method::Open, || {
            with_exported(ctx, |ctx| {
                let index = self.remote.open(ctx, dir.into(), vectors).into_result()?;
                let rows = to_usize(index.len().into_result()?)?;
                Ok((index, rows))
            })
        })?;
        Ok(Box::new(IndexImport { remote: index, rows, origin: self.origin.clone() }))
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
    /// Asked once, when there is a place for an error.
    rows: usize,
    origin: Origin,
}

impl Index for IndexImport {
    fn len(&self) -> usize {
        self.rows
    }

    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        hits.clear();
        self.origin.call(Method::Search, || {
            with_exported(ctx, |ctx| {
                self.remote.search(ctx, queries.into(), hits.reborrow().into()).into_result()?;
                hits.check(self.rows)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::FfiComponent;
    use super::*;
    use crate::{Error, ErrorKind, Handle, Kind, NoServices, VectorType, part_name, write_vectors};

    /// Tells a length so often, and panics from then on.
    struct Forgetful(Arc<AtomicUsize>);

    impl IndexFactory for Forgetful {
        fn info(&self) -> IndexInfo {
            IndexInfo::default()
        }

        fn builder(
            &self,
            _ctx: &Context<'_>,
            _shape: IndexShape,
            _trained: Option<&Path>,
        ) -> Result<Box<dyn IndexBuilder>> {
            Err(Error::cancelled())
        }

        fn open(
            &self,
            _ctx: &Context<'_>,
            _dir: &Path,
            _vectors: Option<VectorStore>,
        ) -> Result<Box<dyn Index>> {
            Ok(Box::new(Self(Arc::clone(&self.0))))
        }
    }

    impl Index for Forgetful {
        fn len(&self) -> usize {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.checked_sub(1).expect("the length is forgotten"), Ordering::Relaxed);
            1
        }

        fn search(&self, _: &Context<'_>, _: Matrix<'_>, _: HitsMut<'_>) -> Result<()> {
            Ok(())
        }
    }

    /// An index across the boundary, opened, whose length can be asked so often.
    fn opened(asked: usize) -> Result<Box<dyn Index>> {
        let dir = tempfile::tempdir().unwrap();
        let rows = Matrix::new(&[1.0, 2.0], 2).unwrap();
        let part = dir.path().join(part_name(0, ".safetensors"));
        write_vectors(&part, rows, VectorType::F32, 0, "e").unwrap();
        let handle = Handle::Index(Arc::new(Forgetful(Arc::new(AtomicUsize::new(asked)))));
        let origin = Origin::of_plugin(Kind::Index, "forgetful", "p", "1.0");
        let Handle::Index(factory) = FfiComponent::export(&handle).import(origin)? else {
            unreachable!("an index was exported");
        };
        let ctx = Context::new(&NoServices, 0, 1);
        factory.open(&ctx, dir.path(), Some(VectorStore::open(dir.path())?))
    }

    #[test]
    fn a_panic_over_the_length_is_an_error_of_opening_that_names_the_component() {
        let error = opened(0).err().expect("there is no length");
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.message().contains("the length is forgotten"), "{error}");
        let named = (error.context("component"), error.context("plugin"));
        assert_eq!(named, (Some("index forgetful"), Some("p 1.0")));
    }

    #[test]
    fn the_length_is_asked_once() {
        let index = opened(1).unwrap();
        assert_eq!((index.len(), index.len(), index.is_empty()), (1, 1, false));
    }
}
