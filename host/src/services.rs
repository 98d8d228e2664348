//! What plugins may ask of the host: log, progress, cancellation, models; and tell it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deft_core::abi::v1::running;
use deft_core::{Context, Error, ErrorKind, Result, Services};

use crate::console::Progress;
use crate::hub::{Hub, HubName};
use crate::interrupt;
use crate::truncation::Truncation;

/// The host's services for one stage of a run.
#[derive(Debug)]
pub struct HostServices {
    /// Relative paths of options start here.
    base: PathBuf,
    progress: Progress,
    threads: usize,
    truncation: Mutex<Option<Truncation>>,
}

impl HostServices {
    /// Services with paths relative to `base`; progress is told under `label`.
    pub fn new(base: &Path, label: &str, threads: usize) -> Self {
        let (base, progress) = (base.to_owned(), Progress::new(label));
        Self { base, progress, threads, truncation: Mutex::default() }
    }

    /// A context over these services.
    pub fn context(&self, seed: u64) -> Context<'_> {
        Context::new(self, seed, self.threads)
    }

    /// The progress shown for this stage.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What components have told so far of texts that they encoded; `None` where none has.
    pub fn truncation(&self) -> Option<Truncation> {
        *self.counted()
    }

    fn counted(&self) -> MutexGuard<'_, Option<Truncation>> {
        self.truncation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services for HostServices {
    fn log(&self, level: log::Level, target: &str, message: &str) {
        let target = if target.is_empty() { component_name() } else { target };
        log::log!(target: target, level, "{message}");
    }

    fn progress(&self, done: u64, total: u64, unit: &str) {
        self.progress.update(done, total, unit);
    }

    fn is_cancelled(&self) -> bool {
        interrupt::is_cancelled()
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        resolve(&self.base, name, &self.context(0))
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        match name {
            "cache_dir" => cache_dir(),
            "truncated" => {
                Truncation::parse(json)?.add_to(&mut self.counted());
                Ok("{}".to_owned())
            }
            _ => Err(Error::unknown_call(name)),
        }
    }
}

/// The component that is calling: on a thread of its own it is known if no other runs.
fn component_name() -> &'static str {
    let alone = || {
        let mut names = running::all().map(|call| call.name());
        let name = names.next()?;
        names.all(|other| other == name).then_some(name)
    };
    running::here().map(|call| call.name()).or_else(alone).unwrap_or("plugin")
}

/// `cache_dir`: a folder for what can be made again, as `{"dir": PATH}`; its user makes it.
fn cache_dir() -> Result<String> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let dir = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "there is no cache folder")
                .with_hint("set $XDG_CACHE_HOME")
        })?;
    Ok(serde_json::json!({"dir": dir.join("deft")}).to_string())
}

/// The number of threads meant by a user: 0 is as many as there are.
pub(crate) fn available_threads(wanted: usize) -> usize {
    match wanted {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        wanted => wanted,
    }
}

/// A local path for `name`: below `base`, or else a model of the Hugging Face Hub.
fn resolve(base: &Path, name: &str, ctx: &Context<'_>) -> Result<PathBuf> {
    let local = base.join(name);
    if local.exists() {
        return local.canonicalize().map_err(|error| {
            Error::new(ErrorKind::Io, "cannot resolve the path")
                .with_context("path", local.display())
                .with_source(&error)
        });
    }
    let Some(hub_name) = HubName::parse(name) else {
        return Err(Error::new(ErrorKind::Model, format!("`{name}` is not found"))
            .with_context("looked at", local.display())
            .with_hint(crate::pool::relative_to(base)));
    };
    Hub::from_env()?
        .resolve(hub_name, ctx)
        .map_err(|error| error.with_context("looked first at", local.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    #[test]
    fn paths_start_at_the_base_and_a_miss_says_where_was_looked() {
        let ctx = Context::new(&NoServices, 0, 1);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("models/tiny")).unwrap();
        // A name of the hub's form is a path where there is one.
        let found = resolve(dir.path(), "models/tiny", &ctx).unwrap();
        assert!(found.ends_with("models/tiny"));
        let error = resolve(dir.path(), "./missing", &ctx).unwrap_err();
        assert!(error.context("looked at").unwrap().ends_with("missing"), "{error}");
        assert!(error.hint().unwrap().contains("relative paths start at"));
    }

    #[test]
    fn what_is_told_of_cut_texts_adds_up_and_what_is_not_understood_counts_nothing() {
        let services = HostServices::new(Path::new("."), "encode", 1);
        let ctx = services.context(0);
        let tell = |json: &str| ctx.quiet().call("truncated", json);
        assert_eq!(services.truncation(), None, "nobody has told anything");
        assert_eq!(tell(r#"{"texts": 10, "truncated": 0, "limit": 128}"#).unwrap(), "{}");
        let none_cut = Truncation { texts: 10, truncated: 0, limit: Some(128) };
        assert_eq!(services.truncation(), Some(none_cut));
        tell(r#"{"texts": 5, "truncated": 2, "limit": 128, "more": 1}"#).unwrap();
        let both = Some(Truncation { texts: 15, truncated: 2, limit: Some(128) });
        assert_eq!(services.truncation(), both);
        for json in ["", "3", r#"{"texts": 5}"#, r#"{"texts": -1, "truncated": 0}"#] {
            let error = tell(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unexpected, "{json}");
            assert!(error.hint().unwrap().contains("\"texts\": M"), "{error}");
        }
        assert_eq!(services.truncation(), both);
    }
}
