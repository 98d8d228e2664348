//! What the host lends to a component for the duration of one call.

use std::path::PathBuf;

use crate::{Error, Result};

/// Services of the host, as a component sees them through [`Context`].
///
/// Calls are cheap (about 0.1 µs across the boundary) but not free: make them per batch, not per row.
pub trait Services: Send + Sync {
    /// Writes a line to the host's log.
    fn log(&self, level: log::Level, target: &str, message: &str);

    /// Tells how far the present unit of work has come, in `unit`s (`"rows"`, `"steps"`);
    /// a `total` of 0 means that the end is not known. A component that tells its own progress
    /// calls its children with [`Context::quiet`].
    fn progress(&self, done: u64, total: u64, unit: &str);

    /// Whether the user asked to stop.
    fn is_cancelled(&self) -> bool;

    /// Turns what a user wrote for a model or a file into a local path; a model may be downloaded.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Model`] when nothing is found, with where was looked;
    /// [`crate::ErrorKind::Io`] when a download fails; [`crate::ErrorKind::Cancelled`].
    fn resolve(&self, name: &str) -> Result<PathBuf>;

    /// Calls a service that this version of the interface does not name.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] when the host has no such service.
    fn call(&self, name: &str, json: &str) -> Result<String>;
}

/// Lent to every call of a component, and passed down to its children.
///
/// The lifetime keeps a component from holding on to it after the call.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    services: &'a dyn Services,
    seed: u64,
    threads: usize,
    quiet: bool,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("seed", &self.seed)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// A context over some services; `threads` is at least 1.
    pub fn new(services: &'a dyn Services, seed: u64, threads: usize) -> Self {
        Self { services, seed, threads: threads.max(1), quiet: false }
    }

    /// The same context with another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same context with a share of the threads, at least one.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// The same context without progress: for a child whose work is part of what the caller tells.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Whether progress is not told.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The seed of everything random in this call.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many threads the call may keep busy.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The services themselves.
    pub fn services(&self) -> &'a dyn Services {
        self.services
    }

    /// Returns an error once the user asked to stop; call it at least once a second.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Cancelled`], to be passed on with `?`.
    pub fn check(&self) -> Result<()> {
        if self.services.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Tells how far the present unit of work has come; see [`Services::progress`].
    pub fn progress(&self, done: usize, total: usize, unit: &str) {
        if !self.quiet {
            self.services.progress(done as u64, total as u64, unit);
        }
    }

    /// Writes a warning to the host's log.
    pub fn warn(&self, message: &str) {
        self.services.log(log::Level::Warn, "", message);
    }

    /// Writes a line for the curious to the host's log.
    pub fn info(&self, message: &str) {
        self.services.log(log::Level::Info, "", message);
    }

    /// Calls a service by name; `cache_dir` is one: a folder for what can be made again, as
    /// `{"dir": PATH}`.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] when the host has no such service.
    pub fn call(&self, name: &str, json: &str) -> Result<String> {
        self.services.call(name, json)
    }

    /// Turns `org/name`, a folder or a file into a local path; relative paths are the manifest's.
    ///
    /// # Errors
    ///
    /// See [`Services::resolve`].
    pub fn resolve(&self, name: &str) -> Result<PathBuf> {
        self.services.resolve(name)
    }
}

/// Services that do nothing: for unit tests of a component.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoServices;

impl Services for NoServices {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, _json: &str) -> Result<String> {
        Err(Error::unknown_call(name))
    }
}
