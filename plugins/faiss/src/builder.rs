//! Building: a codec from a sample, or an index from rows.

use std::path::Path;

use deft_core::prelude::*;
use deft_scan::Metric;

use crate::card::{self, Card, INDEX};
use crate::config::{AUTO, FaissConfig};
use crate::factory::Recipe;
use crate::native::Native;
use crate::{auto, openmp, warnings};

/// Rows that FAISS gets at once: a second's work for the paper's graph, so that Ctrl-C is heard. A
/// graph depends on them: they must not depend on how rows come.
pub(crate) const ROWS_AT_ONCE: usize = 1024;

/// An index on its way; only one builder uses it, on one thread.
pub(crate) struct FaissBuilder {
    native: Native,
    card: Card,
    is_codec: bool,
    /// Rows that have come and are not in the index yet.
    waiting: Vec<f32>,
    first: Vec<f32>,
    last: Vec<f32>,
}

impl FaissBuilder {
    /// An empty index: by its factory string, or the trained one in a folder.
    pub(crate) fn new(
        ctx: &Context<'_>,
        config: &FaissConfig,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Self> {
        let (mut native, factory) = if let Some(dir) = trained {
            open_codec(ctx, config.metric, shape.dimension, dir)?
        } else {
            let factory = factory(ctx, config, shape)?;
            (Native::new(&factory, shape.dimension, config.metric)?, factory)
        };
        // Kept in the file; only graphs have it.
        native.set("efConstruction", config.ef_construction)?;
        let card = Card::new(factory, config.metric, shape.dimension);
        let (waiting, first, last) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { native, card, is_codec: false, waiting, first, last })
    }

    fn check_dimension(&self, rows: Matrix<'_>) -> Result<()> {
        if rows.dimension() == self.card.dimension {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unexpected, "these vectors have another dimension")
            .with_context("found", rows.dimension())
            .with_context("wanted", self.card.dimension))
    }

    fn flush(&mut self, ctx: &Context<'_>) -> Result<()> {
        ctx.check()?;
        openmp::set_threads(ctx.threads());
        self.native.add(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// The factory string to build; `auto` is told.
fn factory(ctx: &Context<'_>, config: &FaissConfig, shape: IndexShape) -> Result<String> {
    if config.factory != AUTO {
        return Ok(config.factory.clone());
    }
    let choice = auto::choose(shape, config.bytes_per_row, config.training_rows)?;
    ctx.info(&format!("factory `{}`: {}", choice.factory, choice.why));
    Ok(choice.factory)
}

/// The trained, empty index in a folder that [`FaissBuilder::finish`] wrote.
fn open_codec(
    ctx: &Context<'_>,
    metric: Metric,
    dimension: usize,
    dir: &Path,
) -> Result<(Native, String)> {
    let card = Card::read(ctx, dir)?;
    card.check(dir, metric, None)?;
    let path = card.index(dir);
    let native = Native::read(&path, false)?;
    if (native.dimension(), native.len()) == (dimension, 0) {
        return Ok((native, card.factory));
    }
    Err(Error::new(ErrorKind::Data, "the codec was trained for other vectors")
        .with_context("file", path.display())
        .with_context("found", format!("{} rows of {}", native.len(), native.dimension()))
        .with_context("wanted", format!("0 rows of {dimension}"))
        .with_hint(card.remedy()))
}

impl IndexBuilder for FaissBuilder {
    fn train(&mut self, ctx: &Context<'_>, sample: Matrix<'_>) -> Result<()> {
        ctx.check()?;
        self.check_dimension(sample)?;
        openmp::set_threads(ctx.threads());
        self.is_codec = true;
        let native = &mut self.native;
        warnings::folded(ctx, || native.train(sample.as_slice()))
    }

    fn add(&mut self, ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()> {
        self.check_dimension(rows)?;
        if !self.native.is_trained() {
            return Err(Error::new(ErrorKind::Unexpected, "the index needs training and had none")
                .with_context("factory", &self.card.factory));
        }
        if rows.rows() == 0 {
            return Ok(());
        }
        if self.first.is_empty() {
            rows.row(0).clone_into(&mut self.first);
        }
        rows.row(rows.rows() - 1).clone_into(&mut self.last);
        let full = ROWS_AT_ONCE * self.card.dimension;
        let mut left = rows.as_slice();
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(full - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            left = later;
            if self.waiting.len() == full {
                self.flush(ctx)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, ctx: &Context<'_>, dir: &Path) -> Result<()> {
        if !self.waiting.is_empty() {
            self.flush(ctx)?;
        }
        self.native.write(&dir.join(INDEX))?;
        let ends = if self.is_codec { String::new() } else { card::ends(&self.first, &self.last) };
        self.card.clone().write(ctx, dir, self.native.len(), ends)
    }
}

impl FaissConfig {
    /// Rows of the sample that training looks at; 0 where nothing is trained.
    pub(crate) fn training_vectors(&self) -> usize {
        let trains = self.factory == AUTO
            || Recipe::parse(&self.factory).is_ok_and(|recipe| recipe.trains());
        if trains && self.file.is_none() { self.training_rows } else { 0 }
    }
}
