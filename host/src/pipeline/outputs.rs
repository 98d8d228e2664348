//! Which outputs of a run's folder are up to date.

use std::path::{Path, PathBuf};

use deft_core::Result;
use serde_json::{Map, Value};

use crate::store;

/// Notes in a folder of the run which outputs are up to date: fingerprint by name.
#[derive(Debug)]
pub(super) struct Outputs {
    path: PathBuf,
    done: Map<String, Value>,
}

impl Outputs {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        store::make_dir(dir)?;
        store::remove_stale(dir);
        let path = dir.join("card.json");
        let done = store::read_json_at(&path)?.unwrap_or_default();
        Ok(Self { path, done })
    }

    /// Whether an output was made from exactly this.
    pub(super) fn has(&self, name: &str, fingerprint: &str) -> bool {
        self.done.get(name).is_some_and(|known| known == fingerprint)
    }

    /// What was noted of an output.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.done.get(name).and_then(Value::as_str)
    }

    /// Begins to make an output: says so, if there is an older one, and forgets what that was made
    /// from. A kill between the output and its note then never leaves the note of another output.
    pub(super) fn begin(&mut self, name: &str, fingerprint: &str) -> Result<()> {
        let Some(known) = self.done.remove(name) else { return Ok(()) };
        let dir = self.path.parent().unwrap_or(&self.path).display();
        if known != fingerprint {
            log::info!("{dir}: making {name} again, from something else than before");
        }
        store::write_json(&self.path, &self.done)
    }

    /// Forgets what some outputs were made from: they are made again, by this run or the next.
    pub(super) fn forget(&mut self, names: &[&str]) -> Result<()> {
        let before = self.done.len();
        self.done.retain(|name, _| !names.contains(&name.as_str()));
        if self.done.len() == before { Ok(()) } else { store::write_json(&self.path, &self.done) }
    }

    /// Says what an output was made from, once it is there.
    pub(super) fn note(&mut self, name: &str, fingerprint: &str) -> Result<()> {
        self.done.insert(name.to_owned(), fingerprint.into());
        store::write_json(&self.path, &self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_is_being_made_is_that_of_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::open(dir.path()).unwrap();
        outputs.note("hits", "old").unwrap();
        outputs.begin("hits", "new").unwrap();
        // Killed here, after the new hits were written: the old fingerprint must not come back.
        let mut outputs = Outputs::open(dir.path()).unwrap();
        assert!(!outputs.has("hits", "old") && !outputs.has("hits", "new"));
        outputs.note("hits", "new").unwrap();
        assert!(Outputs::open(dir.path()).unwrap().has("hits", "new"));
    }
}
