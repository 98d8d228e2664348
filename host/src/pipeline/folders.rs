//! The folders of a training beside its model: what a stopped one goes on from, and logs.

use std::fs;
use std::path::{Path, PathBuf};

use deft_core::{Result, TrainingFolders};

use crate::store;

/// What the names of scratch folders begin with; the model's fingerprint follows.
const SCRATCH: &str = "scratch-";

/// The scratch folder and the logs of one training.
#[derive(Debug)]
pub(super) struct Folders {
    scratch: PathBuf,
    logs: PathBuf,
}

impl Folders {
    /// Makes the folders of the model with this fingerprint in the folder of its seed, and removes
    /// what trainings of other models left there to go on from.
    pub(super) fn make(dir: &Path, fingerprint: &str) -> Result<Self> {
        remove_scratch(dir, Some(fingerprint))?;
        let scratch = dir.join(format!("{SCRATCH}{fingerprint}"));
        let folders = Self { scratch, logs: dir.join("logs") };
        store::make_dir(&folders.scratch)?;
        store::make_dir(&folders.logs)?;
        Ok(folders)
    }

    /// Whether the training was stopped before, and left something to go on from.
    pub(super) fn has_left(&self) -> bool {
        fs::read_dir(&self.scratch).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// As a trainer is given them, with the folder for its model.
    pub(super) fn with_out<'a>(&'a self, out: &'a Path) -> TrainingFolders<'a> {
        TrainingFolders { out, scratch: &self.scratch, logs: &self.logs }
    }

    /// After a failure: a trainer that left nothing to go on from leaves no folder either.
    pub(super) fn remove_empty_scratch(&self) {
        // What is not empty is not removed.
        let _ = fs::remove_dir(&self.scratch);
    }
}

/// Removes the scratch folders in the folder of a seed, but for one fingerprint's.
pub(super) fn remove_scratch(dir: &Path, kept: Option<&str>) -> Result<()> {
    // Without the folder there is nothing to remove.
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str());
        let fingerprint = name.and_then(|name| name.strip_prefix(SCRATCH));
        if fingerprint.is_some() && fingerprint != kept {
            store::discard(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_that_was_stopped_is_gone_on_with_and_those_of_other_models_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::make(dir.path(), "one").unwrap();
        assert!(!folders.has_left(), "nothing at its first try");
        fs::write(dir.path().join("scratch-one/step"), "3").unwrap();
        fs::write(dir.path().join("logs/loss"), "").unwrap();
        let again = Folders::make(dir.path(), "one").unwrap();
        assert!(again.has_left());
        let other = Folders::make(dir.path(), "other").unwrap();
        assert!(!other.has_left() && !dir.path().join("scratch-one").exists());
        assert!(dir.path().join("logs/loss").exists(), "logs are kept");
        other.remove_empty_scratch();
        assert!(!dir.path().join("scratch-other").exists());
    }

    #[test]
    fn scratch_folders_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["scratch-one", "scratch-other", "logs", "model"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), "").unwrap();
        }
        remove_scratch(dir.path(), None).unwrap();
        let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["logs", "model"]);
        remove_scratch(&dir.path().join("missing"), None).unwrap();
    }
}
