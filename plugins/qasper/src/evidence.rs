//! Evidence: which paragraphs are some, and what a set of paragraphs is worth.

use std::collections::BTreeSet;

use crate::article::{Question, on_one_line};
use crate::config::Variant;

/// How evidence that is a table or a figure begins.
const FLOAT: &str = "FLOAT SELECTED";

/// The evidence for one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    variant: Variant,
    /// What the paragraphs are compared with; `None` where nobody answered.
    spans: Option<BTreeSet<String>>,
    /// What predictions are compared with, for each annotator.
    annotators: Vec<Vec<String>>,
}

/// What the metric must know of a paragraph and an annotator: how many references there are, and
/// which of them, if any, is this very paragraph.
pub(crate) type Reference = (usize, Option<usize>);

impl Evidence {
    pub(crate) fn of(question: &Question, variant: Variant) -> Self {
        let answers = question.answers.as_deref().unwrap_or_default();
        let is_answered = match variant {
            // To the published code, nobody's evidence is no evidence.
            Variant::Paper => question.answers.is_some(),
            Variant::Fixed => !answers.is_empty(),
        };
        let texts = || answers.iter().map(|answer| answer.answer.evidence.as_slice());
        let spans = texts().flatten().map(|text| on_one_line(text)).filter(|text| !text.is_empty());
        Self {
            variant,
            spans: is_answered.then(|| spans.collect()),
            annotators: texts().map(|texts| references(texts, variant)).collect(),
        }
    }

    /// Whether a paragraph is evidence, if that is known.
    pub(crate) fn holds(&self, paragraph: &str) -> Option<bool> {
        let spans = self.spans.as_ref()?;
        Some(match self.variant {
            Variant::Fixed => spans.contains(paragraph),
            Variant::Paper => spans.iter().any(|span| paragraph.contains(span.as_str())),
        })
    }

    /// What the metric must know of a paragraph, for each annotator.
    pub(crate) fn references(&self, paragraph: &str) -> Vec<Reference> {
        let place = |texts: &[String]| texts.iter().position(|text| text == paragraph);
        self.annotators.iter().map(|texts| (texts.len(), place(texts))).collect()
    }
}

/// An annotator's evidence, as predictions are compared with it. The paper has it as it is in the
/// file, where line feeds and tables can never be predicted; otherwise each paragraph counts once.
fn references(texts: &[String], variant: Variant) -> Vec<String> {
    if variant == Variant::Paper {
        return texts.to_vec();
    }
    let mut references: Vec<String> = Vec::new();
    for text in texts.iter().map(|text| on_one_line(text)) {
        if !text.is_empty() && !text.contains(FLOAT) && !references.contains(&text) {
            references.push(text);
        }
    }
    references
}

/// What the paragraphs predicted for a question are worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) f1: f64,
}

impl Worth {
    fn new(predicted: usize, references: usize, both: usize) -> Self {
        if references == 0 {
            let all = if predicted == 0 { 1.0 } else { 0.0 };
            return Self { precision: all, recall: all, f1: all };
        }
        let precision = if predicted == 0 { 1.0 } else { both as f64 / predicted as f64 };
        let recall = both as f64 / references as f64;
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Self { precision, recall, f1 }
    }
}

/// The paragraphs predicted for one question, beside each annotator's evidence.
#[derive(Debug)]
pub(crate) struct Tally {
    predicted: usize,
    /// Of each annotator: the number of references, and those that were predicted.
    annotators: Vec<(usize, BTreeSet<usize>)>,
}

impl Tally {
    /// Nothing predicted yet, for the question of a paragraph.
    pub(crate) fn new(references: &[Reference]) -> Self {
        let annotators = references.iter().map(|&(count, _)| (count, BTreeSet::new())).collect();
        Self { predicted: 0, annotators }
    }

    /// Counts a predicted paragraph; without references it is none of that question. One that is
    /// there twice counts twice as predicted and once as found, as in the published evaluation.
    pub(crate) fn add(&mut self, references: &[Reference]) {
        self.predicted += 1;
        for ((_, found), &(_, place)) in self.annotators.iter_mut().zip(references) {
            found.extend(place);
        }
    }

    /// By the annotator who agrees best, the first of them; `None` where nobody answered.
    pub(crate) fn best(&self) -> Option<Worth> {
        let of = |(count, found): &(usize, BTreeSet<usize>)| {
            Worth::new(self.predicted, *count, found.len())
        };
        self.annotators.iter().map(of).reduce(
            |best, other| {
                if other.f1 > best.f1 { other } else { best }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn question(answers: &Value) -> Question {
        serde_json::from_value(json!({"question": "q", "question_id": "i", "answers": answers}))
            .unwrap()
    }

    fn answered(evidence: &[&[&str]]) -> Question {
        let answer = |texts: &&[&str]| json!({"answer": {"evidence": texts}});
        question(&evidence.iter().map(answer).collect())
    }

    #[test]
    fn a_part_of_a_paragraph_is_evidence_only_to_the_paper() {
        let question = answered(&[&["a\nwhole paragraph ", ""], &["part"]]);
        let holds = |variant, paragraph| Evidence::of(&question, variant).holds(paragraph).unwrap();
        for variant in [Variant::Fixed, Variant::Paper] {
            assert!(holds(variant, "a whole paragraph"));
            assert!(!holds(variant, "other"));
        }
        assert!(holds(Variant::Paper, "in part evident"));
        assert!(!holds(Variant::Fixed, "in part evident"));
    }

    #[test]
    fn without_an_answer_nothing_is_known_but_to_the_paper_an_empty_list_says_no() {
        let holds = |answers, variant| Evidence::of(&question(&answers), variant).holds("p");
        assert_eq!(holds(json!(null), Variant::Paper), None);
        assert_eq!(holds(json!(null), Variant::Fixed), None);
        assert_eq!(holds(json!([]), Variant::Fixed), None);
        assert_eq!(holds(json!([]), Variant::Paper), Some(false));
    }

    #[test]
    fn tables_and_repeated_paragraphs_are_references_only_to_the_paper() {
        let question = answered(&[&["FLOAT SELECTED: Table 1", "p\nq", "p q"], &[]]);
        let of = |variant| Evidence::of(&question, variant).references("p q");
        assert_eq!(of(Variant::Paper), [(3, Some(2)), (0, None)]);
        assert_eq!(of(Variant::Fixed), [(1, Some(0)), (0, None)]);
    }

    #[test]
    fn the_annotator_who_agrees_best_counts() {
        let references = vec![(2, None), (1, Some(0))];
        let mut tally = Tally::new(&references);
        assert_eq!(tally.best(), Some(Worth { precision: 1.0, recall: 0.0, f1: 0.0 }));
        tally.add(&references);
        assert_eq!(tally.best(), Some(Worth { precision: 1.0, recall: 1.0, f1: 1.0 }));
        tally.add(&references);
        assert_eq!(tally.best().unwrap().precision, 0.5, "the same paragraph twice");
        assert_eq!(Tally::new(&[]).best(), None);
    }
}
