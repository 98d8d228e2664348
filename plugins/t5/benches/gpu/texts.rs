//! The texts that are measured with.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use deft_neural::{Workers, tokenizer};
use serde::Deserialize;
use tokenizers::Tokenizer;

/// Texts of a tokenising task, as many as the plugin takes.
const TOKENISED_AT_ONCE: usize = 64;

/// A line of a file of prompts, as `deft read` prints them.
#[derive(Deserialize)]
struct Prompt {
    input: String,
}

/// The prompts of a file, at least one.
pub(crate) fn read(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).or_io("cannot read the prompts", path)?;
    let prompt = |line: &str| -> Result<String> {
        let prompt: Prompt = serde_json::from_str(line)
            .or_error(ErrorKind::Data, "a line is no JSON object with a text `input`")
            .map_err(|error| error.with_context("file", path.display()))?;
        Ok(prompt.input)
    };
    let prompts = text.lines().map(prompt).collect::<Result<Vec<_>>>()?;
    if prompts.is_empty() {
        return Err(
            Error::new(ErrorKind::Data, "there is no prompt").with_context("file", path.display())
        );
    }
    Ok(prompts)
}

/// A text of at least so many tokens, whatever the tokenizer: one for each word and more.
pub(crate) fn long(start: usize, words: usize) -> String {
    let word = |n: usize| ((start * 104_729 + n * 7919) % 100_000).to_string();
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

/// A model's tokenizer, as the plugin uses it.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    end: Option<u32>,
    limit: usize,
}

impl Tokens {
    /// Reads that of a model's folder.
    pub(crate) fn read(model: &Path, max_tokens: usize) -> Result<Self> {
        let path = model.join("tokenizer.json");
        let bytes = std::fs::read(&path).or_io("cannot read the tokenizer", &path)?;
        let tokenizer = tokenizer(&bytes, &path, usize::MAX)?;
        Ok(Self { end: tokenizer.token_to_id("</s>"), tokenizer, limit: max_tokens })
    }

    /// Tokens of each text, `</s>` included, by so many threads.
    pub(crate) fn lengths(&self, texts: &[&str], threads: usize) -> Result<Vec<usize>> {
        let tasks: Vec<&[&str]> = texts.chunks(TOKENISED_AT_ONCE).collect();
        let mut lengths = Vec::with_capacity(texts.len());
        Workers::new(threads)?.run(
            tasks.len(),
            |task| tasks[task].iter().map(|text| self.length(text)).collect::<Result<Vec<_>>>(),
            |_, some| {
                lengths.extend(some);
                Ok(())
            },
        )?;
        Ok(lengths)
    }

    fn length(&self, text: &str) -> Result<usize> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| {
            Error::new(ErrorKind::Data, "a text cannot be tokenised").with_source(error.as_ref())
        })?;
        let ids = encoding.get_ids();
        let ends = ids.last() == self.end.as_ref();
        Ok((ids.len() + usize::from(!ends)).min(self.limit))
    }
}
