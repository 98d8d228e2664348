//! Indexes: nearest neighbours among vectors.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, HitsMut, Matrix, Result, VectorStore};

/// The component of kind *index*: makes builders and opens what they left.
///
/// Its methods may be called from several threads at once. A retriever trains at most one codec over a sample (`builder`, `train`, `finish`), builds one
/// index per unit of rows from it (`builder`, `add` …, `finish`), and opens every unit for search.
pub trait IndexFactory: Send + Sync {
    /// What the index needs.
    fn info(&self) -> IndexInfo;

    /// What one index of such a shape takes, for estimates; without it nothing is known.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Options`] when the options do not fit the dimension.
    fn cost(&self, _shape: IndexShape) -> Result<IndexCost> {
        Ok(IndexCost::default())
    }

    /// A builder of an index of such a shape.
    ///
    /// `trained` is a folder that a trained builder's `finish` wrote; without it the builder
    /// starts untrained.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Options`] when the options do not fit the dimension.
    fn builder(
        &self,
        ctx: &Context<'_>,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>>;

    /// Opens the folder that a builder's `finish` wrote.
    ///
    /// `vectors` are the rows that the index was built from, for exact scores; there are none where
    /// the user does not keep them.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Data`] when the folder holds no such index, or holds a damaged one.
    fn open(
        &self,
        ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>>;

    /// Answers a request that this version of the trait does not name, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for every name that the component does not know.
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        Err(crate::Error::unknown_call(name))
    }
}

/// What an index is built over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexShape {
    /// Rows that will be added; for a builder that is only trained, the rows of the largest index
    /// that starts from it.
    pub rows: usize,
    /// Components of each vector.
    pub dimension: usize,
}

/// What a retriever must know of an index that it builds and searches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// The most vectors of a sample that training looks at; 0 when there is nothing to train.
    #[serde(default)]
    pub training_vectors: usize,
    /// Whether every search compares every vector as it is stored, and so misses nothing.
    #[serde(default)]
    pub exact: bool,
    /// What its scores are; the recall of an index that is not exact is measured with it.
    #[serde(default)]
    pub metric: Metric,
    /// Whether [`IndexFactory::open`] refuses to do without the vectors.
    #[serde(default)]
    pub needs_vectors: bool,
    /// Whether the index is there already, over the whole pool in its order: nothing is encoded for
    /// it and nothing added. A builder's `finish` then checks it against the shape.
    #[serde(default)]
    pub ready: bool,
}

/// How near two vectors are; a larger score is closer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Negated squared Euclidean distance: 0 for equal vectors.
    #[default]
    L2,
    /// Inner product: the cosine similarity where vectors have length 1.
    Ip,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Ip => "ip",
        })
    }
}

/// What an index takes, in bytes and about; `None` where it cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCost {
    /// What its folder holds.
    #[serde(default)]
    pub disk: Option<u64>,
    /// Peak memory of building it, on one thread.
    #[serde(default)]
    pub build_memory: Option<u64>,
    /// Memory that it holds while it is open for search: not what is mapped from disk and can be
    /// given back.
    #[serde(default)]
    pub search_memory: Option<u64>,
    /// Memory that each thread of a search takes beside that, however many indexes are open.
    #[serde(default)]
    pub thread_memory: Option<u64>,
}

/// An index being built, by one thread at a time. After an error it may only be dropped.
pub trait IndexBuilder: Send {
    /// Learns from a sample of the vectors; called at most once, before any `add`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Data`] when the sample is too small.
    fn train(&mut self, ctx: &Context<'_>, sample: Matrix<'_>) -> Result<()>;

    /// Adds vectors; the first row of the first call gets number 0.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unexpected`] when the index needs training and had none.
    fn add(&mut self, ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()>;

    /// Writes everything into `dir`, an empty folder; nothing may be called afterwards.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Io`] when writing fails; the host then throws the folder away.
    fn finish(&mut self, ctx: &Context<'_>, dir: &Path) -> Result<()>;
}

/// An index open for search, shared by threads.
pub trait Index: Send + Sync {
    /// Number of vectors.
    fn len(&self) -> usize;

    /// Finds the `hits.k()` nearest rows of every query, by row number, larger score closer.
    ///
    /// Ties at the cut go to the smaller row number where the index is exact.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Cancelled`] once the user asked to stop.
    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, hits: HitsMut<'_>) -> Result<()>;

    /// Whether there is no vector at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_does_not_say_so_is_not_exact() {
        let info: IndexInfo = serde_json::from_str("{\"training_vectors\": 7}").expect("parsed");
        assert_eq!(info, IndexInfo { training_vectors: 7, ..IndexInfo::default() });
        assert!(!info.exact && !info.needs_vectors && !info.ready);
    }
}
