//! LEDGAR: what is the main topic of a contract provision.

use deft_core::prelude::*;
use deft_records::{Made, Record, unanswerable};

use crate::labels::LABELS;
use crate::reader::{DATASET, Task};

/// The field with the labels' names, where a source brings its own.
const NAMES: &str = "label_names";

/// The task.
#[derive(Debug)]
pub(crate) struct Ledgar;

impl Task for Ledgar {
    const NAME: &'static str = "lexglue/ledgar";
    const SUMMARY: &'static str = "LexGLUE LEDGAR: the topic of a contract provision, of a hundred";

    fn make(record: &Record) -> Result<Made> {
        let text = record.text("text")?;
        let names = names(record)?;
        let gold = record.label("label", names.len())?;
        let input = format!(
            "What is the main topic of the following contract provision?\nContract: {text}"
        );
        Ok(Made::Examples(vec![Example {
            input,
            target: gold.map(|gold| names[gold].to_owned()),
            options: names.into_iter().map(str::to_owned).collect(),
            gold,
            provenance: Provenance { dataset: DATASET.to_owned(), template: "ledgar".to_owned() },
            ..Example::default()
        }]))
    }
}

/// The labels' names: the record's, or those of the data set.
fn names(record: &Record) -> Result<Vec<&str>> {
    if record.get(NAMES).is_none() {
        return Ok(LABELS.to_vec());
    }
    let names = record.texts(NAMES)?;
    if names.is_empty() || unanswerable(&names).is_some() {
        return Err(record.wrong(NAMES, "a list of different strings, none of them empty"));
    }
    Ok(names)
}
