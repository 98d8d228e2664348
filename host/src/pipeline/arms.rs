//! What an arm needs.

use crate::manifest::Manifest;

/// Whether an arm's selection is made from hits, and is wanted at all.
pub(super) fn needs_hits(manifest: &Manifest, arm: &str) -> bool {
    manifest.selects(arm) && manifest.selection_of(arm).policy.needs_hits()
}

/// Whether an arm ends with a model of its own.
pub(super) fn has_model(manifest: &Manifest, arm: &str) -> bool {
    manifest.trainer_of(arm).is_some_and(|(block, _)| !block.is_none())
}

/// Whether anything is trained, so that arms are evaluated, that without training among them.
pub(super) fn is_evaluated(manifest: &Manifest, arm: &str) -> bool {
    let base = manifest.trainer.as_ref().is_some_and(|block| !block.is_none());
    base || has_model(manifest, arm)
}
