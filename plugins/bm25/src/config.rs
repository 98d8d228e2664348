//! Options of `bm25`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the retriever `bm25`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bm25Config {
    /// Where `k1` and `b` come from that are not given: `anserini` (default, the paper's; 0.9 and
    /// 0.4), `lucene` or `tantivy` (both 1.2 and 0.75). The formula is Lucene's in each.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) preset: Preset,
    /// How much further occurrences of a word in a text count: 0 not at all (0 to 100). Default:
    /// that of the preset.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100), extend("x-deft-mark" = "search"))]
    pub(crate) k1: Option<f64>,
    /// How much a text's length is held against it: 0 not at all, 1 in full (0 to 1). Default: that
    /// of the preset.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1), extend("x-deft-mark" = "search"))]
    pub(crate) b: Option<f64>,
    /// What of a query is searched with: `whole` (default) all of its words, `paper` what was left of
    /// it in the paper's files: line breaks are deleted, so that the words around them become one.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) query_text: QueryText,
    /// Memory in MB that indexing one part of the pool may fill before it writes to disk
    /// (default 64; 15 to 4,000).
    #[serde(default = "index_memory_mb")]
    #[schemars(range(min = 15, max = 4000), extend("x-deft-mark" = "use"))]
    pub(crate) index_memory_mb: usize,
}

/// Whose parameters are taken where none are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preset {
    /// Those of Anserini and Pyserini, which the paper used.
    #[default]
    Anserini,
    /// Those of Lucene itself.
    Lucene,
    /// Those of tantivy.
    Tantivy,
}

/// How a query's text is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum QueryText {
    /// As it is.
    #[default]
    Whole,
    /// As the paper's scripts wrote it into a file of a query per line.
    Paper,
}

impl Bm25Config {
    pub(crate) fn k1(&self) -> f64 {
        self.k1.unwrap_or(match self.preset {
            Preset::Anserini => 0.9,
            Preset::Lucene | Preset::Tantivy => 1.2,
        })
    }

    pub(crate) fn b(&self) -> f64 {
        self.b.unwrap_or(match self.preset {
            Preset::Anserini => 0.4,
            Preset::Lucene | Preset::Tantivy => 0.75,
        })
    }
}

impl QueryText {
    /// The text that a query is searched with.
    pub(crate) fn of(self, query: &str) -> Cow<'_, str> {
        match self {
            Self::Paper if query.contains(['\n', '\r']) => query.replace(['\n', '\r'], "").into(),
            // Tabs became blanks, which separate words as tabs do.
            Self::Paper | Self::Whole => query.into(),
        }
    }
}

fn index_memory_mb() -> usize {
    64
}

impl Default for Bm25Config {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            k1: None,
            b: None,
            query_text: QueryText::default(),
            index_memory_mb: index_memory_mb(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Bm25Config {
        serde_json::from_str(json).expect("options")
    }

    #[test]
    fn a_preset_gives_what_is_not_given() {
        for (json, wanted) in [
            ("{}", (0.9, 0.4)),
            (r#"{"preset": "anserini"}"#, (0.9, 0.4)),
            (r#"{"preset": "lucene"}"#, (1.2, 0.75)),
            (r#"{"preset": "tantivy"}"#, (1.2, 0.75)),
            (r#"{"preset": "lucene", "k1": 2}"#, (2.0, 0.75)),
            (r#"{"preset": "lucene", "b": 0}"#, (1.2, 0.0)),
        ] {
            assert_eq!((config(json).k1(), config(json).b()), wanted, "{json}");
        }
    }

    #[test]
    fn line_breaks_of_the_papers_queries_are_deleted_and_nothing_else() {
        let query = "one\ntwo\r\nthree\tfour\u{2028}five ";
        assert_eq!(QueryText::Whole.of(query), query);
        assert_eq!(QueryText::Paper.of(query), "onetwothree\tfour\u{2028}five ");
    }
}
