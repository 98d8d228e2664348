//! The work of one unit of each phase.

use std::path::Path;

use deft_core::prelude::*;
use deft_core::{VectorWriter, part_name};

use crate::retriever::{Dense, ENCODE, TRAIN, folder_of};
use crate::sample;
use crate::search::report_truncated;

/// Rows that are fetched, encoded or added at once: progress is told, and Ctrl-C heard, in between.
pub(crate) const CHUNK: usize = 1024;

impl Dense {
    /// Encodes one part of the pool and writes its vectors to the file `out`.
    pub(crate) fn encode_unit(
        &self,
        ctx: &Context<'_>,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        let info = self.encoder.info();
        let rows = pool.rows_of_part(unit);
        let (precision, fingerprint) = (self.config.vectors.stored_as(), &info.fingerprint);
        let (all, dimension) = (rows.clone(), info.dimension);
        let stage = folder_of(dirs.get(ENCODE)?);
        let mut writer =
            VectorWriter::create_in(out, all, dimension, precision, fingerprint, &stage)?;
        let mut truncated = 0;
        for first in rows.clone().step_by(CHUNK) {
            ctx.check()?;
            let chunk: Vec<_> = (first..(first + CHUNK).min(rows.end)).collect();
            let inputs = pool.examples.inputs(&chunk)?;
            let texts: Vec<_> = inputs.iter().map(String::as_str).collect();
            let mut vectors = vec![0.0; texts.len() * info.dimension];
            truncated +=
                self.encoder.encode(&ctx.quiet(), &texts, TextRole::Pool, &mut vectors)?.truncated;
            writer.write(Matrix::new(&vectors, info.dimension)?)?;
            ctx.progress(first + texts.len() - rows.start, rows.len(), "rows");
        }
        let what = format!("inputs of part {unit}");
        report_truncated(ctx, &what, truncated, rows.len(), info.max_tokens)?;
        writer.finish()
    }

    /// Trains what all index units share on a sample of the pool, and writes it to the folder `out`.
    pub(crate) fn train_unit(
        &self,
        ctx: &Context<'_>,
        dirs: &PhaseDirs,
        pool: &Pool<'_>,
        out: &Path,
    ) -> Result<()> {
        let vectors = self.open_vectors(pool, dirs)?;
        let rows = sample::draw(vectors.len(), self.index.info().training_vectors, ctx.seed());
        let numbers = sample::read(ctx, &vectors, &rows)?;
        let mut builder = self.index.builder(ctx, self.shape(0, pool), None)?;
        builder.train(ctx, Matrix::new(&numbers, vectors.dimension())?)?;
        finish(ctx, builder.as_mut(), out)
    }

    /// Builds the index over one run of the pool's rows and writes it to the folder `out`.
    pub(crate) fn index_unit(
        &self,
        ctx: &Context<'_>,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        let info = self.index.info();
        if info.ready {
            let mut builder = self.index.builder(ctx, self.shape(unit, pool), None)?;
            return finish(ctx, builder.as_mut(), out);
        }
        let vectors = self.open_vectors(pool, dirs)?.slice(self.rows_of_unit(unit, pool))?;
        let trained = if info.training_vectors > 0 {
            Some(dirs.get(TRAIN)?.join(part_name(0, "")))
        } else {
            None
        };
        let mut builder = self.index.builder(ctx, self.shape(unit, pool), trained.as_deref())?;
        let mut numbers = Vec::new();
        for first in (0..vectors.len()).step_by(CHUNK) {
            ctx.check()?;
            let end = (first + CHUNK).min(vectors.len());
            vectors.read(first..end, &mut numbers)?;
            builder.add(&ctx.quiet(), Matrix::new(&numbers, vectors.dimension())?)?;
            ctx.progress(end, vectors.len(), "rows");
        }
        finish(ctx, builder.as_mut(), out)
    }
}

impl Dense {
    /// The shape of one index unit. The first is the largest, and all start from one codec.
    fn shape(&self, unit: usize, pool: &Pool<'_>) -> IndexShape {
        let rows = self.rows_of_unit(unit, pool).len();
        IndexShape { rows, dimension: self.encoder.info().dimension }
    }
}

fn finish(ctx: &Context<'_>, builder: &mut dyn IndexBuilder, out: &Path) -> Result<()> {
    std::fs::create_dir(out).or_io("cannot make the index's folder", out)?;
    builder.finish(ctx, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kept;
    use crate::testing::{Host, LONG, bytes_of, dense};

    #[test]
    fn vectors_are_those_of_the_pool_in_its_order() {
        let host = Host::prepared(dense(100, 0), 10, 4);
        let store = VectorStore::open(&host.dir(ENCODE)).expect("opened");
        assert_eq!(store.rows(), 0..10);
        assert_eq!(store.encoder(), "sum 1");
        let mut numbers = Vec::new();
        store.read(0..10, &mut numbers).expect("read");
        let wanted: Vec<_> = (0..10u8).flat_map(|row| [f32::from(row), 1.0]).collect();
        assert_eq!(numbers, wanted);
    }

    #[test]
    fn vectors_are_stored_in_the_type_asked_for() {
        let sizes = [Kept::F16, Kept::F32, Kept::None].map(|vectors| {
            let mut dense = dense(100, 0);
            dense.config.vectors = vectors;
            let host = Host::prepared(dense, 10, 10);
            let part = host.dir(ENCODE).join(part_name(0, ".safetensors"));
            std::fs::metadata(part).expect("written").len()
        });
        assert_eq!(sizes[1] - sizes[0], 10 * 2 * 2, "two components, two bytes more for each");
        assert_eq!(sizes[2], sizes[0]);
    }

    #[test]
    fn a_unit_run_again_leaves_the_same_bytes() {
        let host = Host::prepared(dense(3, 5), 10, 4);
        for phase in host.phases() {
            for unit in 0..phase.units {
                let first = bytes_of(&host.dir(&phase.name).join(part_name(unit, &phase.suffix)));
                let again = host.dir(&phase.name).with_extension(format!("again-{unit}"));
                host.run_unit(&phase.name, unit, &again).expect("run again");
                assert_eq!(first, bytes_of(&again), "{} {unit}", phase.name);
            }
        }
    }

    #[test]
    fn training_sees_distinct_rows_from_all_over_the_pool() {
        let host = Host::prepared(dense(1000, 50), 1000, 300);
        let codec = bytes_of(&host.dir(TRAIN).join(part_name(0, "")));
        // The fake index leaves its sample as the codec; a row's vector is (row, 1).
        let numbers: Vec<f32> =
            codec[0].1.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let rows: Vec<_> = numbers.as_chunks::<2>().0.iter().map(|&[row, _]| row).collect();
        assert_eq!(rows.len(), 50);
        assert!(rows.is_sorted_by(|a, b| a < b), "each row once, in order");
        for part in 0..4u8 {
            let start = f32::from(part) * 300.0;
            let inside = |row: &&f32| (start..start + 300.0).contains(*row);
            assert!(rows.iter().any(|row| inside(&row)), "none of part {part}");
        }
    }

    #[test]
    fn cut_inputs_are_reported_once_per_unit() {
        let mut host = Host::new(dense(100, 0), 10, 4);
        host.examples[5].input = LONG.to_owned();
        host.prepare();
        assert_eq!(host.logged(), ["1 of 4 inputs of part 1 were cut at 8 tokens"]);
    }

    #[test]
    fn the_host_is_told_of_every_part_whether_inputs_are_cut_or_none() {
        let mut host = Host::new(dense(100, 0), 10, 4);
        host.examples[5].input = LONG.to_owned();
        host.prepare();
        let wanted = [(4, 0), (4, 1), (2, 0)].map(|(texts, truncated)| {
            serde_json::json!({"texts": texts, "truncated": truncated, "limit": 8})
        });
        assert_eq!(host.told(), wanted);
    }
}
