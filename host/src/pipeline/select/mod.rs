//! Selections: from hits (or without them) to the examples that are trained on.

mod admission;
mod candidates;
mod files;
mod known;

use std::collections::BTreeMap;

use deft_core::{Error, Examples as _, Fingerprint, Result};

use self::admission::{Admission, Contaminated, EvaluationInputs};
use super::Run;
use super::outputs::Outputs;
use crate::manifest::{ContaminationCheck, Duplicates, Selection as Rule, Task};
use crate::pool::{StoredPool, spread};
use crate::selection::{Selected, SelectionSummary};

/// The output's name in the card.
const SELECTION: &str = "selection";

/// Rows of the pool that are looked at for what many inputs share.
const LEARNED_FROM: usize = 10_000;

/// The selection of one task and arm.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) ids: Vec<usize>,
    /// Of the pool and the ids.
    pub(super) fingerprint: String,
}

impl Selection {
    fn new(ids: Vec<usize>, pool: &StoredPool) -> Self {
        let mut fingerprint = Fingerprint::new().with(pool.fingerprint());
        for &id in &ids {
            fingerprint.add(&(id as u64).to_le_bytes());
        }
        Self { ids, fingerprint: fingerprint.short() }
    }
}

/// Selections by task and arm.
pub(super) type Selections = BTreeMap<(String, String), Selection>;

/// What a selection is made for, and of.
#[derive(Clone, Copy)]
struct Case<'a> {
    task: &'a Task,
    arm: &'a str,
    pool: &'a StoredPool,
    /// Examples that the arms before it have for the task.
    sizes: &'a BTreeMap<&'a str, usize>,
    /// The task's evaluation inputs, where it has a source of them.
    evaluation: Option<&'a EvaluationInputs>,
}

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
                let case = Case { task: &task, arm, pool, sizes: &sizes, evaluation };
                let selection = self.select(case)?;
                sizes.insert(arm, selection.ids.len());
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
        let (examples, fingerprint) = self.read_source(task, "evaluation", source)?;
        compared.push(EvaluationInputs::new(examples, fingerprint.short(), check));
        Ok(Some(compared.len() - 1))
    }

    /// Selects and writes what was selected, unless an earlier run left just that.
    fn select(&mut self, case: Case<'_>) -> Result<Selection> {
        let Case { task, arm, pool, .. } = case;
        let (name, dir) = (format!("{}/{arm}", task.name), self.arm_dir(task, arm));
        let mut outputs = Outputs::open(&dir)?;
        let basis = self.basis(case, &outputs)?;
        if let Some((selection, summary)) = known::known_selection(&dir, &outputs, &basis, pool) {
            log::info!("{name}: selection of {} is up to date", selection.ids.len());
            tell(&name, &summary);
            return Ok(selection);
        }
        let Chosen { selected, summary, contaminated } = self.choose(case)?;
        let ids = selected.iter().filter_map(|one| usize::try_from(one.id).ok()).collect();
        let selection = Selection::new(ids, pool);
        let note = known::note(&basis, &selection);
        outputs.begin(SELECTION, &note)?;
        files::write(&dir, &selected, &selection.ids, summary.clone(), &contaminated, pool)?;
        outputs.note(SELECTION, &note)?;
        log::info!("{name}: {} of {} examples selected", selected.len(), pool.card().rows);
        tell(&name, &summary);
        Ok(selection)
    }

    /// What the arm's policy selects, in pool order.
    fn choose(&mut self, case: Case<'_>) -> Result<Chosen> {
        let Case { task, arm, pool, evaluation, .. } = case;
        let rule = self.manifest.selection_of(arm).clone();
        let mut admission = Admission::new(&rule, evaluation);
        if rule.duplicates == Duplicates::Near {
            let rows: Vec<usize> = spread(pool.len(), LEARNED_FROM).collect();
            admission.learn(&pool.inputs(&rows)?);
        }
        let mut selected = self.candidates(case, &mut admission)?;
        let path = self.manifest.selection_path(arm);
        selected.sort_unstable_by_key(|one| one.id);
        if let Err(error) = admission.settle(&selected, &format!("{path}.contamination")) {
            let dir = self.arm_dir(task, arm);
            let list = files::write_refused(&dir, &admission.contaminated)?;
            return Err(error
                .with_context("task", &task.name)
                .with_context("arm", arm)
                .with_context("all of them", list.display()));
        }
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
