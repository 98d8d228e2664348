//! Options of `dense`.

use deft_core::VectorType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the retriever `dense`, beside its children `encoder` and `index`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DenseConfig {
    /// How the pool's vectors are stored: `f16` (default; half the space), `f32` (as the encoder
    /// made them) or `int8` (a quarter of the space; each component is off by at most 1/254 of its
    /// row's largest); or `none`: `f16` while the index is made, and removed once it is. Without
    /// vectors recall cannot be measured, `exact` cannot search and nothing can be ranked again, and
    /// an index that has to be made again costs encoding again.
    #[serde(default)]
    pub(crate) vectors: Kept,
    /// Rows of the pool in one index unit (default 1,000,000; at least 1). Units are built at the
    /// same time, each on one thread; a search goes through all of them. An index that is there
    /// already (`file` of `faiss`) is one unit.
    #[serde(default = "rows_per_unit")]
    #[schemars(range(min = 1))]
    pub(crate) rows_per_unit: usize,
}

/// How the pool's vectors are stored, and whether they stay.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kept {
    /// As 16-bit floats.
    #[default]
    F16,
    /// As 32-bit floats.
    F32,
    /// As 8-bit integers with a scale for each row.
    Int8,
    /// Not once the index is made.
    None,
}

impl Kept {
    /// Whether they stay once the index is made.
    pub(crate) fn stay(self) -> bool {
        self != Self::None
    }

    /// How they are stored, as long as they are there.
    pub(crate) fn stored_as(self) -> VectorType {
        match self {
            Self::F16 | Self::None => VectorType::F16,
            Self::F32 => VectorType::F32,
            Self::Int8 => VectorType::Int8,
        }
    }
}

fn rows_per_unit() -> usize {
    1_000_000
}

impl Default for DenseConfig {
    fn default() -> Self {
        Self { vectors: Kept::default(), rows_per_unit: rows_per_unit() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_kept_as_f16_unless_the_user_says_otherwise() {
        let parse = |options| deft_core::options::parse::<DenseConfig>(&options);
        let kept = |options| parse(options).expect("options").vectors;
        assert_eq!(kept(serde_json::json!({})), Kept::F16);
        for (name, vectors, stored_as, stay) in [
            ("f16", Kept::F16, VectorType::F16, true),
            ("f32", Kept::F32, VectorType::F32, true),
            ("int8", Kept::Int8, VectorType::Int8, true),
            ("none", Kept::None, VectorType::F16, false),
        ] {
            assert_eq!(kept(serde_json::json!({ "vectors": name })), vectors);
            assert_eq!((vectors.stored_as(), vectors.stay()), (stored_as, stay));
        }
        let error = parse(serde_json::json!({ "vectors": "f8" })).expect_err("no such type");
        assert!(error.hint().is_some_and(|hint| hint.contains("none")), "{error}");
    }
}
