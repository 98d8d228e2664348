//! The example of a record: the prompt of the published code, with its odd space, to the letter.

use deft_core::prelude::*;
use deft_records::{Made, Record, unanswerable};

use crate::config::Variant;

/// How many holdings a record has to choose from.
const HOLDINGS: usize = 5;

/// Why a few-shot row is no example under `variant: paper`, in the words of the reader `p3`.
const NOT_A_STRING: &str = "target is not a string";

/// Fields that are kept in an example's `extra`.
const KEPT: [&str; 1] = ["example_id"];

/// What a record gives: an example, or nothing for a few-shot row that the paper left out, and for
/// holdings that leave no choice, about which the paper asks all the same.
pub(crate) fn make(record: &Record, variant: Variant) -> Result<Made> {
    let is_few_shot = record.get("context").is_none() && record.get("input").is_some();
    let example = match variant {
        Variant::Paper if is_few_shot => return Ok(Made::Skipped(NOT_A_STRING)),
        Variant::Fixed if is_few_shot => few_shot(record)?,
        _ => raw(record)?,
    };
    if let Some(reason) = unanswerable(&example.options).filter(|_| variant == Variant::Fixed) {
        return Ok(Made::Skipped(reason));
    }
    Ok(Made::Examples(vec![example]))
}

/// The example of a record with the fields of `LexGLUE`'s `case_hold`.
fn raw(record: &Record) -> Result<Example> {
    let context = record.text("context")?;
    let holdings = holdings(record, "endings")?;
    let lettered: Vec<String> = ["A", "B", "C", "D", "E"]
        .iter()
        .zip(holdings)
        .map(|(letter, text)| format!("\n({letter}): {text}"))
        .collect();
    let input = format!(
        "What is the correct holding statement for the following text?\nText: {context} {}",
        lettered.concat()
    );
    Ok(example(record, input, holdings, record.label("label", HOLDINGS)?))
}

/// The example of a row that is prompted already, with the right holding's position as target.
fn few_shot(record: &Record) -> Result<Example> {
    let gold = record.label("target", HOLDINGS)?;
    let holdings = holdings(record, "answer_choices")?;
    Ok(example(record, record.text("input")?.to_owned(), holdings, gold))
}

fn holdings<'a>(record: &'a Record, field: &str) -> Result<[&'a str; HOLDINGS]> {
    let texts = record.texts(field)?;
    texts.try_into().map_err(|_| record.wrong(field, "a list of 5 strings"))
}

fn example(
    record: &Record,
    input: String,
    holdings: [&str; HOLDINGS],
    gold: Option<usize>,
) -> Example {
    Example {
        input,
        target: gold.map(|gold| holdings[gold].to_owned()),
        options: holdings.map(str::to_owned).to_vec(),
        gold,
        provenance: Provenance { dataset: "lex_glue".to_owned(), template: "case_hold".to_owned() },
        extra: record.keep(&KEPT),
    }
}
