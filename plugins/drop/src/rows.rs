//! The rows of the Hugging Face data set.

use deft_core::prelude::*;
use deft_records::{Made, Record};
use serde_json::Value;

use crate::config::Variant;
use crate::question::{Answer, AnswerKind, QUERY_ID, Question, SECTION_ID, first_text};

/// The field with the answers, and what it may be.
const FIELD: &str = "answers_spans";
const ALLOWED: &str =
    "an object with the list `spans` and, if any, an equally long `types` (number, span, date)";

/// The name of a kind: a text of the passage or the question.
const SPAN: &str = "span";

/// The example of a row.
pub(crate) fn make(record: &Record, variant: Variant) -> Result<Made> {
    let answers = answers(record)?;
    let question = Question {
        passage: record.text("passage")?,
        text: record.text("question")?,
        target: first_text(&answers),
        answers,
        ids: record.keep(&[SECTION_ID, QUERY_ID]),
    };
    Ok(Made::Examples(vec![question.example(variant)]))
}

fn answers(record: &Record) -> Result<Vec<Answer>> {
    let Some(value) = record.get(FIELD) else { return Ok(Vec::new()) };
    pairs(value).and_then(group).ok_or_else(|| record.wrong(FIELD, ALLOWED))
}

/// The texts with the names of their kinds, or nothing where the value is something else.
///
/// Kinds say where an answer ends, and what it counts as. Without them all are spans.
fn pairs(value: &Value) -> Option<Vec<(&str, &str)>> {
    let spans = texts(value.get("spans")?)?;
    let kinds = match value.get("types").filter(|types| !types.is_null()) {
        Some(types) => texts(types)?,
        None => vec![SPAN; spans.len()],
    };
    (spans.len() == kinds.len()).then(|| spans.into_iter().zip(kinds).collect())
}

fn texts(list: &Value) -> Option<Vec<&str>> {
    list.as_array()?.iter().map(Value::as_str).collect()
}

/// Puts together which texts are one answer: the rows list those of all annotators one after the
/// other, and do not say where one ends.
///
/// A number or a date is an answer by itself. Spans that follow each other are one answer, and a
/// span that is in it already begins the next. So two annotators' different single spans count as
/// one answer of two: the score is rather too low than too high.
fn group(pairs: Vec<(&str, &str)>) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut spans: Vec<String> = Vec::new();
    for (text, kind) in pairs {
        let kind = match kind {
            "number" => Some(AnswerKind::Number),
            "date" => Some(AnswerKind::Date),
            SPAN => None,
            _ => return None,
        };
        if !spans.is_empty() && (kind.is_some() || spans.iter().any(|span| span == text)) {
            answers.push(Answer::of_spans(std::mem::take(&mut spans)));
        }
        match kind {
            Some(kind) => answers.push(Answer::of_one(kind, text.to_owned())),
            None => spans.push(text.to_owned()),
        }
    }
    if !spans.is_empty() {
        answers.push(Answer::of_spans(spans));
    }
    Some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pairs: &[(&str, &str)], wanted: &[(AnswerKind, &[&str])]) {
        let found = group(pairs.to_vec()).expect("known kinds");
        let found: Vec<_> = found
            .iter()
            .map(|answer| {
                (answer.kind, answer.texts.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        let wanted: Vec<_> = wanted.iter().map(|(kind, texts)| (*kind, texts.to_vec())).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn numbers_and_dates_are_answers_by_themselves() {
        check(
            &[("3", "number"), ("3", "number"), ("May", "date")],
            &[
                (AnswerKind::Number, &["3"]),
                (AnswerKind::Number, &["3"]),
                (AnswerKind::Date, &["May"]),
            ],
        );
        check(&[], &[]);
    }

    #[test]
    fn spans_are_one_answer_until_one_comes_again() {
        check(&[("a", "span"), ("b", "span")], &[(AnswerKind::Spans, &["a", "b"])]);
        check(
            &[("a", "span"), ("a", "span")],
            &[(AnswerKind::Span, &["a"]), (AnswerKind::Span, &["a"])],
        );
        check(
            &[("a", "span"), ("b", "span"), ("a", "span"), ("b", "span"), ("2", "number")],
            &[
                (AnswerKind::Spans, &["a", "b"]),
                (AnswerKind::Spans, &["a", "b"]),
                (AnswerKind::Number, &["2"]),
            ],
        );
        check(
            &[("a", "span"), ("2", "number"), ("b", "span")],
            &[(AnswerKind::Span, &["a"]), (AnswerKind::Number, &["2"]), (AnswerKind::Span, &["b"])],
        );
    }

    #[test]
    fn without_kinds_all_are_spans() {
        let value = json!({"spans": ["3", "4", "3"], "types": null});
        assert_eq!(pairs(&value), Some(vec![("3", SPAN), ("4", SPAN), ("3", SPAN)]));
        assert_eq!(pairs(&json!({"spans": ["3"]})), Some(vec![("3", SPAN)]));
    }

    #[test]
    fn another_kind_is_refused() {
        assert_eq!(group(vec![("a", "word")]), None);
    }
}
