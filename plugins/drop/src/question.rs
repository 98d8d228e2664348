//! A question about a passage, and the example that is made of it.

use deft_core::excerpt;
use deft_core::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Variant;

/// The field of `extra` with the right answers.
const ANSWERS: &str = "answers";

/// The fields of `extra` that say which question it is.
pub(crate) const SECTION_ID: &str = "section_id";
pub(crate) const QUERY_ID: &str = "query_id";

/// A right answer: texts that all belong to it. A question may have several, by several people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) kind: AnswerKind,
    pub(crate) texts: Vec<String>,
}

/// What kind of answer it is, as DROP counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerKind {
    Number,
    /// One text.
    Span,
    /// Several texts.
    Spans,
    Date,
}

impl AnswerKind {
    /// The kind's name in DROP's own table.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Span => "span",
            Self::Spans => "spans",
            Self::Date => "date",
        }
    }
}

impl Answer {
    pub(crate) fn of_one(kind: AnswerKind, text: String) -> Self {
        Self { kind, texts: vec![text] }
    }

    pub(crate) fn of_spans(texts: Vec<String>) -> Self {
        Self { kind: if texts.len() == 1 { AnswerKind::Span } else { AnswerKind::Spans }, texts }
    }

    /// Whether there is nothing in its first text: such an answer is no right one.
    pub(crate) fn is_blank(&self) -> bool {
        self.texts.first().is_none_or(|text| is_blank(text))
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// The first text of the first answer: the target, unless it is blank.
pub(crate) fn first_text(answers: &[Answer]) -> Option<String> {
    answers.first()?.texts.first().cloned()
}

/// White space as Python sees it: beside Unicode's, the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A question about a passage.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) passage: &'a str,
    pub(crate) text: &'a str,
    /// The text to train on; a blank one is none.
    pub(crate) target: Option<String>,
    /// The right answers; none for an unlabelled question.
    pub(crate) answers: Vec<Answer>,
    /// What says which question it is.
    pub(crate) ids: Map<String, Value>,
}

impl Question<'_> {
    /// The example, with the prompt of the published code.
    pub(crate) fn example(self, variant: Variant) -> Example {
        let target = self.target.filter(|target| !is_blank(target));
        let options = match (variant, &target) {
            (Variant::Paper, Some(target)) => vec![target.clone()],
            _ => Vec::new(),
        };
        let mut extra = self.ids;
        if !self.answers.is_empty() {
            extra.insert(ANSWERS.to_owned(), json!(self.answers));
        }
        Example {
            input: format!("Passage: {}\nQuestion: {}\nAnswer:", self.passage, self.text),
            gold: (!options.is_empty()).then_some(0),
            target,
            options,
            provenance: Provenance { dataset: "drop".to_owned(), template: "drop".to_owned() },
            extra,
        }
    }
}

/// The right answers of an example.
pub(crate) fn answers(example: &Example) -> Result<Vec<Answer>> {
    let refused = |message: &str| {
        Error::new(ErrorKind::Data, message).with_context("input", excerpt(&example.input))
    };
    let answers = example
        .extra
        .get(ANSWERS)
        .ok_or_else(|| refused("the example has no right answer to be scored against"))?;
    Vec::<Answer>::deserialize(answers)
        .map_err(|source| refused("the example's answers are damaged").with_source(&source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(answers: Vec<Answer>) -> Question<'static> {
        let target = first_text(&answers);
        Question { passage: "P p.", text: "Q?", target, answers, ids: Map::new() }
    }

    #[test]
    fn the_first_text_of_the_first_answer_is_the_target() {
        let answers = vec![
            Answer::of_spans(vec!["Mare".to_owned(), "Folk".to_owned()]),
            Answer::of_one(AnswerKind::Number, "2".to_owned()),
        ];
        let example = question(answers.clone()).example(Variant::Fixed);
        assert_eq!(example.input, "Passage: P p.\nQuestion: Q?\nAnswer:");
        assert_eq!(example.target.as_deref(), Some("Mare"));
        assert_eq!((example.options.len(), example.gold), (0, None));
        assert_eq!(super::answers(&example).unwrap(), answers);
    }

    #[test]
    fn only_in_the_papers_variant_is_the_target_an_option() {
        let answers = vec![Answer::of_one(AnswerKind::Date, "12 May".to_owned())];
        let example = question(answers).example(Variant::Paper);
        assert_eq!(example.options, ["12 May"]);
        assert_eq!(example.gold, Some(0));
    }

    #[test]
    fn without_answers_or_with_a_blank_one_there_is_no_target() {
        let unlabelled = question(Vec::new()).example(Variant::Paper);
        assert_eq!((&unlabelled.target, unlabelled.options.len()), (&None, 0));
        let error = answers(&unlabelled).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let blank = vec![Answer::of_one(AnswerKind::Date, " \u{1f}".to_owned())];
        let blank = question(blank).example(Variant::Paper);
        assert_eq!((&blank.target, blank.gold), (&None, None));
        assert_eq!(answers(&blank).unwrap().len(), 1);
    }
}
