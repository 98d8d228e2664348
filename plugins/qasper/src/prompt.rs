//! Examples: one for each paragraph and question.

use deft_core::prelude::*;
use serde_json::{Map, Value, json};

use crate::article::Question;
use crate::config::Variant;
use crate::evidence::Evidence;

/// The answers to choose from; the first is the one that predicts evidence.
pub(crate) const OPTIONS: [&str; 2] = ["Yes", "No"];

/// The position of `Yes`.
pub(crate) const YES: usize = 0;

const DATASET: &str = "qasper";
const TEMPLATE: &str = "evidence";
const INSTRUCTION: &str = "Is the answer to the question in the paragraph? Answer Yes or No.";

/// A paragraph with its place, for a question.
pub(crate) struct Asked<'a> {
    pub(crate) paper: &'a str,
    pub(crate) question: &'a Question,
    pub(crate) evidence: &'a Evidence,
    pub(crate) place: usize,
    pub(crate) paragraph: &'a str,
    pub(crate) is_evidence: Option<bool>,
}

impl Asked<'_> {
    pub(crate) fn example(&self, variant: Variant) -> Example {
        let gold = self.is_evidence.map(|is_evidence| if is_evidence { YES } else { 1 - YES });
        Example {
            input: self.input(variant),
            target: gold.map(|gold| OPTIONS[gold].to_owned()),
            options: OPTIONS.map(str::to_owned).to_vec(),
            gold,
            provenance: Provenance { dataset: DATASET.to_owned(), template: TEMPLATE.to_owned() },
            extra: self.extra(),
        }
    }

    /// The paper ends with the instruction, which is then the first to go where a long paragraph is
    /// cut; otherwise the paragraph is last.
    fn input(&self, variant: Variant) -> String {
        let (question, paragraph) = (&self.question.text, self.paragraph);
        match variant {
            Variant::Paper => format!("Question: {question} Paragraph: {paragraph} {INSTRUCTION}"),
            Variant::Fixed => format!("Question: {question} {INSTRUCTION} Paragraph: {paragraph}"),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        Map::from_iter([
            ("paper_id".to_owned(), self.paper.into()),
            ("question_id".to_owned(), self.question.id.as_str().into()),
            ("question".to_owned(), self.question.text.as_str().into()),
            ("paragraph_index".to_owned(), self.place.into()),
            ("references".to_owned(), json!(self.evidence.references(self.paragraph))),
        ])
    }
}
