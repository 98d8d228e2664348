//! Texts to token ids, by a `tokenizer.json`.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt, excerpt};
use deft_neural::{Encoded, attempt, tokenizer};
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection};

use crate::network::NetworkConfig;

/// A tokenizer that goes with a network.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// The file, as it is, for fingerprints.
    bytes: Vec<u8>,
    /// Special tokens that every text gets: `[CLS]` and `[SEP]`.
    added: usize,
    /// Rows of the network's table of words.
    vocabulary: usize,
    /// Whether texts are lowered before the tokenizer sees them.
    lower_case: bool,
}

impl Tokens {
    /// Reads the tokenizer in a model's folder.
    pub(crate) fn read(dir: &Path, config: &NetworkConfig, lower_case: bool) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let bytes =
            std::fs::read(&path).or_io("cannot read the tokenizer", &path).map_err(|e| {
                e.with_hint(
                    "a model folder needs `tokenizer.json`; from vocab.txt it is made in Python: \
                 `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`",
                )
            })?;
        let tokenizer = tokenizer(&bytes, &path, config.vocabulary)?;
        let added = tokenizer.get_post_processor().map_or(0, |last| last.added_tokens(false));
        Ok(Self { tokenizer, bytes, added, vocabulary: config.vocabulary, lower_case })
    }

    /// The tokenizer's file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The special tokens that every text gets.
    pub(crate) fn added(&self) -> usize {
        self.added
    }

    /// The ids of a text, special tokens included, at most `limit` of them: more than [`Self::added`].
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Result<Encoded> {
        let failed = || {
            Error::new(ErrorKind::Data, "a text cannot be tokenised")
                .with_context("text", excerpt(text))
        };
        let lowered = self.lower_case.then(|| text.to_lowercase());
        let (ids, is_cut) = attempt(|| self.cut(lowered.as_deref().unwrap_or(text), limit))
            .ok_or_else(|| failed().with_hint("is tokenizer.json whole? copy it again"))?
            .map_err(|error| failed().with_source(error.as_ref()))?;
        // What the file's processor adds besides, if anything: positions are limited.
        let ids = ids[..ids.len().min(limit)].to_vec();
        // The processor's ids need not be among those of the vocabulary.
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            let message = format!(
                "the tokenizer makes the token id {id}, the model has a vocabulary of {}",
                self.vocabulary
            );
            return Err(Error::new(ErrorKind::Model, message));
        }
        Ok(Encoded { ids, is_cut })
    }

    /// Cuts the text's own tokens, so that the special ones around them stay.
    fn cut(&self, text: &str, limit: usize) -> tokenizers::Result<(Vec<u32>, bool)> {
        let mut encoding = self.tokenizer.encode_fast(text, false)?;
        let own = limit.saturating_sub(self.added);
        let is_cut = encoding.len() > own;
        if is_cut {
            encoding.truncate(own, 0, TruncationDirection::Right);
            // The parts cut off would get special tokens, too.
            encoding.take_overflowing();
        }
        let encoding = self.tokenizer.post_process(encoding, None, true)?;
        Ok((encoding.get_ids().to_vec(), is_cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tiny, edit_json};
    use serde_json::json;

    fn read(dir: &Path, lower_case: bool) -> Result<Tokens> {
        Tokens::read(dir, &NetworkConfig::read(dir).expect("valid"), lower_case)
    }

    fn ids(tokens: &Tokens, text: &str, limit: usize) -> (Vec<u32>, bool) {
        let encoded = tokens.encode(text, limit).expect("ids");
        (encoded.ids, encoded.is_cut)
    }

    #[test]
    fn limits_are_ours_and_special_tokens_stay() {
        let dir = Tiny::bert().write();
        edit_json(&dir.path().join("tokenizer.json"), |file| {
            file["truncation"] = json!({
                "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right",
            });
            file["padding"] = json!({
                "strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
            });
        });
        let tokens = read(dir.path(), false).expect("a tokenizer");
        assert_eq!(ids(&tokens, "w5 w6 w7", 9), (vec![1, 5, 6, 7, 2], false));
        assert_eq!(ids(&tokens, "w5 w6 w7", 5), (vec![1, 5, 6, 7, 2], false));
        assert_eq!(ids(&tokens, "w5 w6 w7", 4), (vec![1, 5, 6, 2], true));
        assert_eq!(ids(&tokens, "", 3), (vec![1, 2], false));
    }

    #[test]
    fn texts_are_lowered_where_the_folder_says_so() {
        let dir = Tiny::bert().write();
        let (as_is, lowered) = (read(dir.path(), false), read(dir.path(), true));
        assert_eq!(ids(&as_is.expect("a tokenizer"), "W5", 9).0, [1, 3, 2]);
        assert_eq!(ids(&lowered.expect("a tokenizer"), "W5", 9).0, [1, 5, 2]);
    }

    #[test]
    fn a_tokenizer_larger_than_the_embeddings_is_refused_with_both_sizes() {
        let dir = Tiny::bert().write();
        edit_json(&dir.path().join("config.json"), |file| file["vocab_size"] = json!(29));
        let error = read(dir.path(), false).expect_err("larger");
        let wanted = "the tokenizer has token ids up to 29, the model a vocabulary of 29";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Model, wanted));
    }

    #[test]
    fn an_id_that_only_the_template_has_is_an_error() {
        let dir = Tiny::bert().write();
        edit_json(&dir.path().join("tokenizer.json"), |file| {
            file["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([99]);
        });
        let tokens = read(dir.path(), false).expect("a tokenizer");
        let error = tokens.encode("w5", 9).expect_err("no such row");
        assert!(error.message().contains("token id 99"), "{error}");
    }

    #[test]
    fn no_tokenizer_or_a_malformed_one_is_an_error() {
        let dir = Tiny::bert().write();
        let path = dir.path().join("tokenizer.json");
        // The crate expects a name of every decoder.
        edit_json(&path, |file| file["decoder"] = json!({"no type": "WordPiece"}));
        let error = read(dir.path(), false).expect_err("malformed");
        assert!(error.message().starts_with("this is no tokenizer.json"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        let error = read(dir.path(), false).expect_err("missing");
        assert!(error.hint().is_some_and(|hint| hint.contains("vocab.txt")), "{error}");
    }
}
