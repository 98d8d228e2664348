//! What plugins may ask of the host: log, progress, cancellation, models.

use std::path::{Path, PathBuf};

use deft_core::abi::v1::running;
use deft_core::{Context, Error, ErrorKind, Result, Services};

use crate::console::Progress;
use crate::interrupt;

/// The host's services for one stage of a run.
#[derive(Debug)]
pub struct HostServices {
    /// Relative paths of options start here.
    base: PathBuf,
    progress: Progress,
    threads: usize,
}

impl HostServices {
    /// Services with paths relative to `base`; progress is told under `label`.
    pub fn new(base: &Path, label: &str, threads: usize) -> Self {
        Self { base: base.to_owned(), progress: Progress::new(label), threads }
    }

    /// A context over these services.
    pub fn context(&self, seed: u64) -> Context<'_> {
        Context::new(self, seed, self.threads)
    }

    /// The progress shown for this stage.
    pub fn progress(&self) -> &Progress {
        &self.progress
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
        resolve(&self.base, name)
    }

    fn call(&self, name: &str, _json: &str) -> Result<String> {
        if name == "cache_dir" {
            return cache_dir();
        }
        Err(Error::unknown_call(name))
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

/// A local path for `name`: below `base`, or `org/name@revision` in Hugging Face's cache.
fn resolve(base: &Path, name: &str) -> Result<PathBuf> {
    let local = base.join(name);
    if local.exists() {
        return local.canonicalize().map_err(|error| {
            Error::new(ErrorKind::Io, "cannot resolve the path")
                .with_context("path", local.display())
                .with_source(&error)
        });
    }
    let error = Error::new(ErrorKind::Model, format!("`{name}` is not found"))
        .with_context("looked at", local.display());
    let Some(cached) = hub_cache().zip(hub_name(name)) else {
        return Err(error.with_hint(crate::pool::relative_to(base)));
    };
    let (cache, (repository, revision)) = cached;
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let commit = std::fs::read_to_string(folder.join("refs").join(revision))
        .map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
    let snapshot = folder.join("snapshots").join(commit);
    if snapshot.is_dir() {
        return Ok(snapshot);
    }
    Err(error
        .with_context("and at", snapshot.display())
        .with_hint(format!("download it first: `hf download {repository} --revision {revision}`")))
}

/// `org/name@revision`, if it has that form.
fn hub_name(name: &str) -> Option<(&str, &str)> {
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let (org, model) = repository.split_once('/')?;
    (plain(org) && plain(model) && plain(revision)).then_some((repository, revision))
}

fn hub_cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tried_before_hub_names_and_a_miss_says_where_was_looked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("models/tiny")).unwrap();
        let found = resolve(dir.path(), "models/tiny").unwrap();
        assert!(found.ends_with("models/tiny"));
        let error = resolve(dir.path(), "nobody/surely-missing@v1").expect_err("missing");
        assert!(error.to_string().contains("models--nobody--surely-missing"), "{error}");
        assert!(error.hint().unwrap().contains("--revision v1"));
        assert!(
            resolve(dir.path(), "./missing")
                .unwrap_err()
                .hint()
                .unwrap()
                .contains("relative paths start at")
        );
    }

    #[test]
    fn hub_names_have_an_organisation_and_no_path_tricks() {
        assert_eq!(hub_name("google/t5-small"), Some(("google/t5-small", "main")));
        assert_eq!(hub_name("a/b@v2"), Some(("a/b", "v2")));
        assert_eq!(hub_name("t5-small"), None);
        assert_eq!(hub_name("../b"), None);
        assert_eq!(hub_name("a/b/c"), None);
    }
}
