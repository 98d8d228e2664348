//! The store: finished stage outputs, by fingerprint, shared by runs.
//!
//! - [`commit`]: an output appears whole or not at all;
//! - [`lock`]: who is making one;
//! - [`Stage`]: the units of one stage, and the card that says what they were made from.

mod changes;
mod commit;
mod files;
mod hashes;
pub mod lock;
mod process;
mod stage;

use std::path::{Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Result};

pub use changes::nearest;
pub use commit::{commit, discard, make_dir, remove_stale};
pub use files::{
    LineWriter, bytes_below, read_json, read_json_at, remove_if_there, write_file, write_json,
};
pub use hashes::HashedSource;
pub use stage::Stage;

/// The folder that runs share.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// The stages that may be opened; all, if this is empty.
    expected: Vec<String>,
}

impl Store {
    /// A store in this folder, which is made with its first stage.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), expected: Vec::new() }
    }

    /// The same store for a process that helps with stages of these names (all, if there are none):
    /// where it comes to another one, it does not share the work of whoever started it.
    #[must_use]
    pub fn expecting(self, stages: &[String]) -> Self {
        Self { expected: stages.to_vec(), ..self }
    }

    /// The stage `name-<fingerprint>`, which is in use until the last clone of it is dropped; what
    /// killed runs left in it is removed.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when its folder cannot be made; [`deft_core::ErrorKind::Data`]
    /// when what lies there was made from something else, or the stage is not one of those expected.
    pub fn stage(&self, name: &str, fingerprint: &str) -> Result<Stage> {
        self.check_expected(name, fingerprint)?;
        Stage::open(&self.root, name, fingerprint)
    }

    /// The stage `name-<fingerprint>` for a run that has no use for its units: nothing is made,
    /// claimed or removed, and others may discard it.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when the store cannot be found; [`deft_core::ErrorKind::Data`]
    /// when the stage is not one of those expected.
    pub(crate) fn unused(&self, name: &str, fingerprint: &str) -> Result<Stage> {
        self.check_expected(name, fingerprint)?;
        Stage::unused(&self.root, name, fingerprint)
    }

    /// The stage `name-<fingerprint>`, if it is there: nothing is made, claimed or removed.
    pub(crate) fn peek(&self, name: &str, fingerprint: &str) -> Option<Stage> {
        Stage::peek(&self.root, name, fingerprint)
    }

    /// The folder that stages are in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn check_expected(&self, name: &str, fingerprint: &str) -> Result<()> {
        let found = format!("{name}-{fingerprint}");
        if self.expected.is_empty() || self.expected.contains(&found) {
            return Ok(());
        }
        let is_alike = |stage: &&String| stage.rsplit_once('-').is_some_and(|(of, _)| of == name);
        let mut alike: Vec<&str> =
            self.expected.iter().filter(is_alike).map(String::as_str).collect();
        if alike.is_empty() {
            alike = self.expected.iter().map(String::as_str).collect();
        }
        let message = "the manifest or a source has changed since the run started";
        Err(Error::new(ErrorKind::Data, message)
            .with_context("expected", alike.join(", "))
            .with_context("found", found)
            .with_hint("undo the change, or run again to start from what is there now"))
    }

    /// Empties a stage, to make it again; waits for runs that use it.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be removed; [`deft_core::ErrorKind::Cancelled`].
    pub fn discard(&self, name: &str, fingerprint: &str, ctx: &Context<'_>) -> Result<()> {
        stage::discard(&self.root, name, fingerprint, ctx)
    }

    /// Cards of the other stages of this name, of whatever fingerprint: what was made before.
    pub fn cards<T: serde::de::DeserializeOwned>(&self, name: &str) -> Vec<(String, T)> {
        stage::cards(&self.root, name)
    }

    /// Hashes source files and folders; the hash of a file is remembered until it changes.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when one cannot be read; [`deft_core::ErrorKind::Cancelled`].
    pub fn hash_sources(&self, paths: &[PathBuf], ctx: &Context<'_>) -> Result<Vec<HashedSource>> {
        hashes::hash_sources(paths, &self.root.join("hashes"), ctx)
    }

    /// The hashes of sources that are remembered, or soon made; `None` where one would take long.
    /// Nothing is remembered by this.
    ///
    /// # Errors
    ///
    /// Those of [`Store::hash_sources`].
    pub(crate) fn known_hashes(
        &self,
        paths: &[PathBuf],
        ctx: &Context<'_>,
    ) -> Result<Option<Vec<HashedSource>>> {
        hashes::known_hashes(paths, &self.root.join("hashes"), ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_helps_makes_no_other_stage_than_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = ["pool-aaaa".to_owned(), "t5-bbbb".to_owned()];
        let store = Store::new(dir.path()).expecting(&told);
        store.stage("pool", "aaaa").unwrap();
        let error = store.stage("t5", "cccc").unwrap_err();
        assert!(error.message().contains("has changed since the run started"), "{error}");
        let both = (error.context("expected"), error.context("found"));
        assert_eq!(both, (Some("t5-bbbb"), Some("t5-cccc")));
        let error = store.stage("hash", "dddd").unwrap_err();
        assert_eq!(error.context("expected"), Some("pool-aaaa, t5-bbbb"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
