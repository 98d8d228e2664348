//! The answers of the official file, and what the published code makes of them.

use deft_core::prelude::*;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use crate::question::{Answer, AnswerKind};

/// Why a question is no example in the variant `paper`.
const OF_TWO_KINDS: &str = "an answer is of two kinds";
const EMPTY: &str = "the answer is empty";

/// An answer: a number, else spans, else a date. Null counts as empty.
#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "an object with number, spans and date")]
pub(crate) struct OfficialAnswer {
    #[serde(default, deserialize_with = "number")]
    number: String,
    #[serde(default, deserialize_with = "or_empty")]
    spans: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    date: Date,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with day, month and year")]
struct Date {
    #[serde(deserialize_with = "or_empty")]
    day: String,
    #[serde(deserialize_with = "or_empty")]
    month: String,
    #[serde(deserialize_with = "or_empty")]
    year: String,
}

impl OfficialAnswer {
    /// Its texts one by one, as the Hugging Face data set lists them; it has no answer of two kinds.
    fn texts(&self) -> Result<Vec<String>, &'static str> {
        let Date { day, month, year } = &self.date;
        let date = [day.as_str(), month, year].join(" ").trim().to_owned();
        let is_there = [!self.number.is_empty(), !self.spans.is_empty(), !date.is_empty()];
        match is_there {
            [true, false, false] => Ok(vec![self.number.clone()]),
            [false, _, false] => Ok(self.spans.clone()),
            [false, false, true] => Ok(vec![date]),
            _ => Err(OF_TWO_KINDS),
        }
    }
}

impl From<OfficialAnswer> for Answer {
    fn from(answer: OfficialAnswer) -> Self {
        if !answer.number.is_empty() {
            return Self::of_one(AnswerKind::Number, answer.number);
        }
        if !answer.spans.is_empty() {
            return Self::of_spans(answer.spans);
        }
        let Date { day, month, year } = answer.date;
        let parts: Vec<_> =
            [day, month, year].into_iter().filter(|part| !part.is_empty()).collect();
        Self::of_one(AnswerKind::Date, parts.join(" "))
    }
}

/// The target of the published code, or why it has no such question; none without any answer.
///
/// It reads the rows that Hugging Face makes of the official file, which leave out a question one of
/// whose answers is of two kinds, or all are nothing. The first text of all is the target.
pub(crate) fn target_of_paper(answers: &[OfficialAnswer]) -> Result<Option<String>, &'static str> {
    if answers.is_empty() {
        return Ok(None);
    }
    let mut texts = Vec::new();
    for answer in answers {
        texts.extend(answer.texts()?);
    }
    texts.into_iter().next().map(Some).ok_or(EMPTY)
}

/// A number, as such or as a string.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text),
        other => Err(D::Error::custom(format!("expected a number or a string, found {other}"))),
    }
}

/// A value; null is an empty one.
fn or_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn official(json: &Value) -> OfficialAnswer {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn check(json: &Value, kind: AnswerKind, texts: &[&str]) {
        let answer = Answer::from(official(json));
        assert_eq!(answer.kind, kind, "{json}");
        assert_eq!(answer.texts, texts, "{json}");
    }

    #[test]
    fn an_answer_is_a_number_or_spans_or_a_date() {
        check(&json!({"number": "4", "spans": ["a"]}), AnswerKind::Number, &["4"]);
        check(&json!({"number": 2.5}), AnswerKind::Number, &["2.5"]);
        check(&json!({"number": "", "spans": ["a"]}), AnswerKind::Span, &["a"]);
        let both = json!({"spans": ["a", "b"], "date": {"year": "1990"}});
        check(&both, AnswerKind::Spans, &["a", "b"]);
        let date = json!({"day": "", "month": "May", "year": "1990"});
        check(&json!({"number": "", "spans": [], "date": date}), AnswerKind::Date, &["May 1990"]);
        check(&json!({}), AnswerKind::Date, &[""]);
    }

    #[test]
    fn null_is_empty_and_zero_is_a_number() {
        check(&json!({"number": 0, "spans": null, "date": null}), AnswerKind::Number, &["0"]);
        let date = json!({"day": null, "month": null, "year": "1990"});
        let answer = json!({"number": null, "spans": null, "date": date});
        check(&answer, AnswerKind::Date, &["1990"]);
        for number in [json!(true), json!(["4"])] {
            let wrong = serde_json::from_value::<OfficialAnswer>(json!({ "number": number }));
            let message = wrong.unwrap_err().to_string();
            assert_eq!(message, format!("expected a number or a string, found {number}"));
        }
    }

    fn paper(answers: &[&Value]) -> Result<Option<String>, &'static str> {
        let answers: Vec<_> = answers.iter().map(|&answer| official(answer)).collect();
        target_of_paper(&answers)
    }

    #[test]
    fn the_papers_target_is_the_first_text_of_all_answers() {
        let (three, spans) = (json!({"number": "3"}), json!({"spans": ["a", "b"]}));
        let date = json!({"date": {"day": "", "month": "May", "year": "1990"}});
        let target = |answers: &[&Value]| paper(answers).unwrap();
        assert_eq!(target(&[&three]).as_deref(), Some("3"));
        assert_eq!(target(&[&spans, &three]).as_deref(), Some("a"));
        assert_eq!(target(&[&json!({}), &date]).as_deref(), Some("May 1990"));
        assert_eq!(target(&[]), None);
    }

    #[test]
    fn the_paper_has_no_question_with_an_answer_of_two_kinds_or_none_but_empty_ones() {
        let (three, both) = (json!({"number": "3"}), json!({"number": "3", "spans": ["a"]}));
        assert_eq!(paper(&[&both]), Err(OF_TWO_KINDS));
        assert_eq!(paper(&[&three, &both]), Err(OF_TWO_KINDS));
        assert_eq!(paper(&[&json!({"spans": ["a"], "date": {"year": "1"}})]), Err(OF_TWO_KINDS));
        assert_eq!(paper(&[&json!({}), &json!({"number": ""})]), Err(EMPTY));
    }
}
