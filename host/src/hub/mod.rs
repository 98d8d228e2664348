//! Models of the Hugging Face Hub: `org/name@revision`, from the cache, or downloaded into it.
//!
//! The cache is that of Python's `huggingface_hub`, so that each finds what the other downloaded:
//! `blobs` has files by their content, `snapshots/<commit>` links to them, `refs/<revision>` says
//! which commit that is, and `.no_exist/<commit>` has an empty file for each that the repository is
//! known not to have. A revision stays at the commit that it had when it was downloaded.

mod cache;
mod client;
mod download;
mod errors;
mod files;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use deft_core::{Context, Error, ErrorKind, Result};

use cache::Folder;

/// The hub where `HF_ENDPOINT` names no other.
const ENDPOINT: &str = "https://huggingface.co";

/// A model's name: `org/name` with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HubName<'a> {
    repository: &'a str,
    /// A branch, a tag or a commit.
    revision: &'a str,
}

impl<'a> HubName<'a> {
    /// `org/name` or `org/name@revision`, if a text has that form.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (org, model) = repository.split_once('/')?;
        [org, model, revision].into_iter().all(is_plain).then_some(Self { repository, revision })
    }
}

impl fmt::Display for HubName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.revision)
    }
}

/// Whether a text is one step of a path and of an address, without any trick.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Where models come from and where they are kept. The token is a secret: this is never printed.
pub(crate) struct Hub {
    /// The cache's folder.
    cache: PathBuf,
    /// The hub's address, without a final slash.
    endpoint: String,
    /// Says who asks, where that matters.
    token: Option<String>,
    /// Whether no connection may be opened.
    offline: bool,
}

impl Hub {
    /// What the environment says, by the variables that Python's `huggingface_hub` has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when nothing says where the cache is.
    pub(crate) fn from_env() -> Result<Self> {
        let home = home();
        let below_home = |name: &str| Some(home.as_ref()?.join(name));
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name)?.into_string().ok();
        let cache = path("HF_HUB_CACHE").or_else(|| below_home("hub")).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "there is no folder for Hugging Face's cache")
                .with_hint("set HF_HOME")
        })?;
        let stored = || {
            let file = path("HF_TOKEN_PATH").or_else(|| below_home("token"))?;
            std::fs::read_to_string(file).ok()
        };
        let token = text("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.filter(|token| !token.is_empty()),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value)),
        })
    }

    /// The folder of a model: as it is in the cache, or else downloaded into it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] when it is not there and the hub does not give it out, or may not be
    /// asked; [`ErrorKind::Io`] when the network or the disk fails; [`ErrorKind::Cancelled`].
    pub(crate) fn resolve(&self, name: HubName<'_>, ctx: &Context<'_>) -> Result<PathBuf> {
        let folder = Folder::new(&self.cache, name.repository);
        let commit = folder.commit(name.revision);
        let snapshot = folder.snapshot(&commit);
        // Others download single files, which may be all that is needed.
        let in_part = snapshot.is_dir();
        if folder.is_whole(&commit) || (in_part && self.offline) {
            return Ok(snapshot);
        }
        if self.offline {
            return Err(errors::offline(name, &folder));
        }
        match download::model(self, &folder, name, *ctx) {
            Err(error) if in_part && error.kind() != ErrorKind::Cancelled => {
                log::warn!(
                    "files of {name} may be missing from the cache (HF_HUB_OFFLINE=1: do not ask \
                     for them): {error}"
                );
                Ok(snapshot)
            }
            done => done.map_err(|error| self.with_remedy(error)),
        }
    }
}

/// `HF_HOME`, or its default.
fn home() -> Option<PathBuf> {
    let below_home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    let caches = || variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(below_home);
    variable("HF_HOME").map(PathBuf::from).or_else(|| Some(caches()?.join("huggingface")))
}

/// A variable of the environment; one that is empty counts as not set.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether a variable's value means yes, as `huggingface_hub` reads it.
fn is_yes(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}
