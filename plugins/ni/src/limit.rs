//! The length rule: prompts of at most so many tokens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use deft_core::excerpt;
use deft_core::prelude::*;
use tokenizers::Tokenizer;

/// A limit on the tokens of a text, the end token among them.
#[derive(Debug)]
pub(crate) struct Limit {
    tokenizer: Tokenizer,
    /// The most tokens.
    pub(crate) tokens: usize,
}

impl Limit {
    /// A limit by the tokenizer that a user names: a folder that has one, or its file.
    pub(crate) fn open(ctx: &Context<'_>, name: &str, tokens: usize) -> Result<Self> {
        let path = ctx.resolve(name)?;
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path };
        Ok(Self { tokenizer: read(&file)?, tokens })
    }

    /// How many tokens a text has.
    pub(crate) fn count(&self, text: &str) -> Result<usize> {
        let encoding = attempt(text, || self.tokenizer.encode_fast(text, true))?;
        Ok(encoding.get_ids().len())
    }

    /// What the first tokens of a text say: often in other white space than the text.
    pub(crate) fn cut(&self, text: &str) -> Result<String> {
        let encoding = attempt(text, || self.tokenizer.encode_fast(text, true))?;
        let ids = encoding.get_ids();
        let first = &ids[..ids.len().min(self.tokens)];
        attempt(text, || self.tokenizer.decode(first, true))
    }

    /// A text up to its last `count` tokens, which go.
    pub(crate) fn without_last<'a>(&self, text: &'a str, count: usize) -> Result<&'a str> {
        let encoding = attempt(text, || self.tokenizer.encode(text, false))?;
        let offsets = encoding.get_offsets();
        let kept = offsets.len().saturating_sub(count);
        let mut end = kept.checked_sub(1).map_or(0, |last| offsets[last].1.min(text.len()));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Ok(&text[..end])
    }
}

fn read(file: &Path) -> Result<Tokenizer> {
    let bytes = std::fs::read(file).or_io("cannot read the tokenizer", file).map_err(|error| {
        error.with_hint("`tokenizer` names a folder with a tokenizer.json, or such a file")
    })?;
    let wrong = || {
        Error::new(ErrorKind::Model, "this is no tokenizer.json")
            .with_context("file", file.display())
    };
    // The crate panics over some malformed files instead of refusing them.
    let mut tokenizer = catch_unwind(|| Tokenizer::from_bytes(&bytes))
        .map_err(|_| wrong())?
        .map_err(|error| wrong().with_source(error.as_ref()))?;
    // Files may carry limits of their own; ours is an option.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| wrong().with_source(error.as_ref()))?;
    Ok(tokenizer)
}

/// What the tokenizer makes of a text.
fn attempt<T>(text: &str, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    let failed = || {
        Error::new(ErrorKind::Data, "a text cannot be tokenised")
            .with_context("text", excerpt(text))
            .with_hint("is tokenizer.json whole? copy it again")
    };
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| failed())?
        .map_err(|error| failed().with_source(error.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{limit, tokenizer_json};
    use deft_core::NoServices;

    #[test]
    fn tokens_are_counted_with_the_end_token() {
        assert_eq!(limit(9).count("one two,  three").unwrap(), 5);
        assert_eq!(limit(9).count("").unwrap(), 1);
    }

    #[test]
    fn a_cut_text_has_the_first_tokens_and_no_end_token() {
        assert_eq!(limit(2).cut("one two three").unwrap(), "one two");
        assert_eq!(limit(9).cut("one two").unwrap(), "one two");
    }

    #[test]
    fn the_last_tokens_go_and_what_stands_before_them_stays_as_it_is() {
        let of = |count| limit(9).without_last("one\ntwo,  three", count).unwrap().to_owned();
        assert_eq!([of(0), of(1), of(2), of(9)], ["one\ntwo,  three", "one\ntwo,", "one\ntwo", ""]);
    }

    #[test]
    fn a_tokenizer_may_be_named_by_its_folder_and_what_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokenizer.json");
        let ctx = Context::new(&NoServices, 0, 1);
        let open = |path: &Path| Limit::open(&ctx, &path.display().to_string(), 9);
        assert_eq!(open(&file).unwrap_err().kind(), ErrorKind::Io);
        std::fs::write(&file, tokenizer_json()).unwrap();
        for path in [dir.path(), file.as_path()] {
            assert_eq!(open(path).unwrap().count("one two").unwrap(), 3);
        }
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(open(&file).unwrap_err().message(), "this is no tokenizer.json");
    }
}
