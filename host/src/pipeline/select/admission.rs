//! Which examples may be selected: no more of a data set than it may give, no input twice, none that
//! gives an evaluation input away.

use std::collections::{HashMap, HashSet};

use deft_core::{Error, Example, Fingerprint, Provenance, Result};
use serde::Serialize;

use super::super::splits::Taken;
use crate::manifest::{ContaminationAction, ContaminationCheck, Duplicates, Selection};
use crate::overlap::contamination::{Contamination, ContaminationOptions, Match};
use crate::overlap::near::NearDuplicates;
use crate::selection::{Admit, ContaminationSummary, Dropped, Selected};

/// The share of word runs from which on two inputs are nearly the same.
const NEAR: f64 = 0.7;

/// A pool example that contains an evaluation input: a line of `contamination.jsonl`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Contaminated {
    /// Its position in the pool.
    pub(super) id: u64,
    dataset: String,
    template: String,
    /// What it contains: `evaluation` is the input's position among the evaluation examples.
    #[serde(flatten)]
    found: Match,
}

/// The evaluation inputs of a task, ready to be compared with.
#[derive(Debug)]
pub(super) struct EvaluationInputs {
    pub(super) check: ContaminationCheck,
    /// Of what they were read from.
    pub(super) fingerprint: String,
    /// The position of each among the examples of its source.
    positions: Vec<usize>,
    contamination: Contamination,
}

impl EvaluationInputs {
    pub(super) fn new(examples: Taken, fingerprint: String, check: ContaminationCheck) -> Self {
        let Taken { examples, positions } = examples;
        let inputs: Vec<&str> = examples.iter().map(|example| example.input.as_str()).collect();
        let options = ContaminationOptions { ngram: check.ngram, threshold: check.threshold };
        let contamination = Contamination::new(&inputs, &options);
        Self { check, fingerprint, positions, contamination }
    }
}

/// Examples whose facts are held at once: some hundred bytes of each, or its whole input.
const HELD: usize = 1 << 18;
const HELD_WITH_INPUT: usize = 1 << 15;

/// What must be known of an example.
#[derive(Debug)]
pub(super) struct Facts {
    provenance: Provenance,
    /// What duplicates are told by: nothing, a fingerprint, or the input itself.
    input: String,
    /// The evaluation input that it contains.
    found: Option<Match>,
}

/// The inputs that were selected before.
#[derive(Debug)]
enum Known {
    /// They do not matter.
    Nothing,
    /// Fingerprints of inputs in lower case, white space made one blank.
    Exact(HashSet<String>),
    Near(HashSet<String>, Box<NearDuplicates>),
}

/// Admits examples for one selection, and notes what it refuses.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    cap: Option<usize>,
    of_dataset: HashMap<String, usize>,
    known: Known,
    evaluation: Option<&'a EvaluationInputs>,
    pub(super) dropped: Dropped,
    pub(super) contaminated: Vec<Contaminated>,
}

impl<'a> Admission<'a> {
    pub(super) fn new(selection: &Selection, evaluation: Option<&'a EvaluationInputs>) -> Self {
        Self {
            cap: selection.max_per_dataset,
            of_dataset: HashMap::new(),
            known: match selection.duplicates {
                Duplicates::Keep => Known::Nothing,
                Duplicates::Exact => Known::Exact(HashSet::new()),
                Duplicates::Near => {
                    Known::Near(HashSet::new(), Box::new(NearDuplicates::new(NEAR)))
                }
            },
            evaluation,
            dropped: Dropped::default(),
            contaminated: Vec::new(),
        }
    }

    /// Shows inputs from all over the pool before the first is admitted: what many of them share is no
    /// sign of a duplicate.
    pub(super) fn learn(&mut self, inputs: &[String]) {
        if let Known::Near(_, near) = &mut self.known {
            for input in inputs {
                near.learn(input);
            }
        }
    }

    /// Admits everything: what is offered was admitted before.
    pub(super) fn of_all() -> Self {
        // As by default.
        Self::new(&Selection::default(), None)
    }

    /// How the selection was compared with evaluation inputs.
    pub(super) fn summary(&self) -> Option<ContaminationSummary> {
        let EvaluationInputs { check, positions, contamination, .. } = self.evaluation?;
        let count = positions.len();
        Some(ContaminationSummary {
            action: check.action.name().to_owned(),
            ngram: check.ngram,
            threshold: check.threshold,
            evaluation_inputs: count,
            too_short: count - contamination.comparable(),
            found: self.contaminated.len(),
        })
    }

    /// Settles what is told of evaluation inputs, now that it is known what was selected: where examples
    /// that contain one may be selected, those of them count that are.
    ///
    /// Refuses the selection where it has such examples and may not.
    pub(super) fn settle(&mut self, selected: &[Selected], option: &str) -> Result<()> {
        let Some(evaluation) = self.evaluation else { return Ok(()) };
        if evaluation.check.action != ContaminationAction::Drop {
            let ids: HashSet<u64> = selected.iter().map(|one| one.id).collect();
            self.contaminated.retain(|one| ids.contains(&one.id));
        }
        self.contaminated.sort_unstable_by_key(|one| one.id);
        match self.contaminated.first() {
            Some(first) if evaluation.check.action == ContaminationAction::Fail => {
                Err(self.refused(first, option))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, first: &Contaminated, option: &str) -> Error {
        let rows: Vec<_> = self.contaminated.iter().take(5).map(|it| it.id.to_string()).collect();
        let message = format!(
            "{} of the examples to be selected contain an evaluation input of the task",
            self.contaminated.len()
        );
        Error::option_at(option, message)
            .with_context("pool rows", rows.join(", "))
            .with_context("the first contains", deft_core::excerpt(&first.found.span))
            .with_context("evaluation example", first.found.evaluation)
            .with_hint("`contamination: drop` leaves them out, `keep` trains on them")
    }

    /// Notes an example that contains an evaluation input, and says whether it is left out.
    fn is_contaminated(&mut self, id: u64, provenance: &Provenance, found: Option<Match>) -> bool {
        let (Some(evaluation), Some(mut found)) = (self.evaluation, found) else { return false };
        found.evaluation = evaluation.positions[found.evaluation];
        let Provenance { dataset, template } = provenance.clone();
        self.contaminated.push(Contaminated { id, dataset, template, found });
        let is_left_out = evaluation.check.action == ContaminationAction::Drop;
        self.dropped.contaminated += usize::from(is_left_out);
        is_left_out
    }

    /// Whether the input, or nearly the same, was taken before; otherwise it is taken now.
    fn is_duplicate(&mut self, id: u64, input: String) -> bool {
        match &mut self.known {
            Known::Nothing => false,
            Known::Exact(taken) => {
                let is_old = !taken.insert(input);
                self.dropped.exact_duplicate += usize::from(is_old);
                is_old
            }
            Known::Near(taken, near) => {
                if !taken.insert(fingerprint_of(&input)) {
                    self.dropped.exact_duplicate += 1;
                    return true;
                }
                let is_old = near.admit(id, &input).is_some();
                self.dropped.near_duplicate += usize::from(is_old);
                is_old
            }
        }
    }

    fn is_over_the_cap(&self, dataset: &str) -> bool {
        let given = || self.of_dataset.get(dataset).copied().unwrap_or(0);
        self.cap.is_some_and(|cap| given() >= cap)
    }
}

impl Admit for Admission<'_> {
    type Facts = Facts;

    fn looks(&self) -> bool {
        let knows_nothing = matches!(self.known, Known::Nothing);
        self.cap.is_some() || !knows_nothing || self.evaluation.is_some()
    }

    fn held(&self) -> usize {
        if matches!(self.known, Known::Near(..)) { HELD_WITH_INPUT } else { HELD }
    }

    fn look(&self, example: Example) -> Facts {
        let look = |of: &EvaluationInputs| of.contamination.look(&example.input);
        let found = self.evaluation.and_then(look);
        let input = match self.known {
            Known::Nothing => String::new(),
            Known::Exact(_) => fingerprint_of(&example.input),
            Known::Near(..) => example.input,
        };
        Facts { provenance: example.provenance, input, found }
    }

    fn admit(&mut self, id: u64, facts: Facts) -> bool {
        let Facts { provenance, input, found } = facts;
        if self.is_over_the_cap(&provenance.dataset) {
            self.dropped.cap += 1;
            return false;
        }
        if self.is_contaminated(id, &provenance, found) || self.is_duplicate(id, input) {
            return false;
        }
        if self.cap.is_some() {
            *self.of_dataset.entry(provenance.dataset).or_insert(0) += 1;
        }
        true
    }
}

/// Of an input in lower case, with one blank for all white space in a row.
fn fingerprint_of(input: &str) -> String {
    let words: Vec<&str> = input.split_whitespace().collect();
    Fingerprint::new().with(words.join(" ").to_lowercase()).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(dataset: &str, input: &str) -> Example {
        let provenance = Provenance { dataset: dataset.to_owned(), ..Provenance::default() };
        Example { input: input.to_owned(), provenance, ..Example::default() }
    }

    fn admitted(admission: &mut Admission<'_>, examples: &[Example]) -> Vec<bool> {
        let admit = |(id, example): (u64, &Example)| {
            let facts = admission.look(example.clone());
            admission.admit(id, facts)
        };
        (0..).zip(examples).map(admit).collect()
    }

    #[test]
    fn a_data_set_gives_no_more_than_it_may() {
        let selection = Selection { max_per_dataset: Some(1), ..Selection::default() };
        let mut admission = Admission::new(&selection, None);
        let examples = [example("a", "1"), example("a", "2"), example("b", "3")];
        assert_eq!(admitted(&mut admission, &examples), [true, false, true]);
        assert_eq!(admission.dropped, Dropped { cap: 1, ..Dropped::default() });
    }

    #[test]
    fn inputs_are_equal_whatever_their_case_and_white_space() {
        let selection = Selection { duplicates: Duplicates::Exact, ..Selection::default() };
        let mut admission = Admission::new(&selection, None);
        let examples = [example("a", "One  two"), example("b", " one\ntwo "), example("a", "one")];
        assert_eq!(admitted(&mut admission, &examples), [true, false, true]);
        assert_eq!(admission.dropped.exact_duplicate, 1);
    }

    const LEAK: &str = "the quick brown fox jumps over the lazy dog near the quiet river bank";

    fn of_evaluation(action: ContaminationAction) -> EvaluationInputs {
        let check = ContaminationCheck { action, ..ContaminationCheck::default() };
        EvaluationInputs::new(
            Taken { examples: vec![example("", LEAK)], positions: vec![7] },
            String::new(),
            check,
        )
    }

    #[test]
    fn an_example_with_an_evaluation_input_is_left_out_kept_or_the_end() {
        let examples = [example("a", &format!("Read this: {LEAK}. True?")), example("a", "else")];
        for (action, wanted, fails) in [
            (ContaminationAction::Drop, [false, true], false),
            (ContaminationAction::Keep, [true, true], false),
            (ContaminationAction::Fail, [true, true], true),
        ] {
            let evaluation = of_evaluation(action);
            let mut admission = Admission::new(&Selection::default(), Some(&evaluation));
            assert_eq!(admitted(&mut admission, &examples), wanted, "{action:?}");
            let selected: Vec<Selected> = (0..)
                .zip(wanted)
                .filter(|(_, is_taken)| *is_taken)
                .map(|(id, _)| Selected::without_evidence(id))
                .collect();
            let settled = admission.settle(&selected, "selection.contamination");
            assert_eq!(settled.is_err(), fails, "{action:?}");
            assert_eq!(admission.contaminated[0].found.evaluation, 7);
            assert_eq!(admission.contaminated.len(), 1);
            assert_eq!(admission.summary().unwrap().found, 1);
        }
    }

    #[test]
    fn what_was_looked_at_and_not_selected_in_the_end_is_no_contamination_of_the_selection() {
        let examples = [example("a", LEAK), example("a", "else")];
        for (action, found) in [
            (ContaminationAction::Drop, 1),
            (ContaminationAction::Keep, 0),
            (ContaminationAction::Fail, 0),
        ] {
            let evaluation = of_evaluation(action);
            let mut admission = Admission::new(&Selection::default(), Some(&evaluation));
            admitted(&mut admission, &examples);
            let selected = [Selected::without_evidence(1)];
            admission.settle(&selected, "selection.contamination").unwrap();
            assert_eq!(admission.summary().unwrap().found, found, "{action:?}");
        }
    }
}
