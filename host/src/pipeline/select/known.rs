//! What a selection follows from, and whether an earlier run's is still the same.

use std::path::Path;

use deft_core::{ErrorKind, Fingerprint, Result, ResultExt};

use super::super::Run;
use super::super::outputs::Outputs;
use super::super::retrieve;
use super::{Case, SELECTION, Selection, files};
use crate::manifest::Selection as Rule;
use crate::pool::StoredPool;
use crate::selection::SelectionSummary;

impl Run {
    /// Fingerprint of everything that an arm's selection for a task follows from: going through the
    /// pool once more would give the same.
    ///
    /// `outputs` are those of the arm.
    pub(super) fn basis(&self, case: Case<'_>, outputs: &Outputs) -> Result<String> {
        let Case { arm, pool, sizes, evaluation, .. } = case;
        let rule = self.manifest.selection_of(arm);
        let mut basis = Fingerprint::new()
            .with(env!("CARGO_PKG_VERSION"))
            .with(pool.fingerprint())
            .with(self.manifest.seed.to_string())
            .with(what_selects(rule)?);
        if let Some(size) = rule.same_as.as_deref().and_then(|other| sizes.get(other)) {
            basis = basis.with(size.to_string());
        }
        if let Some(ids) = &rule.ids {
            basis = basis.with(self.hash_files(&[self.document.dir().join(ids)])?.0);
        }
        if rule.policy.needs_hits() {
            basis = basis.with(outputs.value(retrieve::HITS).unwrap_or_default());
        }
        if let Some(evaluation) = evaluation {
            basis = basis.with(&evaluation.fingerprint);
        }
        Ok(basis.short())
    }
}

/// The options of a selection, but for those that change hits: these are in the hits.
fn what_selects(rule: &Rule) -> Result<String> {
    let of_recall = Rule::default();
    let rule = Rule {
        recall_queries: of_recall.recall_queries,
        min_recall: of_recall.min_recall,
        below_min_recall: of_recall.below_min_recall,
        ..rule.clone()
    };
    serde_json::to_string(&rule).or_error(ErrorKind::Unexpected, "the selection is no JSON")
}

/// What is noted of a selection: what it followed from, and what it is.
pub(super) fn note(basis: &str, selection: &Selection) -> String {
    format!("{basis} {}", selection.fingerprint)
}

/// The selection that an earlier run left, if it followed from the same and its files tell the same
/// ids as then.
pub(super) fn known_selection(
    dir: &Path,
    outputs: &Outputs,
    basis: &str,
    pool: &StoredPool,
) -> Option<(Selection, SelectionSummary)> {
    let noted = outputs.value(SELECTION)?;
    if !noted.starts_with(basis) {
        return None;
    }
    let (ids, summary) = files::read(dir)?;
    let selection = Selection::new(ids, pool);
    (noted == note(basis, &selection)).then_some((selection, summary))
}
