//! UNFAIR-ToS: which kinds of unfair terms does a sentence of terms of service contain.
//!
//! Each text is asked about each kind: a record gives eight examples.

use deft_core::prelude::*;
use deft_records::{Made, Record};
use serde_json::{Map, Value};

use crate::reader::{DATASET, Task};

/// The kinds of unfair terms, by their labels.
const TERMS: [&str; 8] = [
    "Limitation of liability",
    "Unilateral termination",
    "Unilateral change",
    "Content removal",
    "Contract by using",
    "Choice of law",
    "Jurisdiction",
    "Arbitration",
];

/// The answers, `yes` first: precision and recall are its.
const ANSWERS: [&str; 2] = ["yes", "no"];

/// The field of `extra` with the kind that is asked about.
const TERM: &str = "term";

/// The task.
#[derive(Debug)]
pub(crate) struct UnfairTos;

impl Task for UnfairTos {
    const NAME: &'static str = "lexglue/unfair_tos";
    const SUMMARY: &'static str = "LexGLUE UNFAIR-ToS: is there such an unfair term, eight times";

    fn make(record: &Record) -> Result<Made> {
        let text = record.text("text")?;
        let labels = labels(record)?;
        let examples = TERMS.iter().enumerate().map(|(label, term)| {
            let gold = labels.as_ref().map(|labels| usize::from(!labels.contains(&label)));
            example(text, term, gold)
        });
        Ok(Made::Examples(examples.collect()))
    }

    fn group(example: &Example) -> String {
        example.extra.get(TERM).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

fn example(text: &str, term: &str, gold: Option<usize>) -> Example {
    Example {
        input: format!(
            "Is there an instance of {term} in the following text?. Answer yes or no.\nText: {text}"
        ),
        target: gold.map(|gold| ANSWERS[gold].to_owned()),
        options: ANSWERS.map(str::to_owned).to_vec(),
        gold,
        provenance: Provenance { dataset: DATASET.to_owned(), template: "unfair_tos".to_owned() },
        extra: Map::from_iter([(TERM.to_owned(), term.into())]),
    }
}

/// The labels of a record, of which there may be none; `None` for an unlabelled one.
fn labels(record: &Record) -> Result<Option<Vec<usize>>> {
    const FIELD: &str = "labels";
    let Some(value) = record.get(FIELD) else { return Ok(None) };
    let label = |value: &Value| {
        let label = usize::try_from(value.as_u64()?).ok()?;
        (label < TERMS.len()).then_some(label)
    };
    let labels = value.as_array().and_then(|labels| labels.iter().map(label).collect());
    labels.map(Some).ok_or_else(|| record.wrong(FIELD, "a list of labels from 0 to 7"))
}
