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

use deft_core::{Context, Result};

pub use changes::nearest;
pub use commit::{commit, discard, make_dir, remove_stale};
pub use files::{LineWriter, read_json, write_file, write_json};
pub use hashes::HashedSource;
pub use stage::Stage;

/// The folder that runs share.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A store in this folder, which is made with its first stage.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The stage `name-<fingerprint>`, which is in use until the last clone of it is dropped; what
    /// killed runs left in it is removed.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when its folder cannot be made; [`deft_core::ErrorKind::Data`]
    /// when what lies there was made from something else.
    pub fn stage(&self, name: &str, fingerprint: &str) -> Result<Stage> {
        Stage::open(&self.root, name, fingerprint)
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

    /// Hashes a source file or folder; the hash of a file is remembered until it changes.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be read.
    pub fn hash_source(&self, path: &Path) -> Result<HashedSource> {
        hashes::hash_source(path, &self.root.join("hashes"))
    }
}
