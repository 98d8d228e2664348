//! What does a word mean, or refer to?

use deft_core::Result;
use deft_records::Record;

use super::{Prompt, Task};
use crate::config::Variant;

/// Winograd schemas at scale.
#[derive(Debug)]
pub(crate) struct WinoGrande;

impl Task for WinoGrande {
    const NAME: &'static str = "t0/winogrande";
    const SUMMARY: &'static str = "WinoGrande XL: which of two names fits into a sentence";
    const DATASET: &'static str = "winogrande";
    const KEPT: &'static [&'static str] = &[];

    fn prompt(record: &Record, variant: Variant) -> Result<Prompt> {
        let sentence = record.text("sentence")?;
        let names = [record.text("option1")?, record.text("option2")?];
        let input = format!(
            "{sentence}\nWhat does the _ in the above sentence refer to? {} or {}?",
            names[0], names[1]
        );
        let options = match variant {
            // The published code has the numbers scored, of which the prompt says nothing.
            Variant::Paper => ["1", "2"],
            Variant::Fixed => names,
        };
        Ok(Prompt::new(input, &options, record.label_from(1, "answer", 2)?))
    }

    /// The prompt asks for _the_ gap.
    fn flaw(record: &Record) -> Result<Option<&'static str>> {
        let gaps = record.text("sentence")?.matches('_').count();
        Ok((gaps != 1).then_some("the sentence does not have exactly one `_`"))
    }
}

/// The Winograd schema challenge.
#[derive(Debug)]
pub(crate) struct Wsc;

impl Task for Wsc {
    const NAME: &'static str = "t0/wsc";
    const SUMMARY: &'static str = "SuperGLUE WSC: does a pronoun refer to a noun";
    const DATASET: &'static str = "super_glue";
    const KEPT: &'static [&'static str] = &["idx"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        let text = record.text("text")?;
        let (noun, pronoun) = (record.text("span1_text")?, record.text("span2_text")?);
        let input = format!(
            "Passage: {text} \nQuestion: In the passage above, does the pronoun \"{pronoun}\" \
             refer to {noun}?\nAnswer:"
        );
        Ok(Prompt::new(input, &["False", "True"], record.label("label", 2)?))
    }

    fn flaw(record: &Record) -> Result<Option<&'static str>> {
        let text = plain(record.text("text")?);
        for span in ["span1_text", "span2_text"] {
            let span = plain(record.text(span)?);
            if span.is_empty() {
                return Ok(Some("a span is empty"));
            }
            if !text.contains(&span) {
                return Ok(Some("a span is not in the text"));
            }
        }
        Ok(None)
    }
}

/// A text in lower case, its words one space apart: many spans of the published set differ from their
/// text in that, and in nothing else.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Words in context.
#[derive(Debug)]
pub(crate) struct Wic;

impl Task for Wic {
    const NAME: &'static str = "t0/wic";
    const SUMMARY: &'static str = "SuperGLUE WiC: has a word the same sense in two sentences";
    const DATASET: &'static str = "super_glue";
    const KEPT: &'static [&'static str] = &["idx"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        let sentences = [record.text("sentence1")?, record.text("sentence2")?];
        let word = record.text("word")?;
        let input = format!(
            "{}\n{}\nQuestion: Is the word '{word}' used in the same sense in the two sentences \
             above? Yes, No?",
            sentences[0], sentences[1]
        );
        Ok(Prompt::new(input, &["no", "yes"], record.label("label", 2)?))
    }
}
