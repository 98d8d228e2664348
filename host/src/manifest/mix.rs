//! What an arm trains on: its `train_on`.

use deft_core::schemars::JsonSchema;
use deft_core::{Error, Result, excerpt};
use serde::de::{self, IntoDeserializer as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{HashMap, HashSet};

use super::either::{TextOrMap, text_or_map};
use super::{Arm, Block, Manifest, Task};

/// The largest weight: an epoch's order is held in memory.
const MAX_WEIGHT: f64 = 1000.0;

/// Instead of a name: this arm's selection, the task that is trained for.
const OWN: &str = "own";

/// A part of what an arm trains on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(crate = "deft_core::schemars")]
pub enum MixPart {
    /// The arm's own selection, or the task's own examples.
    Own(OwnPart),
    /// What is named, so many times.
    Named(NamedPart),
}

/// A part that needs no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "deft_core::schemars")]
pub enum OwnPart {
    /// The arm's own selection.
    Selection,
    /// The task's own `training_source`.
    Task,
}

/// A part by name: either `selection` or `task`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct NamedPart {
    /// Name of an arm, this one (or `own`) or another: what it selects for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// Name of a task, or `own` for the one that is trained for: its `training_source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How many times each of its examples comes in an epoch; above 0. 2.5 is every example twice
    /// and a half of them, drawn by the training seed, a third time.
    #[schemars(range(max = 1000), extend("exclusiveMinimum" = 0))]
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// Take only the first so many of its examples.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

fn default_weight() -> f64 {
    1.0
}

/// Where the examples of a part come from, for one arm and task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartSource<'a> {
    /// What this arm selects for the task.
    Selection(&'a str),
    /// The training source of this task.
    Task(&'a str),
}

impl MixPart {
    /// Where its examples come from when `arm` trains for `task`.
    pub fn source<'a>(&'a self, arm: &'a str, task: &'a str) -> PartSource<'a> {
        match self {
            Self::Own(OwnPart::Selection) => PartSource::Selection(arm),
            Self::Own(OwnPart::Task) => PartSource::Task(task),
            Self::Named(NamedPart { selection: Some(named), .. }) => {
                PartSource::Selection(if named == OWN { arm } else { named })
            }
            Self::Named(part) => {
                let named = part.task.as_deref().filter(|named| *named != OWN);
                PartSource::Task(named.unwrap_or(task))
            }
        }
    }

    /// How many times each of its examples comes in an epoch.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Own(_) => default_weight(),
            Self::Named(part) => part.weight,
        }
    }

    /// The number of its first examples that are taken, if not all.
    pub fn limit(&self) -> Option<usize> {
        match self {
            Self::Own(_) => None,
            Self::Named(part) => part.limit,
        }
    }
}

impl<'de> Deserialize<'de> for MixPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map(deserializer)
    }
}

impl TextOrMap for MixPart {
    type Map = NamedPart;

    const EXPECTED: &'static str = "`selection`, `task`, or a map with one of them";

    fn of_text<E: de::Error>(word: &str) -> Result<Self, E> {
        OwnPart::deserialize(word.into_deserializer()).map(Self::Own)
    }

    fn of_map(part: NamedPart) -> Self {
        Self::Named(part)
    }
}

impl NamedPart {
    fn check(&self) -> Result<()> {
        if self.selection.is_some() == self.task.is_some() {
            return Err(Error::option_at("", "a part is either a `selection` or a `task`")
                .with_hint("`{ selection: ARM }` or `{ task: NAME }`; mix them as two parts"));
        }
        let is_weight = self.weight > 0.0 && self.weight <= MAX_WEIGHT;
        if !is_weight {
            let message =
                format!("must be above 0 and at most {MAX_WEIGHT} (weight: {})", self.weight);
            return Err(Error::option_at("weight", message));
        }
        if self.limit == Some(0) {
            return Err(Error::option_at("limit", "must be at least 1"));
        }
        Ok(())
    }
}

/// What an arm trains on if it does not say.
static DEFAULT: [MixPart; 1] = [MixPart::Own(OwnPart::Selection)];

impl Manifest {
    /// What an arm trains on.
    pub fn parts_of(&self, arm: &str) -> &[MixPart] {
        self.arms[arm].train_on.as_deref().unwrap_or(&DEFAULT)
    }

    /// Whether an arm makes a selection: it trains, and its own selection is among what it trains
    /// on.
    pub fn selects(&self, arm: &str) -> bool {
        let trains = self.trainer_of(arm).is_none_or(|(block, _)| !block.is_none());
        let is_own = |part: &MixPart| part.source(arm, "") == PartSource::Selection(arm);
        trains && self.parts_of(arm).iter().any(is_own)
    }

    /// The arms that come before this one: that whose size it takes, and those whose selections it
    /// trains on.
    pub(super) fn arms_before<'a>(&'a self, arm: &'a str) -> impl Iterator<Item = &'a str> {
        let same_as = self.selection_of(arm).same_as.as_deref().filter(|_| self.selects(arm));
        let others = self.parts_of(arm).iter().filter_map(|part| match part {
            MixPart::Named(NamedPart { selection: Some(other), .. }) => Some(other.as_str()),
            _ => None,
        });
        same_as.into_iter().chain(others.filter(move |other| *other != arm && *other != OWN))
    }
}

/// What the checks of arms look up.
pub(super) struct Known<'a> {
    manifest: &'a Manifest,
    /// A task without queries.
    pub(super) unsearched: Option<&'a str>,
    /// A task without training examples of its own.
    untaught: Option<&'a str>,
    /// Whether a task has training examples of its own.
    tasks: HashMap<&'a str, bool>,
    /// The arms that make a selection.
    selecting: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Self {
        let tasks = manifest.tasks.as_slice();
        let has_own = |task: &Task| task.training_source.is_some();
        let name = |task: &'a Task| task.name.as_str();
        Self {
            manifest,
            unsearched: tasks.iter().find(|task| task.query_source.is_none()).map(name),
            untaught: tasks.iter().find(|task| !has_own(task)).map(name),
            tasks: tasks.iter().map(|task| (name(task), has_own(task))).collect(),
            selecting: manifest
                .arms
                .keys()
                .map(String::as_str)
                .filter(|arm| manifest.selects(arm))
                .collect(),
        }
    }

    /// Whether an arm makes a selection.
    pub(super) fn selects(&self, arm: &str) -> bool {
        self.selecting.contains(arm)
    }

    /// Checks that there is an arm of the name that an option has.
    pub(super) fn check_arm_is_there(&self, option: &str, name: &str) -> Result<()> {
        let arms = &self.manifest.arms;
        if arms.contains_key(name) {
            return Ok(());
        }
        Err(nothing_called(option, "arm", name, arms.keys().map(String::as_str)))
    }

    /// Checks that the arm that an option names makes a selection.
    pub(super) fn check_arm_selects(&self, option: &str, name: &str) -> Result<()> {
        self.check_arm_is_there(option, name)?;
        if self.selects(name) {
            return Ok(());
        }
        Err(Error::option_at(option, format!("arm `{name}` makes no selection"))
            .with_hint("it trains on nothing, or on something else than its own selection"))
    }

    /// Checks what an arm trains on.
    pub(super) fn check_mix(&self, arm: &Arm) -> Result<()> {
        let Some(parts) = &arm.train_on else { return Ok(()) };
        let refused = |message: &str| Err(Error::option_at("train_on", message));
        if self.manifest.arms.contains_key(OWN) || self.tasks.contains_key(OWN) {
            return refused("`own` is this arm or task: give the one of that name another");
        }
        if arm.trainer.as_ref().is_some_and(Block::is_none) {
            return refused("this arm does not train: leave `train_on` or `trainer: none` out");
        }
        if parts.is_empty() {
            return refused("needs at least one part: `selection` or `task`");
        }
        for (i, part) in parts.iter().enumerate() {
            self.check_part(part)
                .map_err(|error| error.within_option(&format!("train_on[{i}]")))?;
        }
        Ok(())
    }

    fn check_part(&self, part: &MixPart) -> Result<()> {
        match part {
            MixPart::Own(OwnPart::Selection) => Ok(()),
            MixPart::Own(OwnPart::Task) => self.check_own_tasks(""),
            MixPart::Named(part) => {
                part.check()?;
                match (part.selection.as_deref(), part.task.as_deref()) {
                    (Some(OWN), _) => Ok(()),
                    (Some(arm), _) => self.check_arm_selects("selection", arm),
                    (None, Some(OWN)) => self.check_own_tasks("task"),
                    (None, task) => task.map_or(Ok(()), |task| self.check_task(task)),
                }
            }
        }
    }

    /// Checks that every task has training examples of its own.
    fn check_own_tasks(&self, option: &str) -> Result<()> {
        self.untaught.map_or(Ok(()), |task| {
            let message = format!("`task` needs `training_source` in task `{task}`");
            Err(Error::option_at(option, message))
        })
    }

    fn check_task(&self, name: &str) -> Result<()> {
        match self.tasks.get(name) {
            Some(true) => Ok(()),
            Some(false) => {
                let message = format!("task `{name}` has no `training_source`");
                Err(Error::option_at("task", message))
            }
            None => Err(nothing_called("task", "task", name, self.tasks.keys().copied())),
        }
    }
}

/// The error for a name that nothing has, with the nearest one that something has.
fn nothing_called<'a>(
    option: &str,
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str>,
) -> Error {
    let shown = excerpt(name);
    let error = Error::option_at(option, format!("there is no {what} `{shown}`"));
    match deft_core::options::nearest(&shown, names) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::load;
    use super::*;

    const HEAD: &str = "version: 1\nname: x\nplugins: []\npool: [{ reader: p3, source: a }]\n\
                        retriever: bm25\ntasks:\n\
                        \x20 - { name: taught, reader: p3, query_source: q, training_source: t }\n";

    fn with_arms(arms: &str) -> String {
        format!("{HEAD}arms:\n{arms}")
    }

    /// These arms are refused at the place of a text, with these words.
    fn check_refused(arms: &str, place: &str, message: &str) {
        let text = with_arms(arms);
        let error = load(&text).expect_err(arms);
        let (line, column) = text
            .lines()
            .enumerate()
            .find_map(|(line, words)| Some((line + 1, words.find(place)? + 1)))
            .unwrap();
        let at = error.context("at").unwrap();
        assert!(at.ends_with(&format!("m.yaml:{line}:{column}")), "{error} for {arms}");
        assert!(error.message().contains(message), "{error} for {arms}");
    }

    #[test]
    fn parts_are_words_or_maps_and_the_arms_own_selection_if_none_are_named() {
        let arms = "  a: {}\n  b: { train_on: [selection, task, { selection: a, limit: 7 }, \
                    { task: taught, weight: 2.5 }, { task: own }, { selection: own }] }\n";
        let (manifest, _) = load(&with_arms(arms)).unwrap();
        let found = |arm: &'static str| -> Vec<_> {
            let parts = manifest.parts_of(arm).iter();
            parts.map(|part| (part.source(arm, "theirs"), part.weight(), part.limit())).collect()
        };
        assert_eq!(found("a"), [(PartSource::Selection("a"), 1.0, None)]);
        let wanted = [
            (PartSource::Selection("b"), 1.0, None),
            (PartSource::Task("theirs"), 1.0, None),
            (PartSource::Selection("a"), 1.0, Some(7)),
            (PartSource::Task("taught"), 2.5, None),
            (PartSource::Task("theirs"), 1.0, None),
            (PartSource::Selection("b"), 1.0, None),
        ];
        assert_eq!(found("b"), wanted);
        // What a run writes down can be read again.
        let written = serde_yaml::to_string(&manifest).unwrap();
        assert_eq!(load(&written).unwrap().0.parts_of("b"), manifest.parts_of("b"));
    }

    #[test]
    fn an_arm_selects_if_it_trains_on_its_own_selection() {
        let arms = "  a: {}\n  b: { train_on: [task] }\n  c: { train_on: [{ selection: a }] }\n  \
                    d: { train_on: [task, { selection: d }] }\n  e: { trainer: none }\n";
        let (manifest, _) = load(&with_arms(arms)).unwrap();
        let selects = ["a", "b", "c", "d", "e"].map(|arm| manifest.selects(arm));
        assert_eq!(selects, [true, false, false, true, false]);
    }

    #[test]
    fn wrong_parts_are_refused_at_their_place() {
        for (parts, place, message) in [
            ("[{ selection: aa }]", "selection: aa", "there is no arm `aa`"),
            ("[{ task: tought }]", "task: tought", "there is no task `tought`"),
            ("[task, { task: taught, weight: 0 }]", "weight", "must be above 0"),
            ("[{ task: taught, weight: -1 }]", "weight", "must be above 0"),
            ("[{ task: taught, weight: 1001 }]", "weight", "at most 1000"),
            ("[{ task: taught, weight: lots }]", "weight", "expected a number"),
            ("[{ task: taught, wait: 2 }]", "wait", "unknown option `wait`"),
            ("[{ task: taught, limit: 0 }]", "limit", "must be at least 1"),
            ("[{ selection: a, task: taught }]", "{ selection: a", "either a `selection` or a"),
            ("[{ weight: 2 }]", "{ weight", "either a `selection` or a"),
            ("[tusk]", "tusk", "unknown value `tusk`"),
            ("[3]", "3]", "expected `selection`, `task`, or a map"),
            ("[{ selection: none }]", "selection: none", "arm `none` makes no selection"),
            ("[{ selection: apart }]", "selection: apart", "arm `apart` makes no selection"),
            ("[]", "train_on: []", "needs at least one part"),
            ("task", "train_on: task", "expected a list"),
            ("[task], trainer: none", "train_on: [task], ", "this arm does not train"),
        ] {
            let arms = format!(
                "  a: {{}}\n  b: {{ train_on: {parts} }}\n  none: {{ trainer: none }}\n  \
                 apart: {{ train_on: [task] }}\n"
            );
            check_refused(&arms, place, message);
        }
    }

    #[test]
    fn a_task_without_training_source_is_named_where_it_is_trained_on() {
        let task = "  - { name: untaught, reader: p3, query_source: q }\narms:";
        for (part, place) in
            [("task", "task, selection"), ("{ task: untaught }", "task: untaught }")]
        {
            let arms = format!("  a: {{ train_on: [{part}, selection] }}\n");
            let text = with_arms(&arms).replace("arms:", task);
            let error = load(&text).expect_err(part);
            assert!(error.message().contains("`training_source`"), "{error}");
            assert!(error.message().contains("`untaught`"), "{error}");
            let column = text.lines().last().unwrap().find(place).unwrap() + 1;
            assert!(error.context("at").unwrap().ends_with(&format!("m.yaml:10:{column}")));
        }
    }

    #[test]
    fn an_arm_without_selection_needs_neither_retriever_nor_queries() {
        let arms = "  a: { train_on: [task] }\n";
        let text =
            with_arms(arms).replace("retriever: bm25\n", "").replace("query_source: q, ", "");
        load(&text).unwrap();
        let error = load(&text.replace("[task]", "[task, selection]")).unwrap_err();
        assert!(error.message().contains("needs a `retriever`"), "{error}");
    }
}
