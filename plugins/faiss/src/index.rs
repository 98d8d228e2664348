//! The component.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_scan::Scan;
use serde_json::{Value, json};

use crate::adopt::{self, Adopter};
use crate::auto;
use crate::builder::{FaissBuilder, ROWS_AT_ONCE};
use crate::card::Card;
use crate::config::{AUTO, FaissConfig};
use crate::factory::Recipe;
use crate::native::Native;
use crate::search::{Effort, FaissIndex, no_lists};

/// Candidates in a search through a graph, unless the user says: the paper's.
const EF_SEARCH: usize = 128;

/// The component `faiss`.
#[derive(Debug)]
pub(crate) struct Faiss {
    config: FaissConfig,
    /// Where the option `file` leads.
    file: Option<PathBuf>,
}

impl Component for Faiss {
    type Config = FaissConfig;
    const NAME: &'static str = "faiss";
    const SUMMARY: &'static str = "any FAISS index, re-ranked by the stored vectors";

    /// A search for more goes through more of a graph, or of the candidates that are ranked again.
    fn capabilities() -> Value {
        json!({ "hits_depend_on_k": true })
    }

    fn check(config: &FaissConfig) -> Result<()> {
        config.check()
    }

    fn new(ctx: &Context<'_>, config: FaissConfig, _children: Children) -> Result<Self> {
        config.check()?;
        let file = config.file.as_ref().map(|name| adopt::find(ctx, name)).transpose()?;
        Ok(Self { config, file })
    }
}

impl IndexFactory for Faiss {
    fn info(&self) -> IndexInfo {
        IndexInfo {
            training_vectors: self.config.training_vectors(),
            exact: false,
            metric: self.config.metric,
            needs_vectors: self.config.refine() > 0,
            ready: self.file.is_some(),
        }
    }

    /// The codes and links of each row, and what is waiting to be added while it is built.
    fn cost(&self, shape: IndexShape) -> Result<IndexCost> {
        let FaissConfig { factory, bytes_per_row, training_rows, .. } = &self.config;
        if let Some(file) = &self.file {
            return Ok(cost_of_file(file, self.config.mmap, shape));
        }
        let factory = match factory.as_str() {
            AUTO => auto::choose(shape, *bytes_per_row, *training_rows)?.factory,
            factory => factory.to_owned(),
        };
        // Asked before anything is encoded: whether its numbers fit the dimension.
        Native::new(&factory, shape.dimension, self.config.metric)?;
        let rows = Recipe::parse(&factory)?.bytes_per_row(shape.dimension);
        let index = rows.map(|bytes| (bytes * shape.rows) as u64);
        let waiting = (ROWS_AT_ONCE.min(shape.rows) * shape.dimension * size_of::<f32>()) as u64;
        Ok(IndexCost {
            disk: index,
            // Lists and codes grow by copying into twice the room.
            build_memory: index.map(|index| 2 * index + waiting),
            search_memory: index,
            thread_memory: Some(Scan::bytes_per_thread(shape) as u64),
        })
    }

    fn builder(
        &self,
        ctx: &Context<'_>,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        let FaissConfig { metric, mmap, .. } = self.config;
        if let Some(file) = self.file.clone() {
            return Ok(Box::new(Adopter { file, metric, shape, mmap }));
        }
        Ok(Box::new(FaissBuilder::new(ctx, &self.config, shape, trained)?))
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let card = Card::read(ctx, dir)?;
        card.check(dir, self.config.metric, vectors.as_ref())?;
        let path = card.index(dir);
        let native = Native::read(&path, self.config.mmap)?;
        if (native.len(), native.dimension()) != (card.rows, card.dimension) {
            return Err(Error::new(ErrorKind::Data, "the index file is not the one of its card")
                .with_context("file", path.display())
                .with_context("found", format!("{} rows of {}", native.len(), native.dimension()))
                .with_context("wanted", format!("{} rows of {}", card.rows, card.dimension))
                .with_hint(card.remedy()));
        }
        let effort = self.effort(&card)?;
        let vectors = vectors.map(|vectors| Scan::new(vectors, self.config.metric));
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
        let recipe = card.recipe()?;
        let lists = recipe.as_ref().and_then(Recipe::lists);
        if self.config.nprobe.is_some() && recipe.is_some() && lists.is_none() {
            return Err(no_lists().with_context("factory", &card.factory));
        }
        Ok(Effort {
            ef_search: self.config.ef_search.unwrap_or(EF_SEARCH),
            nprobe: match lists {
                Some(lists) => Some(self.config.nprobe.unwrap_or(lists.div_ceil(4)).min(lists)),
                // Of a user's file FAISS knows whether it has lists.
                None => self.config.nprobe,
            },
            refine: self.config.refine(),
        })
    }
}

/// What a user's own file takes: on disk it is there already.
fn cost_of_file(file: &Path, mmap: bool, shape: IndexShape) -> IndexCost {
    // What is mapped can be given back.
    let bytes = if mmap { Some(0) } else { adopt::bytes(file) };
    IndexCost {
        disk: Some(0),
        build_memory: bytes,
        search_memory: bytes,
        thread_memory: Some(Scan::bytes_per_thread(shape) as u64),
    }
}
