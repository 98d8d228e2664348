//! The component.

use std::path::Path;

use deft_core::prelude::*;
use deft_scan::Scan;

use crate::auto;
use crate::builder::FaissBuilder;
use crate::card::{Card, INDEX};
use crate::config::{AUTO, FaissConfig};
use crate::factory::Recipe;
use crate::native::Native;
use crate::search::{Effort, FaissIndex};

/// Candidates in a search through a graph, unless the user says: the paper's.
const EF_SEARCH: usize = 128;

/// The component `faiss`.
#[derive(Debug)]
pub(crate) struct Faiss(FaissConfig);

impl Component for Faiss {
    type Config = FaissConfig;
    const NAME: &'static str = "faiss";
    const SUMMARY: &'static str = "any FAISS index, re-ranked by the stored vectors";

    fn check(config: &FaissConfig) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: FaissConfig, _children: Children) -> Result<Self> {
        config.check()?;
        Ok(Self(config))
    }
}

impl IndexFactory for Faiss {
    fn info(&self) -> IndexInfo {
        IndexInfo {
            training_vectors: self.0.training_vectors(),
            exact: false,
            metric: self.0.metric,
        }
    }

    fn builder(
        &self,
        ctx: &Context<'_>,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        Ok(Box::new(FaissBuilder::new(ctx, &self.0, shape, trained)?))
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let card = Card::read(dir)?;
        card.check(dir, self.0.metric, vectors.as_ref())?;
        let path = dir.join(INDEX);
        let native = Native::read(&path, self.0.mmap)?;
        if (native.len(), native.dimension()) != (card.rows, card.dimension) {
            return Err(Error::new(ErrorKind::Data, "the index file is not the one of its card")
                .with_context("file", path.display())
                .with_context("found", format!("{} rows of {}", native.len(), native.dimension()))
                .with_context("wanted", format!("{} rows of {}", card.rows, card.dimension)));
        }
        let effort = self.effort(&card)?;
        let vectors = vectors.map(|vectors| Scan::new(vectors, self.0.metric));
        if effort.refine > 0 && vectors.is_none() {
            return Err(Error::option_at(
                "refine",
                "ranking again needs the vectors, and they are not kept",
            )
            .with_hint("keep them (`vectors: f16`), or set `refine: 0`"));
        }
        Ok(Box::new(FaissIndex::new(native, effort, vectors)?))
    }
}

impl Faiss {
    /// How much a search looks at: what the user says, or what goes with the factory.
    fn effort(&self, card: &Card) -> Result<Effort> {
        let recipe = Recipe::parse(&card.factory)?;
        let refine = if self.0.factory == AUTO { auto::REFINE } else { 0 };
        if self.0.nprobe.is_some() && recipe.lists().is_none() {
            return Err(Error::option_at("nprobe", "this index has no lists to look at")
                .with_context("factory", &card.factory)
                .with_hint("`nprobe` goes with `IVF…`, `ef_search` with `HNSW…`"));
        }
        let lists = recipe.lists();
        Ok(Effort {
            ef_search: self.0.ef_search.unwrap_or(EF_SEARCH),
            nprobe: lists.map(|lists| self.0.nprobe.unwrap_or(lists.div_ceil(4)).min(lists)),
            refine: self.0.refine.unwrap_or(refine),
        })
    }
}
