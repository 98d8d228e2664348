//! Encoders: texts into vectors.

use serde::{Deserialize, Serialize};

use crate::{Context, Error, ErrorKind, Result};

/// Turns texts into vectors of one length.
///
/// - A text's vector depends on the text and its role alone: not on its neighbours in the batch,
///   their order, padding or the number of threads.
/// - `encode` may be called from several threads at once.
/// - A failed `encode` leaves `out` in an undefined state.
pub trait Encoder: Send + Sync {
    /// What the vectors are.
    fn info(&self) -> EncoderInfo;

    /// Encodes `texts` into `out`: row-major, `texts.len() × dimension`, in the texts' order.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Cancelled`] once the user asked to stop.
    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport>;

    /// Answers a request that this version of the trait does not name, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for every name that the component does not know.
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        Err(crate::Error::unknown_call(name))
    }
}

/// What a text is encoded for: models may limit or prefix the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TextRole {
    /// An example of the pool.
    Pool,
    /// A query that is searched for.
    Query,
}

impl TextRole {
    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Query => "query",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "pool" => Ok(Self::Pool),
            "query" => Ok(Self::Query),
            _ => Err(Error::new(ErrorKind::Unsupported, "texts of this role are unknown here")
                .with_context("role", name)),
        }
    }
}

/// What an encoder's vectors are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInfo {
    /// Components of each vector.
    pub dimension: usize,
    /// Everything that can change a vector: weights, tokenizer, pooling, limits, precision.
    pub fingerprint: String,
    /// The most tokens of a pool text that are looked at; `None` without limit.
    #[serde(default)]
    pub max_tokens: Option<usize>,
    /// The most tokens of a query that are looked at; `None` without limit.
    #[serde(default)]
    pub max_query_tokens: Option<usize>,
    /// What a reader of the results should know (“random weights”), a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl EncoderInfo {
    /// Information without limits and notes.
    pub fn new(dimension: usize, fingerprint: impl Into<String>) -> Self {
        Self {
            dimension,
            fingerprint: fingerprint.into(),
            max_tokens: None,
            max_query_tokens: None,
            notes: Vec::new(),
        }
    }
}

/// What happened while encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeReport {
    /// Tokens encoded, padding not counted.
    #[serde(default)]
    pub tokens: u64,
    /// Texts that were cut at the token limit.
    #[serde(default)]
    pub truncated: u64,
}
