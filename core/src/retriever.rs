//! Retrievers: the pool examples nearest to a query text.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Context, Error, ErrorKind, Examples, HitsMut, Result};

/// Prepares a pool for search in phases of independent units, and opens what they left.
///
/// - Units of one phase may run at once, in other processes or on other machines; a phase starts
///   when the one before it is complete.
/// - A unit is idempotent: run again, it leaves a result that finds the same hits.
/// - Its methods may be called from several threads at once.
/// - A retriever touches no file but the one it is told to write and those of earlier phases.
pub trait Retriever: Send + Sync {
    /// What must be done before a search, in order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when such a pool cannot be searched.
    fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>>;

    /// Does one unit of a phase and writes its result to `out`, a file or a folder that does not
    /// exist yet; the host commits it under its final name.
    ///
    /// # Errors
    ///
    /// Anything that stops the unit; what was written to `out` is then thrown away.
    fn run_unit(
        &self,
        ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()>;

    /// Opens the finished phases for search.
    ///
    /// Unit `n` of a phase lies in its folder as [`crate::part_name`]`(n, suffix)`. Those of a
    /// temporary phase may be gone, and the folder with them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when what lies there was made otherwise, or is damaged.
    fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>>;

    /// Answers a request that this version of the trait does not name, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for every name that the component does not know.
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        Err(crate::Error::unknown_call(name))
    }
}

/// The pool as a retriever sees it.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    /// The examples; their positions are their ids.
    pub examples: &'a dyn Examples,
    /// Rows of each part but the last.
    pub rows_per_part: usize,
}

impl std::fmt::Debug for Pool<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("examples", &self.examples.len())
            .field("rows_per_part", &self.rows_per_part)
            .finish()
    }
}

impl Pool<'_> {
    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.examples.len().div_ceil(self.rows_per_part)
    }

    /// The rows of one part.
    pub fn rows_of_part(&self, part: usize) -> std::ops::Range<usize> {
        let first = part * self.rows_per_part;
        first..(first + self.rows_per_part).min(self.examples.len())
    }
}

/// A phase of a retriever's preparation: units that can be done in any order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The phase's name, for people and for `deft unit`: `encode`.
    pub name: String,
    /// What its results are called in the store: `t5` gives the folder `t5-<fingerprint>`.
    pub artefact: String,
    /// Everything of its own that can change its results: `ctx.seed()`, where it is used; the
    /// encoder's fingerprint; build options. The host adds pool, plugin version, earlier phases.
    pub fingerprint: String,
    /// Number of units.
    pub units: usize,
    /// The end of a unit's file name (`.safetensors`); empty for a folder.
    #[serde(default)]
    pub suffix: String,
    /// Threads that one unit keeps busy; 0 for as many as there are.
    #[serde(default)]
    pub threads: usize,
    /// Relative cost of the whole phase, for estimates.
    #[serde(default)]
    pub cost: f64,
    /// Bytes on disk that the whole phase leaves, about; `None` where it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// Bytes of memory that one unit takes at its peak, about, beside what the component holds all
    /// the time (a model's weights); `None` where it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Bytes of memory that a search takes for what this phase leaves, about: not what is mapped
    /// from disk and can be given back; `None` where it cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_memory: Option<u64>,
    /// Its results are only there for later phases: the host may remove them once these are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
    /// Whose it is, where a retriever passes on a phase of its child: see [`Phase::passed_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_child: Option<ChildPhase>,
}

/// Whose phase it is that a retriever passes on, and what it is called there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildPhase {
    /// The child's place below the retriever, as in a manifest: `retrievers[0]`, or
    /// `retrievers[0].retrievers[1]` for a child of the child.
    pub child: String,
    /// The child's own name for the phase.
    pub name: String,
}

impl Phase {
    /// The phase of a child at a place (`retrievers[0]`), under another name that no other phase has.
    ///
    /// It stays the child's: its results lie in the store where those of the child alone would lie,
    /// so that nothing is made twice. The parent does its units by the child, and tells the child of
    /// its own folders alone, under the names that the child knows.
    #[must_use]
    pub fn passed_on(self, place: &str, name: impl Into<String>) -> Self {
        let of_child = match self.of_child {
            Some(inner) => {
                ChildPhase { child: format!("{place}.{}", inner.child), name: inner.name }
            }
            None => ChildPhase { child: place.to_owned(), name: self.name },
        };
        Self { name: name.into(), of_child: Some(of_child), ..self }
    }

    /// The place of the component whose phase it is, empty for the retriever itself, and its name for
    /// the phase.
    pub fn owner(&self) -> (&str, &str) {
        match &self.of_child {
            Some(of_child) => (&of_child.child, &of_child.name),
            None => ("", &self.name),
        }
    }
}

/// The store folders of a retriever's phases.
#[derive(Debug, Clone, Default)]
pub struct PhaseDirs(Vec<(String, PathBuf)>);

impl PhaseDirs {
    /// Folders by phase name.
    pub fn new(dirs: Vec<(String, PathBuf)>) -> Self {
        Self(dirs)
    }

    /// Name and folder of every phase.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0.iter().map(|(name, dir)| (name.as_str(), dir.as_path()))
    }

    /// The folder of one phase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when there is no such phase.
    pub fn get(&self, phase: &str) -> Result<&Path> {
        self.iter().find(|(name, _)| *name == phase).map(|(_, dir)| dir).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "no phase has this name").with_context("phase", phase)
        })
    }
}

/// A pool open for search, shared by threads.
pub trait Searcher: Send + Sync {
    /// Finds the `hits.k()` nearest examples of every query, larger score closer, ties by id.
    ///
    /// - The hits of a query do not depend on the other queries.
    /// - Fewer hits than `k` are fewer hits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] once the user asked to stop.
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], hits: HitsMut<'_>) -> Result<()>;

    /// Holds what `retrieve` found for these queries against the nearest of all, which it looks for
    /// by comparing every example.
    ///
    /// - `found` has the hits of `retrieve`, and `nearest` is empty memory for as many queries.
    /// - Where [`Judgement::Compared`] is returned, `nearest` has the `nearest.k()` nearest examples
    ///   of every query (all of the pool where that is smaller), and `found` the same ids as before
    ///   with their true scores, in the order of these. Both come from one score function: a hit of
    ///   `found` that is no farther than the last of `nearest` is right, whatever its id.
    /// - Otherwise what `found` and `nearest` hold means nothing.
    ///
    /// The default says that nothing is known. A retriever that misses nothing returns
    /// [`Judgement::Exact`], at no cost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] once the user asked to stop.
    fn judge(
        &self,
        _ctx: &Context<'_>,
        _queries: &[&str],
        _found: HitsMut<'_>,
        _nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        Ok(Judgement::Unknown)
    }
}

/// What a searcher says of the hits that it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Judgement {
    /// Every search compares every example: nothing is missed.
    Exact,
    /// Every example has been compared for these queries.
    Compared {
        /// What was compared, which is how far the truth can be trusted: `f16 vectors`.
        truth: String,
    },
    /// The searcher does not know what it misses.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_passed_on_stays_the_childs_however_often_that_is_done() {
        let own = Phase { name: "encode".to_owned(), units: 3, ..Phase::default() };
        assert_eq!(own.owner(), ("", "encode"));
        let once = own.clone().passed_on("retrievers[1]", "1-dense.encode");
        assert_eq!((once.name.as_str(), once.units), ("1-dense.encode", 3));
        assert_eq!(once.owner(), ("retrievers[1]", "encode"));
        let twice = once.passed_on("inner", "inner.1-dense.encode");
        assert_eq!(twice.owner(), ("inner.retrievers[1]", "encode"));
        let read: Phase =
            serde_json::from_value(serde_json::json!(&twice)).expect("what was written");
        assert_eq!(read, twice);
        assert!(serde_json::json!(&own).get("of_child").is_none(), "as before there were any");
    }
}
