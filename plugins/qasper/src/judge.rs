//! What the metric needs of examples, and what the paragraphs predicted for a question are worth.

use std::collections::HashMap;

use deft_core::prelude::*;
use serde_json::Value;

use crate::config::Variant;
use crate::evidence::{Reference, Tally, Worth};

/// What the metric needs of an example.
#[derive(Debug)]
pub(crate) struct Scored {
    /// Name of the question: its id, and to `fixed` also its text, since not every file has each id
    /// once.
    pub(crate) question: String,
    /// The very question: paper and text.
    asked: (String, String),
    /// The paragraph: its paper and its position in it.
    paragraph: (String, u64),
    references: Vec<Reference>,
}

impl Scored {
    pub(crate) fn of(example: &Example, variant: Variant) -> Result<Self> {
        let field = |name: &str| example.extra.get(name);
        let text = |name: &str| Some(field(name)?.as_str()?.to_owned());
        let place = || field("paragraph_index").and_then(Value::as_u64);
        let references = || Vec::deserialize(field("references")?).ok();
        let all = || {
            let (id, question, paper) =
                (text("question_id")?, text("question")?, text("paper_id")?);
            Some(Self {
                question: match variant {
                    Variant::Paper => id,
                    Variant::Fixed => format!("{id}: {question}"),
                },
                asked: (paper.clone(), question),
                paragraph: (paper, place()?),
                references: references()?,
            })
        };
        all().ok_or_else(|| {
            let message = "the example does not say what the evidence for its question is";
            Error::new(ErrorKind::Data, message)
                .with_context("input", deft_core::excerpt(&example.input))
                .with_hint("score examples that the reader `qasper` made")
        })
    }
}

/// What the paragraphs predicted for each question are worth; `None` where nobody answered it.
///
/// Of questions with one name the evidence of the last counts, and what is predicted for any of them,
/// as in the published evaluation.
pub(crate) fn worths(
    scored: &[Scored],
    is_predicted: impl Iterator<Item = bool>,
) -> HashMap<&str, Option<Worth>> {
    let mut last: HashMap<&str, &Scored> = HashMap::new();
    for one in scored {
        last.insert(&one.question, one);
    }
    let mut references: HashMap<(&str, &(String, u64)), &[Reference]> = HashMap::new();
    for one in scored {
        if last.get(one.question.as_str()).is_some_and(|last| last.asked == one.asked) {
            references.insert((one.question.as_str(), &one.paragraph), one.references.as_slice());
        }
    }
    let mut tallies: HashMap<&str, Tally> =
        last.into_iter().map(|(name, one)| (name, Tally::new(&one.references))).collect();
    for (one, is_predicted) in scored.iter().zip(is_predicted) {
        let tally = tallies.get_mut(one.question.as_str()).filter(|_| is_predicted);
        if let Some(tally) = tally {
            // A paragraph that the last question was not asked about is none of its evidence.
            let of_last = references.get(&(one.question.as_str(), &one.paragraph));
            tally.add(of_last.copied().unwrap_or_default());
        }
    }
    tallies.into_iter().map(|(name, tally)| (name, tally.best())).collect()
}
