//! Selections: from hits (or without them) to the examples that are trained on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deft_core::{Error, Example, Examples as _, Fingerprint, Result};
use serde::Serialize;

use super::Run;
use super::outputs::Outputs;
use super::retrieve::read_hits;
use crate::manifest::{Policy, Task};
use crate::pool::StoredPool;
use crate::selection::{self, Evidence, QueryHits, Selected};
use crate::store::{self, LineWriter};

/// The selection of one task and arm.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) ids: Vec<usize>,
    /// Of the pool and the ids.
    pub(super) fingerprint: String,
}

/// Selections by task and arm.
pub(super) type Selections = BTreeMap<(String, String), Selection>;

/// A line of `selection.jsonl`: the pool's example, readable by the original's training, with the
/// evidence for it.
#[derive(Serialize)]
struct SelectionLine<'a> {
    #[serde(flatten)]
    example: &'a Example,
    index_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution_frequency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
}

impl Run {
    /// Selects for every task and arm that trains on its selection, and writes what was selected.
    pub(super) fn select_all(&mut self, pool: &StoredPool) -> Result<Selections> {
        let mut selections = Selections::new();
        let order: Vec<String> =
            self.manifest.arm_order()?.into_iter().map(str::to_owned).collect();
        for task in self.manifest.tasks.clone() {
            let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
            for arm in &order {
                if !self.manifest.selects(arm) {
                    continue;
                }
                let selected = self.select(&task, arm, pool, &sizes)?;
                sizes.insert(arm, selected.len());
                let selection = self.write_selection(&task, arm, &selected, pool)?;
                selections.insert((task.name.clone(), arm.clone()), selection);
            }
        }
        Ok(selections)
    }

    fn select(
        &self,
        task: &Task,
        arm: &str,
        pool: &StoredPool,
        sizes: &BTreeMap<&str, usize>,
    ) -> Result<Vec<Selected>> {
        let selection = self.manifest.selection_of(arm);
        Ok(match selection.policy {
            Policy::Union => {
                let hits = read_hits(&self.arm_dir(task, arm))?;
                let selected = selection::union(&hits, selection.size);
                if selected.is_empty() {
                    return Err(nothing_selected(arm, &hits));
                }
                selected
            }
            Policy::All => selection::all(pool.len()),
            Policy::Random => {
                // The arm named by `same_as` comes first in the order.
                let other = selection.same_as.as_deref().and_then(|other| sizes.get(other));
                let size = selection.size.or(other.copied()).unwrap_or(0);
                selection::random(pool.len(), size, self.manifest.seed)
            }
        })
    }

    fn write_selection(
        &self,
        task: &Task,
        arm: &str,
        selected: &[Selected],
        pool: &StoredPool,
    ) -> Result<Selection> {
        let ids: Vec<usize> =
            selected.iter().filter_map(|one| usize::try_from(one.id).ok()).collect();
        // The evidence is in the file, and nothing to a model.
        let mut fingerprint = Fingerprint::new().with(pool.fingerprint());
        let mut with_evidence = Fingerprint::new().with(pool.fingerprint());
        for one in selected {
            fingerprint.add(&one.id.to_le_bytes());
            with_evidence.add(&one.id.to_le_bytes());
            if let Some(Evidence { frequency, score, rank }) = one.evidence {
                with_evidence.add(format!("{frequency} {score} {rank}").as_bytes());
            }
        }
        let (fingerprint, with_evidence) = (fingerprint.short(), with_evidence.short());
        let dir = self.arm_dir(task, arm);
        let mut outputs = Outputs::open(&dir)?;
        let path = dir.join("selection.jsonl");
        let is_current = outputs.has("selection", &with_evidence) && path.exists();
        if is_current {
            log::info!("{}/{arm}: selection of {} is up to date", task.name, ids.len());
        } else {
            outputs.begin("selection", &with_evidence)?;
            store::commit(&path, |path| write_lines(path, selected, &ids, pool))?;
            outputs.note("selection", &with_evidence)?;
            log::info!("{}/{arm}: {} of {} examples selected", task.name, ids.len(), pool.len());
        }
        Ok(Selection { ids, fingerprint })
    }
}

/// Explains an empty union: no hits at all, or more first hits than may be selected.
fn nothing_selected(arm: &str, hits: &[QueryHits]) -> Error {
    let error = Error::option_at(format!("arms.{arm}"), "nothing is selected");
    let first: BTreeSet<u64> = hits.iter().filter_map(|hits| Some(hits.first()?.id)).collect();
    if first.is_empty() {
        return error.with_hint("no query has a hit: look at the queries with `deft read`");
    }
    let count = first.len();
    error.with_hint(format!("the queries have {count} different first hits: raise `size` to that"))
}

fn write_lines(path: &Path, selected: &[Selected], ids: &[usize], pool: &StoredPool) -> Result<()> {
    let mut out = LineWriter::create(path)?;
    for (chunk, ids) in selected.chunks(2048).zip(ids.chunks(2048)) {
        for (one, example) in chunk.iter().zip(pool.get(ids)?) {
            let line = SelectionLine {
                example: &example,
                index_id: one.id,
                attribution_frequency: one.evidence.map(|evidence| evidence.frequency),
                score: one.evidence.map(|evidence| evidence.score),
                rank: one.evidence.map(|evidence| evidence.rank),
            };
            out.write(&line)?;
        }
    }
    out.finish()
}
