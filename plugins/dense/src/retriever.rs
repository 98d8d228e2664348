//! The component: its phases, and how the finished ones are opened.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use deft_core::part_name;
use deft_core::prelude::*;
use serde_json::json;

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
    encoder_name: String,
    pub(crate) index: Arc<dyn IndexFactory>,
    index_name: String,
    index_identity: String,
}

impl Component for Dense {
    type Config = DenseConfig;
    const NAME: &'static str = "dense";
    const SUMMARY: &'static str = "nearest vectors: any encoder with any index";
    const CHILDREN: &'static [Slot] =
        &[Slot::one(ENCODER_SLOT, Kind::Encoder), Slot::one(INDEX_SLOT, Kind::Index)];

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
        let mut phases = vec![self.encode_phase(pool)];
        if self.index.info().training_vectors > 0 {
            phases.push(self.train_phase(ctx, pool));
        }
        phases.push(self.index_phase(ctx, pool));
        Ok(phases)
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
        let vectors = self.open_vectors(pool, dirs)?;
        let index_dir = dirs.get(INDEX)?;
        let mut units = Vec::new();
        for unit in 0..self.index_units(pool) {
            ctx.check()?;
            let rows = self.rows_of_unit(unit, pool);
            let dir = index_dir.join(part_name(unit, ""));
            let index = self.index.open(ctx, &dir, Some(vectors.slice(rows.clone())?))?;
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
        let first = unit * self.config.rows_per_unit;
        first..first.saturating_add(self.config.rows_per_unit).min(pool.examples.len())
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

    fn index_units(&self, pool: &Pool<'_>) -> usize {
        pool.examples.len().div_ceil(self.config.rows_per_unit)
    }

    // Costs are relative to encoding one text, which a model's forward pass makes dear.

    fn encode_phase(&self, pool: &Pool<'_>) -> Phase {
        let fingerprint = self.encoder.info().fingerprint;
        Phase {
            name: ENCODE.to_owned(),
            artefact: folder_name(&self.encoder_name),
            fingerprint: json!({ "encoder": fingerprint, "vectors": self.config.vectors })
                .to_string(),
            units: pool.parts(),
            suffix: ".safetensors".to_owned(),
            threads: 0,
            cost: pool.examples.len() as f64,
        }
    }

    fn train_phase(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Phase {
        let rows = self.index.info().training_vectors.min(pool.examples.len());
        Phase {
            name: TRAIN.to_owned(),
            artefact: folder_name(&format!("{}-codec", self.index_name)),
            // The seed draws the sample.
            fingerprint: json!({ "index": self.index_identity, "seed": ctx.seed() }).to_string(),
            units: 1,
            suffix: String::new(),
            threads: 1,
            cost: 0.1 * rows as f64,
        }
    }

    fn index_phase(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Phase {
        Phase {
            name: INDEX.to_owned(),
            artefact: folder_name(&self.index_name),
            // A builder may draw from the seed, too.
            fingerprint: json!({
                "index": self.index_identity,
                "rows_per_unit": self.config.rows_per_unit,
                "seed": ctx.seed(),
            })
            .to_string(),
            units: self.index_units(pool),
            suffix: String::new(),
            threads: 1,
            cost: 0.01 * pool.examples.len() as f64,
        }
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

/// A component's name as a folder's: `task/variant` has a separator.
fn folder_name(component: &str) -> String {
    component.replace('/', "-")
}

#[cfg(test)]
mod tests {
    use deft_core::{NoServices, VectorType, VectorWriter};

    use super::*;
    use crate::testing::{Host, SumEncoder, dense, pool_of};

    fn names(phases: &[Phase]) -> Vec<(&str, &str, usize)> {
        phases.iter().map(|p| (p.name.as_str(), p.artefact.as_str(), p.units)).collect()
    }

    #[test]
    fn phases_have_a_unit_per_part_one_codec_and_a_unit_per_run_of_rows() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 1);
        let phases = dense(3, 5).phases(&ctx, &pool).expect("phases");
        let wanted = [("encode", "sum", 3), ("train", "flat-codec", 1), ("index", "flat", 4)];
        assert_eq!(names(&phases), wanted);
        let phases = dense(10, 0).phases(&ctx, &pool).expect("phases");
        assert_eq!(names(&phases), [("encode", "sum", 3), ("index", "flat", 1)]);
    }

    #[test]
    fn fingerprints_change_with_what_changes_the_bytes_and_with_nothing_else() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let prints = |dense: &Dense, seed: u64| -> Vec<String> {
            let ctx = Context::new(&NoServices, seed, 1);
            let phases = dense.phases(&ctx, &pool).expect("phases");
            phases.into_iter().map(|phase| phase.fingerprint).collect()
        };
        let base = prints(&dense(3, 5), 7);
        let other_units = prints(&dense(4, 5), 7);
        assert_eq!(base[..2], other_units[..2], "only the index units differ");
        assert_ne!(base[2], other_units[2]);
        let other_seed = prints(&dense(3, 5), 8);
        assert_eq!(base[0], other_seed[0], "encoding has no chance in it");
        assert_ne!(base[1], other_seed[1]);
    }

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
}
