//! Units that failed, noted in the run's folder until they are done.

use std::path::{Path, PathBuf};

use deft_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::store;

/// A unit that failed, and how often it was tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// The stage in the store.
    pub stage: String,
    /// The unit's number.
    pub unit: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub error: Error,
}

/// The folder of failures of a run.
#[derive(Debug, Clone)]
pub(super) struct Failures(PathBuf);

impl Failures {
    pub(super) fn of_run(dir: &Path) -> Self {
        Self(dir.join("failed"))
    }

    /// Removes what a killed run left of a note.
    pub(super) fn remove_stale(&self) {
        store::remove_stale(&self.0);
    }

    pub(super) fn note(&self, failure: &Failure) -> Result<()> {
        let note = || store::write_json(&self.path(&failure.stage, failure.unit), failure);
        // Another process may remove the empty folder just now.
        note().or_else(|_| note()).or_else(|_| note())
    }

    /// Forgets a unit that is done now.
    pub(super) fn clear(&self, stage: &str, unit: usize) {
        let _ = std::fs::remove_file(self.path(stage, unit));
    }

    /// Removes the folder if it is empty: once no unit of this process is at work, which might fail
    /// meanwhile.
    pub(super) fn tidy(&self) {
        let _ = std::fs::remove_dir(&self.0);
    }

    /// What has failed of a stage, by unit.
    pub(super) fn of_stage(&self, stage: &str) -> Vec<Failure> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        // A temporary (`.tmp-…`) is not there yet.
        let own = paths.filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stage))
        });
        let mut found: Vec<Failure> = own.filter_map(|path| store::read_json(&path)).collect();
        found.retain(|failure| failure.stage == stage);
        found.sort_by_key(|failure| failure.unit);
        found
    }

    fn path(&self, stage: &str, unit: usize) -> PathBuf {
        self.0.join(format!("{stage}-{unit:05}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::ErrorKind;

    #[test]
    fn failures_are_read_back_by_stage_and_leave_no_folder_once_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let failures = Failures::of_run(dir.path());
        for (stage, unit) in [("encode", 7), ("encode", 2), ("index", 0)] {
            let error = Error::new(ErrorKind::Io, "disk full");
            let stage = stage.to_owned();
            failures.note(&Failure { stage, unit, attempts: 3, error }).unwrap();
        }
        let units: Vec<usize> = failures.of_stage("encode").iter().map(|f| f.unit).collect();
        assert_eq!(units, [2, 7]);
        for (stage, unit) in [("encode", 7), ("encode", 2), ("index", 0)] {
            failures.clear(stage, unit);
            failures.tidy();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_unit_can_fail_while_others_are_done() {
        let dir = tempfile::tempdir().unwrap();
        let failures = Failures::of_run(dir.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let failures = &failures;
                scope.spawn(move || {
                    for unit in (thread..400).step_by(4) {
                        let error = Error::new(ErrorKind::Io, "disk full");
                        let stage = "encode".to_owned();
                        failures.note(&Failure { stage, unit, attempts: 1, error }).unwrap();
                        failures.clear("encode", unit);
                    }
                });
            }
        });
        failures.tidy();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_note_outlives_an_empty_folder_that_another_process_removes() {
        let dir = tempfile::tempdir().unwrap();
        let failures = Failures::of_run(dir.path());
        std::fs::create_dir(dir.path().join("failed")).unwrap();
        failures.tidy();
        let (stage, error) = ("encode".to_owned(), Error::new(ErrorKind::Io, "disk full"));
        failures.note(&Failure { stage, unit: 3, attempts: 1, error }).unwrap();
        failures.tidy();
        assert_eq!(failures.of_stage("encode").len(), 1);
    }
}
