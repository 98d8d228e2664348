//! Articles in the schema of Qasper 0.3: their paragraphs and questions.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use serde_json::Value;

use crate::config::Variant;

/// An article, as far as evidence is concerned.
#[derive(Debug, Deserialize)]
pub(crate) struct Article {
    full_text: Option<Vec<Section>>,
    pub(crate) qas: Vec<Question>,
}

#[derive(Debug, Deserialize)]
struct Section {
    section_name: Option<String>,
    paragraphs: Vec<String>,
}

/// A question about an article.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    #[serde(rename = "question")]
    pub(crate) text: String,
    #[serde(rename = "question_id")]
    pub(crate) id: String,
    /// What each annotator answered; `None` where the answers are withheld.
    pub(crate) answers: Option<Vec<Answer>>,
}

/// What one annotator answered.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) answer: Annotation,
}

/// The part of an answer that is evidence.
#[derive(Debug, Deserialize)]
pub(crate) struct Annotation {
    /// Paragraphs in full, as a rule; tables and figures by their captions.
    pub(crate) evidence: Vec<String>,
}

impl Article {
    /// The paragraphs that are asked about; none where the text is missing.
    ///
    /// The paper has the titles of sections among them.
    pub(crate) fn paragraphs(&self, variant: Variant) -> Vec<String> {
        let mut paragraphs = Vec::new();
        for section in self.full_text.iter().flatten() {
            if let (Some(name), Variant::Paper) = (&section.section_name, variant) {
                paragraphs.push(name.clone());
            }
            let texts = section.paragraphs.iter().map(|text| on_one_line(text));
            paragraphs.extend(texts.filter(|text| !text.is_empty()));
        }
        paragraphs
    }

    /// Whether there is no text at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.full_text.as_ref().is_none_or(Vec::is_empty)
    }
}

/// A text without line feeds, and without white space at its ends, as Python's `str.strip` has it:
/// beside Unicode's white space, the four separators of ASCII.
pub(crate) fn on_one_line(text: &str) -> String {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    text.replace('\n', " ").trim_matches(is_space).to_owned()
}

/// The articles of a file, under their ids, in its order.
#[derive(Debug)]
pub(crate) struct Articles {
    path: PathBuf,
    entries: serde_json::map::IntoIter,
    /// Articles given so far.
    pub(crate) given: u64,
}

impl Articles {
    /// Opens a file. It is read whole: the schema has everything in one object.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match deft_records::json_value(path)? {
            Value::Object(articles) => {
                Ok(Self { path: path.to_owned(), entries: articles.into_iter(), given: 0 })
            }
            _ => Err(Error::new(ErrorKind::Data, "the file is no JSON object of articles")
                .with_context("file", path.display())
                .with_hint("wanted is a file of Qasper 0.3: articles under their ids")),
        }
    }

    /// The next article with its id.
    pub(crate) fn advance(&mut self) -> Result<Option<(String, Article)>> {
        let Some((id, value)) = self.entries.next() else { return Ok(None) };
        self.given += 1;
        match serde_path_to_error::deserialize(value) {
            Ok(article) => Ok(Some((id, article))),
            Err(error) => {
                let inner = error.inner().to_string();
                Err(Error::new(ErrorKind::Data, format!("the article is of another form: {inner}"))
                    .with_context("file", self.path.display())
                    .with_context("row", self.given)
                    .with_context("article", id)
                    .with_context("field", error.path())
                    .with_hint("wanted is a file of Qasper 0.3; see the plugin's README"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn article() -> Article {
        let value = json!({
            "title": "ignored",
            "full_text": [
                {"section_name": null, "paragraphs": ["", " \n", " one\nline \u{1f}"]},
                {"section_name": " Method ", "paragraphs": ["two"]},
            ],
            "qas": [],
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn paragraphs_are_on_one_line_and_only_the_paper_has_titles_among_them() {
        assert_eq!(article().paragraphs(Variant::Fixed), ["one line", "two"]);
        assert_eq!(article().paragraphs(Variant::Paper), ["one line", " Method ", "two"]);
        assert!(!article().is_empty());
    }

    #[test]
    fn an_article_of_another_form_is_named_with_the_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let good = json!({"full_text": [], "qas": []});
        let bad = json!({"full_text": [], "qas": [{"question": 3, "question_id": "q"}]});
        std::fs::write(&path, json!({"x": good, "y": bad}).to_string()).unwrap();
        let mut articles = Articles::open(&path).unwrap();
        assert_eq!(articles.advance().unwrap().unwrap().0, "x");
        let error = articles.advance().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let place = ["row", "article", "field"].map(|key| error.context(key).unwrap());
        assert_eq!(place, ["2", "y", "qas[0].question"]);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, "[1]").unwrap();
        let error = Articles::open(&path).unwrap_err();
        assert_eq!(error.message(), "the file is no JSON object of articles");
    }
}
