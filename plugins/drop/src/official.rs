//! The official file: one JSON object of passages by name, read passage by passage.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_lines::Compression;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use serde_path_to_error::{Path as FieldPath, Track};

use crate::annotation::{OfficialAnswer, target_of_paper};
use crate::config::Variant;
use crate::question::{Answer, QUERY_ID, Question, SECTION_ID, first_text};

/// The longest passage with its questions, in bytes of JSON: what bounds the memory.
const LONGEST: u64 = 64 << 20;

const HINT: &str = "the official file is {passage_id: {passage, qa_pairs: [{question, query_id, \
                    answer, validated_answers}]}}; rows of the Hugging Face data set may also be \
                    read, as JSON lines for instance";

/// A passage with its questions.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with passage and qa_pairs")]
pub(crate) struct Passage {
    passage: String,
    qa_pairs: Vec<QaPair>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with question, query_id, answer and validated_answers")]
struct QaPair {
    question: String,
    query_id: String,
    /// Absent in the test set, whose answers are not given out.
    answer: Option<OfficialAnswer>,
    validated_answers: Option<Vec<OfficialAnswer>>,
}

/// The examples of a passage's questions, or why one is none.
pub(crate) fn examples(
    section_id: &str,
    passage: Passage,
    variant: Variant,
) -> Vec<Result<Example, &'static str>> {
    let Passage { passage, qa_pairs } = passage;
    qa_pairs.into_iter().map(|pair| pair.example(section_id, &passage, variant)).collect()
}

impl QaPair {
    fn example(
        self,
        section_id: &str,
        passage: &str,
        variant: Variant,
    ) -> Result<Example, &'static str> {
        let Self { question, query_id, answer, validated_answers } = self;
        let validated = validated_answers.unwrap_or_default();
        // Hugging Face's rows have the annotators' answers alone where there are any.
        let rows = if validated.is_empty() { answer.as_slice() } else { validated.as_slice() };
        let of_paper = target_of_paper(rows);
        let answers: Vec<_> = answer.into_iter().chain(validated).map(Answer::from).collect();
        let target = match variant {
            Variant::Paper => of_paper?,
            Variant::Fixed => first_text(&answers),
        };
        let ids = [(SECTION_ID, section_id.into()), (QUERY_ID, query_id.into())];
        let ids = Map::from_iter(ids.map(|(name, id): (&str, Value)| (name.to_owned(), id)));
        Ok(Question { passage, text: &question, target, answers, ids }.example(variant))
    }
}

/// Whether a file is an official one: JSON by its name, and an object whose first value is a
/// passage. Lines of JSON also begin with an object, whose first value may be one, too. What cannot
/// be read is none: whoever reads rows has the better words for it.
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
    if passages.name().is_err() || passages.peek().is_ok_and(|next| next != Some(b'{')) {
        return false;
    }
    let mut names = Vec::new();
    let is_whole = passages.names(&mut names).is_ok();
    let has = |name: &str| names.iter().any(|known| known == name);
    // A damaged passage may be known by one of its names: its own reader says what is wrong with it.
    if is_whole { has("passage") && has("qa_pairs") } else { has("passage") || has("qa_pairs") }
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

    /// The names in an object, as far as it can be read.
    fn names(&mut self, names: &mut Vec<String>) -> Result<()> {
        self.seeded(Names(names))
    }

    fn value<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.seeded(PhantomData::<T>)
    }

    /// One value, and not a byte beyond: strings and objects end with a sign of their own.
    fn seeded<T>(&mut self, seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> Result<T> {
        let mut limited = (&mut self.input).take(LONGEST);
        let mut track = Track::new();
        let mut json = serde_json::Deserializer::from_reader(&mut limited);
        let found = seed.deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
        let is_too_long = limited.limit() == 0;
        found.map_err(|error| {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            match error.classify() {
                serde_json::error::Category::Io => {
                    self.compression.unreadable(&self.path, &io::Error::from(error))
                }
                serde_json::error::Category::Data => {
                    let message = format!("the passage is not of DROP's official form: {what}");
                    match field(&track.path(), what) {
                        Some(field) => self.wrong(&message).with_context("field", field),
                        None => self.wrong(&message),
                    }
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

    /// The number of the passage given last, from 1.
    pub(crate) fn row(&self) -> u64 {
        self.count
    }

    /// An error about the passage that is being read.
    fn wrong(&self, message: &str) -> Error {
        Error::new(ErrorKind::Data, message)
            .with_context("file", self.path.display())
            .with_context("row", self.count + 1)
            .with_hint(HINT)
    }
}

/// The field of a passage that an error is about: `qa_pairs[3].question`; none if it is the passage
/// itself. A missing field is named by the message, where the path ends with the object that lacks it.
fn field(path: &FieldPath, message: &str) -> Option<String> {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (path.iter().len(), missing) {
        (0, missing) => missing.map(str::to_owned),
        (_, Some(missing)) => Some(format!("{path}.{missing}")),
        (_, None) => Some(path.to_string()),
    }
}

/// Takes the names in an object; those before a fault are kept.
struct Names<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key()? {
            self.0.push(name);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "official_tests.rs"]
mod tests;
