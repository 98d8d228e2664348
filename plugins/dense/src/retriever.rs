//! The component, and how finished phases are opened.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use deft_core::part_name;
use deft_core::prelude::*;
use serde_json::{Value, json};

use crate::config::DenseConfig;
use crate::search::{DenseSearcher, Unit};

/// The phase that turns the pool's texts into vectors: a unit per part of the pool.
pub(crate) const ENCODE: &str = "encode";
/// The phase that trains what all index units share: one unit, and only if the index trains.
pub(crate) const TRAIN: &str = "train";
/// The phase that builds the index: a unit per `rows_per_unit` rows.
pub(crate) const INDEX: &str = "index";

const ENCODER_SLOT: &str = "encoder";
const INDEX_SLOT: &str = "index";

/// The component `dense`.
pub(crate) struct Dense {
    pub(crate) config: DenseConfig,
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) encoder_name: String,
    pub(crate) index: Arc<dyn IndexFactory>,
    pub(crate) index_name: String,
    pub(crate) index_identity: String,
}

impl Component for Dense {
    type Config = DenseConfig;
    const NAME: &'static str = "dense";
    const SUMMARY: &'static str = "nearest vectors: any encoder with any index";
    const CHILDREN: &'static [Slot] =
        &[Slot::one(ENCODER_SLOT, Kind::Encoder), Slot::one(INDEX_SLOT, Kind::Index)];

    fn capabilities() -> Value {
        json!({ "keeps_vectors": "vectors" })
    }

    fn check(options: &DenseConfig) -> Result<()> {
        if options.rows_per_unit == 0 {
            return Err(Error::option_at(
                "rows_per_unit",
                "`rows_per_unit` must be at least 1 (rows_per_unit: 0)",
            ));
        }
        Ok(())
    }

    fn new(_ctx: &Context<'_>, config: DenseConfig, children: Children) -> Result<Self> {
        let index = children.get(INDEX_SLOT)?;
        Ok(Self {
            config,
            encoder: children.encoder(ENCODER_SLOT)?,
            encoder_name: children.get(ENCODER_SLOT)?.name.clone(),
            index: children.index(INDEX_SLOT)?,
            index_name: index.name.clone(),
            index_identity: index.identity.clone(),
        })
    }
}

impl Retriever for Dense {
    fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        check_not_empty(pool)?;
        self.check_kept()?;
        self.phases_of(ctx, pool)
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
        match phase {
            ENCODE => self.encode_unit(ctx, unit, pool, dirs, out),
            TRAIN => self.train_unit(ctx, dirs, pool, out),
            INDEX => self.index_unit(ctx, unit, pool, dirs, out),
            other => Err(Error::new(ErrorKind::Unexpected, "`dense` has no such phase")
                .with_context("phase", other)),
        }
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        check_not_empty(pool)?;
        self.check_kept()?;
        let stay = self.config.vectors.stay();
        let vectors = stay.then(|| self.open_vectors(pool, dirs)).transpose()?;
        let index_dir = dirs.get(INDEX)?;
        let mut units = Vec::new();
        for unit in 0..self.index_units(pool) {
            ctx.check()?;
            let rows = self.rows_of_unit(unit, pool);
            let dir = index_dir.join(part_name(unit, ""));
            let slice = |vectors: &VectorStore| vectors.slice(rows.clone());
            let index = self.index.open(ctx, &dir, vectors.as_ref().map(slice).transpose()?)?;
            check_length(index.as_ref(), &rows, &dir)?;
            units.push(Unit { first_row: rows.start as u64, index });
        }
        let (encoder, info) = (Arc::clone(&self.encoder), self.index.info());
        Ok(Box::new(DenseSearcher { encoder, units, vectors, info }))
    }
}

impl Dense {
    /// Rows of the pool that an index unit holds.
    pub(crate) fn rows_of_unit(&self, unit: usize, pool: &Pool<'_>) -> Range<usize> {
        let rows = self.rows_per_unit();
        let first = unit.saturating_mul(rows);
        first..first.saturating_add(rows).min(pool.examples.len())
    }

    /// An index that is there already is one, over all rows.
    fn rows_per_unit(&self) -> usize {
        if self.index.info().ready { usize::MAX } else { self.config.rows_per_unit }
    }

    /// The pool's vectors, when they are all there and the encoder at hand made them.
    pub(crate) fn open_vectors(&self, pool: &Pool<'_>, dirs: &PhaseDirs) -> Result<VectorStore> {
        let vectors = VectorStore::open(dirs.get(ENCODE)?)?;
        let fingerprint = self.encoder.info().fingerprint;
        if vectors.encoder() != fingerprint {
            return Err(Error::new(ErrorKind::Data, "another encoder made these vectors")
                .with_context("folder", vectors.dir().display())
                .with_context("made by", vectors.encoder())
                .with_context("encoder at hand", fingerprint)
                .with_hint(
                    "search with the encoder that made the vectors, or encode and index again",
                ));
        }
        check_stage(&vectors)?;
        if vectors.rows() != (0..pool.examples.len()) {
            return Err(Error::new(ErrorKind::Data, "these are not the vectors of this pool")
                .with_context("folder", vectors.dir().display())
                .with_context("rows found", format!("{:?}", vectors.rows()))
                .with_context("rows wanted", format!("{:?}", 0..pool.examples.len()))
                .with_hint("remove the folder: the next run encodes the pool again"));
        }
        Ok(vectors)
    }

    pub(crate) fn index_units(&self, pool: &Pool<'_>) -> usize {
        pool.examples.len().div_ceil(self.rows_per_unit())
    }

    /// Refuses an index that needs the vectors where they do not stay.
    fn check_kept(&self) -> Result<()> {
        if self.config.vectors.stay() || !self.index.info().needs_vectors {
            return Ok(());
        }
        let message = format!("index `{}` needs the vectors, and `none` are kept", self.index_name);
        Err(Error::option_at("vectors", message).with_hint(
            "keep them (`vectors: f16`), or take an index that does without: `faiss` with \
             `refine: 0`",
        ))
    }
}

fn check_not_empty(pool: &Pool<'_>) -> Result<()> {
    if pool.examples.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the pool is empty: nothing can be indexed",
        )
        .with_hint("look at the pool's sources and their `limit`"));
    }
    Ok(())
}

/// The name of a folder: in a store it has the fingerprint of all that its content follows from.
pub(crate) fn folder_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Refuses vectors that were copied from elsewhere: those of another pool, say, of as many rows.
fn check_stage(vectors: &VectorStore) -> Result<()> {
    let folder = folder_of(vectors.dir());
    match vectors.stage() {
        Some(stage) if stage != folder => {
            Err(Error::new(ErrorKind::Data, "these vectors were made for another folder")
                .with_context("folder", vectors.dir().display())
                .with_context("made for", stage)
                .with_hint(
                    "they were copied or renamed by hand: remove the folder, and it is made again",
                ))
        }
        _ => Ok(()),
    }
}

fn check_length(index: &dyn Index, rows: &Range<usize>, dir: &Path) -> Result<()> {
    if index.len() == rows.len() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, "the index has another number of rows than its vectors")
        .with_context("folder", dir.display())
        .with_context("found", index.len())
        .with_context("wanted", rows.len())
        .with_hint("remove the folder: the next run builds it again"))
}

#[cfg(test)]
mod tests {
    use deft_core::{NoServices, VectorType, VectorWriter};

    use super::*;
    use crate::config::Kept;
    use crate::testing::{Flat, Host, SumEncoder, dense, dense_over, pool_of};

    #[test]
    fn an_empty_pool_is_an_error() {
        let examples = pool_of(0);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 1);
        let error = dense(3, 0).phases(&ctx, &pool).expect_err("nothing to index");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_unit_of_no_rows_is_refused_by_name() {
        let config = DenseConfig { rows_per_unit: 0, ..DenseConfig::default() };
        let error = Dense::check(&config).expect_err("no rows");
        assert_eq!(error.option(), Some("rows_per_unit"));
    }

    #[test]
    fn another_encoder_is_refused_with_both_fingerprints_and_the_remedy() {
        let host = Host::prepared(dense(3, 0), 10, 4);
        let mut other = dense(3, 0);
        other.encoder = Arc::new(SumEncoder { fingerprint: "sum 2".to_owned() });
        let error = host.open(&other).err().expect("another encoder");
        assert_eq!(error.context("made by"), Some("sum 1"));
        assert_eq!(error.context("encoder at hand"), Some("sum 2"));
        assert!(error.hint().is_some_and(|hint| hint.contains("index again")));
    }

    #[test]
    fn vectors_that_were_made_for_another_folder_are_refused_with_both_names() {
        let host = Host::prepared(dense(3, 0), 2, 4);
        let part = host.dir(ENCODE).join(part_name(0, ".safetensors"));
        let mut writer =
            VectorWriter::create_in(&part, 0..2, 2, VectorType::F16, "sum 1", "sum-0123")
                .expect("created");
        writer.write(Matrix::new(&[0.0, 1.0, 1.0, 1.0], 2).expect("whole rows")).expect("written");
        writer.finish().expect("written");
        let error = host.open(&host.dense).err().expect("another pool's");
        assert_eq!(error.context("made for"), Some("sum-0123"));
        assert!(error.context("folder").is_some_and(|folder| folder.ends_with(ENCODE)));
    }

    #[test]
    fn vectors_of_another_pool_are_refused() {
        let mut host = Host::prepared(dense(3, 0), 10, 4);
        host.examples = pool_of(11);
        let error = host.open(&host.dense).err().expect("one row more");
        assert_eq!(error.context("rows found"), Some("0..10"));
        assert_eq!(error.context("rows wanted"), Some("0..11"));
    }

    #[test]
    fn a_search_needs_no_vectors_where_none_are_kept() {
        let queries = ["0", "7", "12"];
        let wanted = Host::prepared(dense(7, 5), 20, 4).retrieve(&queries, 3);
        let mut without = dense(7, 5);
        without.config.vectors = Kept::None;
        let host = Host::prepared(without, 20, 4);
        std::fs::remove_dir_all(host.dir(ENCODE)).expect("removed");
        assert_eq!(host.retrieve(&queries, 3), wanted);
    }

    #[test]
    fn an_index_that_needs_the_vectors_is_refused_before_anything_is_done() {
        let mut dense = dense_over(7, Flat { needs_vectors: true, ..Flat::default() });
        dense.config.vectors = Kept::None;
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 1);
        let error = dense.phases(&ctx, &pool).expect_err("refused");
        assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some("vectors")));
        assert!(error.message().contains("`flat`"), "{error}");
    }

    #[test]
    fn an_index_that_is_there_is_searched_with_and_without_vectors() {
        let ready = || dense_over(3, Flat { ready: true, ..Flat::default() });
        let wanted = Host::prepared(dense(3, 0), 10, 4).retrieve(&["4"], 3);
        for vectors in [Kept::F16, Kept::None] {
            let mut dense = ready();
            dense.config.vectors = vectors;
            let host = Host::prepared(dense, 10, 4);
            assert_eq!(host.retrieve(&["4"], 3), wanted, "{vectors:?}");
        }
    }
}
