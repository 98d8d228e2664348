//! How many texts an encoder did not read to their end: told by plugins, kept beside what was made.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, excerpt};
use serde::{Deserialize, Serialize};

use crate::store::{self, Stage};

/// The end of the names of files that tell this of a unit; they lie beside the unit's output.
pub(crate) const OF_UNIT: &str = ".truncated.json";

/// The file in an arm's folder that tells it of the queries.
pub(crate) const OF_QUERIES: &str = "queries.json";

/// Texts that were encoded, and those of them that were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// Texts that were encoded, each as often as it was.
    pub texts: u64,
    /// Those that were cut at the limit.
    pub truncated: u64,
    /// The most tokens of a text that are read; `None` where there is no limit, or not one for all.
    pub limit: Option<u64>,
}

/// `queries.json`.
#[derive(Serialize)]
struct OfQueries {
    queries: usize,
    #[serde(flatten)]
    counted: Truncation,
}

impl Truncation {
    /// What a component tells by the service `truncated`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] for anything else than that.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| {
            Error::new(
                ErrorKind::Unexpected,
                "what the service `truncated` was told is not understood",
            )
            .with_context("found", excerpt(json))
            .with_source(&error)
            .with_hint("it takes {\"texts\": M, \"truncated\": N, \"limit\": T}; T may be null")
        })
    }

    /// This and more texts.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            texts: self.texts.saturating_add(more.texts),
            truncated: self.truncated.saturating_add(more.truncated),
            limit: self.limit.filter(|_| self.limit == more.limit),
        }
    }

    /// Adds what was counted to what may be known already.
    pub(crate) fn add_to(self, known: &mut Option<Self>) {
        *known = Some(known.map_or(self, |known| known.plus(self)));
    }
}

/// Writes down what was counted while a unit was done, if anything was; call it before the unit is
/// committed: a run that is killed in between does the unit again, and counts again.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be written.
pub(crate) fn write_of_unit(stage: &Stage, unit: usize, counted: Option<Truncation>) -> Result<()> {
    counted.map_or(Ok(()), |counted| store::write_json(&stage.unit(unit, OF_UNIT), &counted))
}

/// Writes down what was counted while the queries of an arm were searched with, in the arm's folder;
/// what an earlier search left there goes where nothing was counted.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be written or removed.
pub(crate) fn write_of_queries(
    dir: &Path,
    queries: usize,
    counted: Option<Truncation>,
) -> Result<()> {
    let path = dir.join(OF_QUERIES);
    match counted {
        Some(counted) => store::write_json(&path, &OfQueries { queries, counted }),
        None => store::remove_if_there(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_queries_are_those_of_the_last_search() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OF_QUERIES);
        let counted = Truncation { texts: 16, truncated: 3, limit: None };
        write_of_queries(dir.path(), 8, Some(counted)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        let wanted = serde_json::json!({"queries": 8, "texts": 16, "truncated": 3, "limit": null});
        assert_eq!(found, wanted);
        assert_eq!(serde_json::from_str::<Truncation>(&text).unwrap(), counted);
        write_of_queries(dir.path(), 8, None).unwrap();
        assert!(!path.exists(), "those of another search were left");
        write_of_queries(dir.path(), 8, None).unwrap();
    }

    #[test]
    fn limits_that_differ_are_no_limit_of_all() {
        let of = |truncated: u64, limit: Option<u64>| Truncation { texts: 10, truncated, limit };
        let mut known = None;
        of(0, Some(128)).add_to(&mut known);
        of(2, Some(128)).add_to(&mut known);
        assert_eq!(known, Some(Truncation { texts: 20, truncated: 2, limit: Some(128) }));
        of(1, Some(64)).add_to(&mut known);
        of(1, Some(128)).add_to(&mut known);
        assert_eq!(known, Some(Truncation { texts: 40, truncated: 4, limit: None }));
    }
}
