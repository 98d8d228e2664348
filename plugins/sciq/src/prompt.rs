//! The example of a record: the prompt of the published code, and the order of the answers.

use deft_core::prelude::*;
use deft_records::{Made, Record, unanswerable};

use crate::config::Variant;

/// The fields of the answers; the last is the right one.
const ANSWERS: [&str; 4] = ["distractor1", "distractor2", "distractor3", "correct_answer"];
const RIGHT: usize = 3;

/// The order of the published code: it shuffles every record's answers by the same seed.
const ORDER_OF_THE_PAPER: [usize; 4] = [2, 1, RIGHT, 0];

/// The example of a record. Answers that leave no choice are none, but the published code asks all the
/// same.
pub(crate) fn make(record: &Record, variant: Variant) -> Result<Made> {
    let question = record.text("question")?;
    let mut answers = [""; 4];
    for (answer, field) in answers.iter_mut().zip(ANSWERS) {
        *answer = record.text(field)?;
    }
    if let Some(reason) = unanswerable(&answers).filter(|_| variant == Variant::Fixed) {
        return Ok(Made::Skipped(reason));
    }
    let order = match variant {
        Variant::Paper => ORDER_OF_THE_PAPER,
        Variant::Fixed => order_by_text(question, &answers),
    };
    let options = order.map(|position| answers[position]);
    let input = format!(
        "Answer the following question given this paragraph:\n{}\nQ: {question}\nChoices:\n\
         -{}\n-{}\n-{}\n-{}",
        record.text("support")?,
        options[0],
        options[1],
        options[2],
        options[3],
    );
    Ok(Made::Examples(vec![Example {
        input,
        target: Some(answers[RIGHT].to_owned()),
        options: options.map(str::to_owned).to_vec(),
        // As the published code looks it up: the first that reads so.
        gold: options.iter().position(|&option| option == answers[RIGHT]),
        provenance: Provenance { dataset: "sciq".to_owned(), template: "sciq".to_owned() },
        ..Example::default()
    }]))
}

/// An order that looks random and depends on nothing but the record's own texts, so that it is the
/// same wherever the record stands.
fn order_by_text(question: &str, answers: &[&str; 4]) -> [usize; 4] {
    let mut order = [0, 1, 2, 3];
    order.sort_by_cached_key(|&position| {
        Fingerprint::new().with(question).with(answers[position]).short()
    });
    order
}
