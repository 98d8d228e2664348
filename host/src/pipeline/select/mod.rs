//! Selections: from hits (or without them) to the examples that are trained on.

mod admission;
mod candidates;
mod files;

use std::collections::BTreeMap;

use deft_core::{Error, Examples as _, Fingerprint, Result};

use self::admission::{Admission, Contaminated, EvaluationInputs};
use super::Run;
use super::outputs::Outputs;
use crate::manifest::{ContaminationCheck, Duplicates, Selection as Rule, Task};
use crate::pool::{StoredPool, spread};
use crate::selection::{Evidence, Selected, SelectionSummary};

/// Rows of the pool that are looked at for what many inputs share.
const LEARNED_FROM: usize = 10_000;

/// The selection of one task and arm.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) ids: Vec<usize>,
    /// Of the pool and the ids.
    pub(super) fingerprint: String,
}

/// Selections by task and arm.
pub(super) type Selections = BTreeMap<(String, String), Selection>;

/// What was selected, in pool order, and what is to be told of it.
#[derive(Debug)]
struct Chosen {
    selected: Vec<Selected>,
    summary: SelectionSummary,
    contaminated: Vec<Contaminated>,
}

impl Run {
    /// Selects for every task and arm that trains on its selection, and writes what was selected.
    pub(super) fn select_all(&mut self, pool: &StoredPool) -> Result<Selections> {
        let mut selections = Selections::new();
        let order: Vec<String> =
            self.manifest.arm_order()?.into_iter().map(str::to_owned).collect();
        for task in self.manifest.tasks.clone() {
            let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
            // One for each way to compare; most manifests have one.
            let mut compared: Vec<EvaluationInputs> = Vec::new();
            for arm in &order {
                if !self.manifest.selects(arm) {
                    continue;
                }
                let check = self.manifest.selection_of(arm).contamination;
                let evaluation = self.evaluation_inputs(&task, check, &mut compared)?;
                let evaluation = evaluation.map(|place| &compared[place]);
                let chosen = self.select(&task, arm, pool, &sizes, evaluation)?;
                sizes.insert(arm, chosen.selected.len());
                let selection = self.write_selection(&task, arm, chosen, pool)?;
                selections.insert((task.name.clone(), arm.clone()), selection);
            }
        }
        Ok(selections)
    }

    /// The place of a task's evaluation inputs, compared in this way; none without a source of them.
    fn evaluation_inputs(
        &mut self,
        task: &Task,
        check: ContaminationCheck,
        compared: &mut Vec<EvaluationInputs>,
    ) -> Result<Option<usize>> {
        let Some(source) = &task.evaluation_source else { return Ok(None) };
        if let Some(place) = compared.iter().position(|of| of.check == check) {
            return Ok(Some(place));
        }
        let (examples, _) = self.read_source(task, "evaluation", source)?;
        compared.push(EvaluationInputs::new(examples, check));
        Ok(Some(compared.len() - 1))
    }

    fn select(
        &mut self,
        task: &Task,
        arm: &str,
        pool: &StoredPool,
        sizes: &BTreeMap<&str, usize>,
        evaluation: Option<&EvaluationInputs>,
    ) -> Result<Chosen> {
        let rule = self.manifest.selection_of(arm).clone();
        let mut admission = Admission::new(&rule, evaluation);
        if rule.duplicates == Duplicates::Near {
            let rows: Vec<usize> = spread(pool.len(), LEARNED_FROM).collect();
            admission.learn(&pool.inputs(&rows)?);
        }
        let mut selected = self.candidates(task, arm, pool, sizes, &mut admission)?;
        let path = self.manifest.selection_path(arm);
        selected.sort_unstable_by_key(|one| one.id);
        admission
            .settle(&selected, &format!("{path}.contamination"))
            .map_err(|error| error.with_context("task", &task.name).with_context("arm", arm))?;
        let summary = SelectionSummary {
            pool: pool.fingerprint().to_owned(),
            policy: rule.policy.name().to_owned(),
            wanted: wanted(&rule),
            size: selected.len(),
            dropped: admission.dropped,
            contamination: admission.summary(),
            ..SelectionSummary::default()
        };
        Ok(Chosen { selected, summary, contaminated: admission.contaminated })
    }

    fn write_selection(
        &self,
        task: &Task,
        arm: &str,
        chosen: Chosen,
        pool: &StoredPool,
    ) -> Result<Selection> {
        let Chosen { selected, summary, contaminated } = chosen;
        let ids: Vec<usize> =
            selected.iter().filter_map(|one| usize::try_from(one.id).ok()).collect();
        // The evidence is in the file, and nothing to a model.
        let mut fingerprint = Fingerprint::new().with(pool.fingerprint());
        let mut of_files = Fingerprint::new().with(pool.fingerprint());
        for one in &selected {
            fingerprint.add(&one.id.to_le_bytes());
            of_files.add(&one.id.to_le_bytes());
            if let Some(Evidence { frequency, score, rank }) = one.evidence {
                of_files.add(format!("{frequency} {score} {rank}").as_bytes());
            }
        }
        let of_files = of_files.with(files::told(&summary, &contaminated)?);
        let (fingerprint, of_files) = (fingerprint.short(), of_files.short());
        let dir = self.arm_dir(task, arm);
        let name = format!("{}/{arm}", task.name);
        let mut outputs = Outputs::open(&dir)?;
        if outputs.has("selection", &of_files) && files::are_there(&dir) {
            log::info!("{name}: selection of {} is up to date", ids.len());
        } else {
            outputs.begin("selection", &of_files)?;
            files::write(&dir, &selected, &ids, summary.clone(), &contaminated, pool)?;
            outputs.note("selection", &of_files)?;
            log::info!("{name}: {} of {} examples selected", ids.len(), pool.card().rows);
        }
        tell(&name, &summary);
        Ok(Selection { ids, fingerprint })
    }
}

/// How much was asked for, as the manifest says it.
fn wanted(rule: &Rule) -> Option<String> {
    let said = |name: &str, value: String| format!("{name}: {value}");
    rule.size
        .map(|size| said("size", size.to_string()))
        .or_else(|| rule.share.map(|share| said("share", share.to_string())))
        .or_else(|| rule.target_words.map(|words| said("target_words", words.to_string())))
        .or_else(|| rule.same_as.clone().map(|arm| said("same_as", arm)))
}

/// Tells what was left out, where anything was.
fn tell(name: &str, summary: &SelectionSummary) {
    let dropped = &summary.dropped;
    let told: Vec<String> = [
        (dropped.contaminated, "with an evaluation input"),
        (dropped.exact_duplicate, "taken before"),
        (dropped.near_duplicate, "nearly taken before"),
        (dropped.cap, "beyond `max_per_dataset`"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if !told.is_empty() {
        log::info!("{name}: left out: {}", told.join(", "));
    }
    if let Some(of) = &summary.contamination
        && of.found > 0
        && dropped.contaminated == 0
    {
        log::warn!("{name}: {} of the examples contain an evaluation input", of.found);
    }
}

/// Explains that an arm has nothing to train on.
fn nothing_selected(task: &str, arm: &str, why: &str) -> Error {
    Error::option_at(format!("arms.{arm}"), "nothing is selected")
        .with_context("task", task)
        .with_hint(why)
}
