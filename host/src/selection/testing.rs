//! Hits and ids for the tests of policies.

use deft_core::Hit;
use proptest::prelude::*;

use super::{QueryHits, Selected};

/// Lists of these ids, with scores that fall by a tenth.
pub(super) fn hits(ids: &[&[u64]]) -> Vec<QueryHits> {
    let score = |rank: usize| 1.0 - rank as f32 / 10.0;
    let query = |ids: &&[u64]| {
        ids.iter().enumerate().map(|(rank, &id)| Hit { id, score: score(rank) }).collect()
    };
    ids.iter().map(query).collect()
}

/// The ids of a selection, in its order.
pub(super) fn ids(selected: &[Selected]) -> Vec<u64> {
    selected.iter().map(|one| one.id).collect()
}

/// Up to eight hit lists of up to a dozen of thirty examples, with many ties.
pub(super) fn random_hits() -> impl Strategy<Value = Vec<QueryHits>> {
    let hit = (0..30_u64, 0..5_u8).prop_map(|(id, score)| Hit { id, score: f32::from(score) });
    let list = proptest::collection::vec(hit, 0..12).prop_map(|mut hits| {
        hits.sort_by_key(|hit| hit.id);
        hits.dedup_by_key(|hit| hit.id);
        hits.sort_by(Hit::rank_order);
        hits
    });
    proptest::collection::vec(list, 0..8)
}
