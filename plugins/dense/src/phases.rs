//! What must be done before a search: the phases and what they take.

use deft_core::prelude::*;
use serde_json::json;

use crate::retriever::{Dense, ENCODE, INDEX, TRAIN};
use crate::units::CHUNK;

impl Dense {
    /// The phases, in order: no vectors are made that nothing needs.
    pub(crate) fn phases_of(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        let info = self.index.info();
        let mut phases = Vec::new();
        if self.encodes(&info) {
            phases.push(self.encode_phase(pool));
        }
        let costs = Costs::of(self, pool)?;
        if info.training_vectors > 0 && !info.ready {
            phases.push(self.train_phase(ctx, pool));
        }
        phases.push(self.index_phase(ctx, pool, &costs));
        Ok(phases)
    }

    /// Whether the pool is encoded: for the index, or to be kept beside one that is there already.
    fn encodes(&self, info: &IndexInfo) -> bool {
        !info.ready || self.config.vectors.stay()
    }

    // Costs are relative to encoding one text, which a model's forward pass makes dear.

    fn encode_phase(&self, pool: &Pool<'_>) -> Phase {
        let EncoderInfo { fingerprint, dimension, .. } = self.encoder.info();
        let bytes_per_row = self.config.vectors.stored_as().bytes_per_row(dimension);
        Phase {
            name: ENCODE.to_owned(),
            artefact: folder_name(&self.encoder_name),
            fingerprint: json!({ "encoder": fingerprint, "vectors": self.config.vectors })
                .to_string(),
            units: pool.parts(),
            suffix: ".safetensors".to_owned(),
            threads: 0,
            cost: pool.examples.len() as f64,
            disk: Some((pool.examples.len() * bytes_per_row) as u64),
            memory: Some((CHUNK * dimension * size_of::<f32>()) as u64),
            search_memory: Some(0),
            temporary: !self.config.vectors.stay(),
            ..Phase::default()
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
            // A codec is small beside the sample that it is trained on.
            disk: None,
            memory: Some((rows * self.encoder.info().dimension * size_of::<f32>()) as u64),
            search_memory: Some(0),
            ..Phase::default()
        }
    }

    fn index_phase(&self, ctx: &Context<'_>, pool: &Pool<'_>, costs: &Costs) -> Phase {
        // A builder may draw from the seed, too.
        let mut fingerprint = json!({
            "index": self.index_identity,
            "rows_per_unit": self.config.rows_per_unit,
            "seed": ctx.seed(),
        });
        if !self.encodes(&self.index.info()) {
            // There is no earlier phase that tells.
            fingerprint["encoder"] = json!(self.encoder.info().fingerprint);
        }
        Phase {
            name: INDEX.to_owned(),
            artefact: folder_name(&self.index_name),
            fingerprint: fingerprint.to_string(),
            units: self.index_units(pool),
            suffix: String::new(),
            threads: 1,
            cost: 0.01 * pool.examples.len() as f64,
            disk: costs.sum(|cost| cost.disk),
            memory: costs.whole.build_memory,
            search_memory: costs.search_memory(ctx.threads()),
            ..Phase::default()
        }
    }
}

/// What the index's units take: all but the last have equally many rows.
struct Costs {
    /// The number of those that have, and what each of them takes.
    wholes: u64,
    whole: IndexCost,
    last: IndexCost,
}

impl Costs {
    fn of(dense: &Dense, pool: &Pool<'_>) -> Result<Self> {
        let dimension = dense.encoder.info().dimension;
        let last_unit = dense.index_units(pool) - 1;
        let shape = |unit| IndexShape { rows: dense.rows_of_unit(unit, pool).len(), dimension };
        let cost = |unit| dense.index.cost(shape(unit));
        Ok(Self { wholes: last_unit as u64, whole: cost(0)?, last: cost(last_unit)? })
    }

    fn sum(&self, of: impl Fn(&IndexCost) -> Option<u64>) -> Option<u64> {
        Some(of(&self.whole)? * self.wholes + of(&self.last)?)
    }

    fn search_memory(&self, threads: usize) -> Option<u64> {
        let held = self.sum(|cost| cost.search_memory)?;
        Some(held + self.whole.thread_memory.unwrap_or(0) * threads as u64)
    }
}

/// A component's name as a folder's: `task/variant` has a separator.
fn folder_name(component: &str) -> String {
    component.replace('/', "-")
}

#[cfg(test)]
mod tests {
    use deft_core::NoServices;

    use super::*;
    use crate::config::Kept;
    use crate::testing::{Flat, dense, dense_over, pool_of};

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
    fn phases_tell_what_they_take_by_the_encoders_dimension_and_the_indexs_word() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 2);
        let phases = dense(3, 5).phases(&ctx, &pool).expect("phases");
        let takes: Vec<_> = phases.iter().map(|p| (p.disk, p.memory, p.search_memory)).collect();
        // Two components: f16 on disk; 1,024 rows, or the sample, or a unit of three, as f32.
        let wanted = [
            (Some(10 * 2 * 2), Some(1024 * 2 * 4), Some(0)),
            (None, Some(5 * 2 * 4), Some(0)),
            (Some(10 * 2 * 4), Some(3 * 2 * 4), Some(10 * 2 * 4 + 2)),
        ];
        assert_eq!(takes, wanted);
    }

    #[test]
    fn vectors_that_are_not_kept_are_temporary_and_in_a_stage_of_their_own() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 1);
        let mut dense = dense(3, 5);
        let kept = dense.phases(&ctx, &pool).expect("phases");
        assert!(kept.iter().all(|phase| !phase.temporary));
        dense.config.vectors = Kept::None;
        let phases = dense.phases(&ctx, &pool).expect("phases");
        let temporary: Vec<_> = phases.iter().map(|phase| phase.temporary).collect();
        assert_eq!(temporary, [true, false, false]);
        assert_ne!(phases[0].fingerprint, kept[0].fingerprint);
        assert_eq!(phases[0].disk, kept[0].disk);
    }

    #[test]
    fn an_index_that_is_there_is_one_unit_and_encoded_for_only_where_vectors_are_kept() {
        let examples = pool_of(10);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        let ctx = Context::new(&NoServices, 7, 1);
        let ready = Flat { ready: true, training_vectors: 5, ..Flat::default() };
        let mut dense = dense_over(3, ready);
        let phases = dense.phases(&ctx, &pool).expect("phases");
        assert_eq!(names(&phases), [("encode", "sum", 3), ("index", "flat", 1)]);
        dense.config.vectors = Kept::None;
        let phases = dense.phases(&ctx, &pool).expect("phases");
        assert_eq!(names(&phases), [("index", "flat", 1)]);
        // No other phase says which encoder its queries are for.
        assert!(phases[0].fingerprint.contains("sum 1"), "{}", phases[0].fingerprint);
    }
}
