//! The library under test.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use deft_core::Kind;
use deft_loader::Plugin;
use serde_json::Value;

use crate::{Component, EncoderChecks, IndexChecks, ReaderChecks, RetrieverChecks, TrainerChecks};

/// A plugin, loaded from its file.
#[derive(Clone)]
pub struct Library(pub(crate) Arc<Plugin>);

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Library {
    /// The library that cargo built from a package, found beside the test program.
    ///
    /// `cargo test` builds the library of the package under test; that of another package must
    /// have been built before.
    ///
    /// # Panics
    ///
    /// When there is no such library or it cannot be loaded.
    pub fn of_package(package: &str) -> Self {
        let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"));
        let program = std::env::current_exe().expect("a program knows where it is");
        // The program lies in `deps`, beside what was built for it; copies lie one folder above.
        let folders = program.ancestors().skip(1).take(2);
        let built = |path: &std::path::PathBuf| -> Option<SystemTime> {
            path.metadata().ok()?.modified().ok()
        };
        let found = folders.map(|folder| folder.join(&file)).max_by_key(built);
        let path = found.filter(|path| path.is_file()).unwrap_or_else(|| {
            panic!("{file} is not built: `cargo build -p {package}` with the tests' profile")
        });
        Self::open(&path)
    }

    /// The library in a file.
    ///
    /// # Panics
    ///
    /// When it cannot be loaded.
    pub fn open(path: &Path) -> Self {
        Self(Arc::new(Plugin::load(path).unwrap_or_else(|error| panic!("{error}"))))
    }

    /// One of its components with options, to be handed to another as a child.
    pub fn component(&self, kind: Kind, name: &str, options: Value) -> Component {
        Component::new(self.clone(), kind, name, options)
    }

    /// The checks of an encoder.
    pub fn encoder(&self, name: &str, options: Value) -> EncoderChecks {
        EncoderChecks::new(self.component(Kind::Encoder, name, options))
    }

    /// The checks of an index.
    pub fn index(&self, name: &str, options: Value) -> IndexChecks {
        IndexChecks::new(self.component(Kind::Index, name, options))
    }

    /// The checks of a retriever.
    pub fn retriever(&self, name: &str, options: Value) -> RetrieverChecks {
        RetrieverChecks::new(self.component(Kind::Retriever, name, options))
    }

    /// The checks of a reader.
    pub fn reader(&self, name: &str, options: Value) -> ReaderChecks {
        ReaderChecks::new(self.component(Kind::Reader, name, options))
    }

    /// The checks of a trainer.
    pub fn trainer(&self, name: &str, options: Value) -> TrainerChecks {
        TrainerChecks::new(self.component(Kind::Trainer, name, options))
    }
}
