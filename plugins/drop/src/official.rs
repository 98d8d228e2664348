//! The official file: one JSON object of passages by name, read passage by passage.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_lines::Compression;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config::Variant;
use crate::question::{Answer, AnswerKind, QUERY_ID, Question, SECTION_ID};

/// The longest passage with its questions, in bytes of JSON: what bounds the memory.
const LONGEST: u64 = 64 << 20;

const HINT: &str = "the official file is {passage_id: {passage, qa_pairs: [{question, query_id, \
                    answer, validated_answers}]}}; rows of the Hugging Face data set may also be \
                    read, as JSON lines for instance";

/// A passage with its questions.
#[derive(Debug, Deserialize)]
pub(crate) struct Passage {
    passage: String,
    qa_pairs: Vec<QaPair>,
}

#[derive(Debug, Deserialize)]
struct QaPair {
    question: String,
    query_id: String,
    /// Absent in the test set, whose answers are not given out.
    answer: Option<OfficialAnswer>,
    validated_answers: Option<Vec<OfficialAnswer>>,
}

/// An answer: a number, else spans, else a date.
#[derive(Debug, Deserialize)]
pub(crate) struct OfficialAnswer {
    #[serde(default)]
    number: Value,
    #[serde(default)]
    spans: Vec<String>,
    #[serde(default)]
    date: Date,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Date {
    day: String,
    month: String,
    year: String,
}

impl From<OfficialAnswer> for Answer {
    fn from(answer: OfficialAnswer) -> Self {
        let number = match answer.number {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text,
            _ => String::new(),
        };
        if !number.is_empty() {
            return Self::of_one(AnswerKind::Number, number);
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

/// The examples of a passage.
pub(crate) fn examples(section_id: &str, passage: Passage, variant: Variant) -> Vec<Example> {
    let Passage { passage, qa_pairs } = passage;
    let example = |pair: QaPair| {
        let ids = [(SECTION_ID, section_id.into()), (QUERY_ID, pair.query_id.into())];
        let answers = pair.answer.into_iter().chain(pair.validated_answers.unwrap_or_default());
        let question = Question {
            passage: &passage,
            text: &pair.question,
            answers: answers.map(Answer::from).collect(),
            ids: Map::from_iter(ids.map(|(name, id): (&str, Value)| (name.to_owned(), id))),
        };
        question.example(variant)
    };
    qa_pairs.into_iter().map(example).collect()
}

/// Whether a file is an official one: JSON by its name, and an object of objects. What cannot be
/// read is none: whoever reads rows has the better words for it.
pub(crate) fn is_official(path: &Path) -> bool {
    let (_, stem) = Compression::of_name(path);
    if stem.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
        return false;
    }
    let Ok(mut passages) = Passages::open(path) else { return false };
    if passages.is_over {
        return false;
    }
    if passages.peek().is_ok_and(|next| next == Some(b'}')) {
        return true;
    }
    passages.name().is_ok() && passages.peek().is_ok_and(|next| next == Some(b'{'))
}

/// The passages of an official file.
pub(crate) struct Passages {
    path: PathBuf,
    compression: Compression,
    input: Box<dyn BufRead + Send>,
    /// Passages read so far.
    count: u64,
    is_over: bool,
}

impl Passages {
    /// Opens a file, up to the brace that it begins with. An empty file has no passage.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (compression, _) = Compression::of_name(path);
        let input = compression.open(path)?;
        let path = path.to_owned();
        let mut passages = Self { path, compression, input, count: 0, is_over: false };
        passages.skip_byte_order_mark()?;
        match passages.peek()? {
            None => passages.is_over = true,
            Some(_) => passages.expect(b'{')?,
        }
        Ok(passages)
    }

    /// The next passage and its name; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<(String, Passage)>> {
        if self.is_over {
            return Ok(None);
        }
        if self.peek()? == Some(b'}') {
            self.expect(b'}')?;
            self.is_over = true;
            return match self.peek()? {
                None => Ok(None),
                Some(_) => Err(self.wrong("something follows the last passage")),
            };
        }
        if self.count > 0 {
            self.expect(b',')?;
        }
        let name = self.name()?;
        let passage = self.value()?;
        self.count += 1;
        Ok(Some((name, passage)))
    }

    /// The name of a passage and the colon behind it.
    fn name(&mut self) -> Result<String> {
        let name = self.value()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// One value, and not a byte beyond: strings and objects end with a sign of their own.
    fn value<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut limited = (&mut self.input).take(LONGEST);
        let found = T::deserialize(&mut serde_json::Deserializer::from_reader(&mut limited));
        let is_too_long = limited.limit() == 0;
        found.map_err(|error| {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            match error.classify() {
                serde_json::error::Category::Io => {
                    self.compression.unreadable(&self.path, &io::Error::from(error))
                }
                serde_json::error::Category::Data => {
                    self.wrong(&format!("the passage is not of DROP's official form: {what}"))
                }
                _ if is_too_long => {
                    self.wrong(&format!("the passage is longer than {LONGEST} bytes"))
                }
                _ => self.wrong(&format!("malformed JSON: {what}")),
            }
        })
    }

    /// Takes a sign that must come next.
    fn expect(&mut self, sign: u8) -> Result<()> {
        match self.peek()? {
            Some(found) if found == sign => {
                self.input.consume(1);
                Ok(())
            }
            Some(_) => Err(self.wrong(&format!("malformed JSON: expected `{}`", char::from(sign)))),
            None => Err(self.wrong("malformed JSON: the file ends in the middle")),
        }
    }

    /// The next sign that is no white space, left where it is.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let next = self.input.fill_buf().map(|buffer| buffer.first().copied());
            let next = next.map_err(|source| self.compression.unreadable(&self.path, &source))?;
            match next {
                Some(byte) if byte.is_ascii_whitespace() => self.input.consume(1),
                _ => return Ok(next),
            }
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let has_mark = self.input.fill_buf().map(|buffer| buffer.starts_with(MARK));
        if has_mark.map_err(|source| self.compression.unreadable(&self.path, &source))? {
            self.input.consume(MARK.len());
        }
        Ok(())
    }

    /// An error about the passage that is being read.
    fn wrong(&self, message: &str) -> Error {
        Error::new(ErrorKind::Data, message)
            .with_context("file", self.path.display())
            .with_context("row", self.count + 1)
            .with_hint(HINT)
    }
}

#[cfg(test)]
#[path = "official_tests.rs"]
mod tests;
