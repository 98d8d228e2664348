//! Texts to token ids and back, by a `tokenizer.json`.

use std::path::{Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Result, ResultExt, excerpt};
use deft_neural::{Encoded, attempt, tokenizer};
use tokenizers::Tokenizer;

use crate::network::NetworkConfig;

/// The longest text that is encoded at once; a longer one would take hours.
pub(crate) const MAX_TOKENS: usize = 32_768;

/// A tokenizer that ends every text with `</s>`.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    /// The file, as it is: for fingerprints and for the folders of trained models.
    bytes: Vec<u8>,
    eos: u32,
}

impl Tokens {
    /// Reads a tokenizer that goes with a network.
    pub(crate) fn read(path: &Path, config: &NetworkConfig) -> Result<Self> {
        let bytes = read(path)?;
        let tokenizer = tokenizer(&bytes, path, config.vocabulary)?;
        Ok(Self { tokenizer, bytes, eos: config.eos })
    }

    /// The tokenizer's file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The id of `</s>`.
    pub(crate) fn eos(&self) -> u32 {
        self.eos
    }

    /// The id of a token, if there is such a token.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The ids of a text, `</s>` last, at most `limit` of them.
    pub(crate) fn encode(&self, text: &str, limit: Option<usize>) -> Result<Encoded> {
        let failed = || {
            Error::new(ErrorKind::Data, "a text cannot be tokenised")
                .with_context("text", excerpt(text))
        };
        let encoding = attempt(|| self.tokenizer.encode_fast(text, true))
            .ok_or_else(|| failed().with_hint("is tokenizer.json whole? copy it again"))?
            .map_err(|error| failed().with_source(error.as_ref()))?;
        let mut ids = encoding.get_ids().to_vec();
        // Every T5 tokenizer adds it; one that does not would give other vectors.
        if ids.last() != Some(&self.eos) {
            ids.push(self.eos);
        }
        if limit.is_none() && ids.len() > MAX_TOKENS {
            let message =
                format!("a text has {} tokens; at most {MAX_TOKENS} are encoded", ids.len());
            return Err(Error::new(ErrorKind::Data, message)
                .with_context("text", excerpt(text))
                .with_hint("set a limit: `max_query_tokens`"));
        }
        let is_cut = limit.is_some_and(|limit| ids.len() > limit);
        if let (true, Some(limit)) = (is_cut, limit) {
            ids.truncate(limit.max(1) - 1);
            ids.push(self.eos);
        }
        Ok(Encoded { ids, is_cut })
    }

    /// The text of generated ids, without special tokens.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer.decode(ids, true).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "generated ids have no text")
                .with_source(error.as_ref())
        })
    }
}

/// Where the tokenizer of a model lies.
pub(crate) fn default_path(model: &Path) -> PathBuf {
    model.join("tokenizer.json")
}

/// Where the tokenizer lies that a user names: a file, or a model that has one.
pub(crate) fn resolve(ctx: &Context<'_>, name: &str) -> Result<PathBuf> {
    let path = ctx.resolve(name)?;
    Ok(if path.is_dir() { default_path(&path) } else { path })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let error = match std::fs::read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    if error.kind() == std::io::ErrorKind::NotFound && path.with_file_name("spiece.model").exists()
    {
        let message = "the model has a spiece.model and no tokenizer.json";
        return Err(Error::new(ErrorKind::Model, message)
            .with_context("path", path.display())
            .with_hint(
                "spiece.model is not read: name a tokenizer.json of the same vocabulary, or a \
                 model that has one; for T5 of any size, v1.1 too: `tokenizer: google-t5/t5-small`",
            ));
    }
    Err(error).or_io("cannot read the tokenizer", path).map_err(|e| {
        e.with_hint(
            "a model folder needs `tokenizer.json`, or say where one is: `tokenizer: FILE` or \
             `tokenizer: org/name`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, model_dir};
    use serde_json::{Value, json};

    #[test]
    fn a_tokenizer_larger_than_the_embeddings_is_refused_with_both_sizes() {
        let dir = model_dir(&json!({"vocab_size": 39}));
        let path = dir.path().join("config.json");
        let text = std::fs::read_to_string(&path).expect("readable");
        let config = NetworkConfig::parse(&text, &path).expect("valid");
        let error = Tokens::read(&dir.path().join("tokenizer.json"), &config).expect_err("larger");
        let wanted = "the tokenizer has token ids up to 39, the model a vocabulary of 39";
        assert_eq!((error.kind(), error.message()), (ErrorKind::Model, wanted));
    }

    #[test]
    fn a_tokenizer_is_named_by_its_file_or_by_a_model_that_has_one() {
        let dir = model_dir(&json!({}));
        let file = dir.path().join("tokenizer.json");
        for named in [dir.path(), &file] {
            let found = resolve(&context(1), &named.display().to_string()).expect("found");
            assert_eq!(found, file);
        }
    }

    #[test]
    fn a_model_with_spiece_model_alone_is_told_what_to_do() {
        let dir = model_dir(&json!({}));
        let text = std::fs::read_to_string(dir.path().join("config.json")).expect("readable");
        let config = NetworkConfig::parse(&text, dir.path()).expect("valid");
        let path = default_path(dir.path());
        std::fs::remove_file(&path).expect("removed");
        let advice = |word: &str| {
            let error = Tokens::read(&path, &config).expect_err("missing");
            assert!(error.hint().is_some_and(|hint| hint.contains(word)), "{:?}", error.hint());
            error.kind()
        };
        assert_eq!(advice("`tokenizer: org/name`"), ErrorKind::Io);
        std::fs::write(dir.path().join("spiece.model"), "").expect("written");
        assert_eq!(advice("google-t5/t5-small"), ErrorKind::Model);
    }

    #[test]
    fn a_malformed_part_of_a_tokenizer_is_an_error() {
        let dir = model_dir(&json!({}));
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("readable");
        let config = NetworkConfig::parse(&text("config.json"), dir.path()).expect("valid");
        let mut tokenizer: Value = serde_json::from_str(&text("tokenizer.json")).expect("JSON");
        let path = dir.path().join("tokenizer.json");
        Tokens::read(&path, &config).expect("a tokenizer");
        // The crate expects a name of every decoder.
        tokenizer["decoder"] = json!({"no type": "Metaspace"});
        std::fs::write(&path, tokenizer.to_string()).expect("written");
        let error = Tokens::read(&path, &config).expect_err("malformed");
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().starts_with("this is no tokenizer.json"), "{error}");
        assert!(error.context("file").is_some());
    }
}
