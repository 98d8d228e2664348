//! Models and data sets of the Hugging Face Hub, from the cache, or downloaded into it: models as
//! `org/name@revision`, files of data sets as `hf://datasets/org/name@revision/path`.
//!
//! The cache is that of Python's `huggingface_hub`, so that each finds what the other downloaded:
//! `blobs` has files by their content, `snapshots/<commit>` links to them, `refs/<revision>` says
//! which commit that is, and `.no_exist/<commit>` has an empty file for each that the repository is
//! known not to have. A revision stays at the commit that it had when it was downloaded.
//!
//! Of a data set `.listings/<commit>.json` beside them has the names of all files: it tells whether
//! everything that a glob matches is there. Python's library neither writes nor minds it.

mod cache;
mod client;
mod data;
#[cfg(test)]
mod data_tests;
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
pub(crate) use data::{HubData, HubFiles};

/// The hub where `HF_ENDPOINT` names no other.
const ENDPOINT: &str = "https://huggingface.co";

/// What a repository of the hub has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    DataSet,
}

impl Kind {
    /// The word for it in messages.
    fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::DataSet => "data set",
        }
    }

    /// The word for several in addresses of the hub's interface, and in the cache.
    fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::DataSet => "datasets",
        }
    }

    /// What comes before a repository's name in the addresses of its page and its files.
    fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::DataSet => "datasets/",
        }
    }

    /// The kind of an error about one.
    fn error(self) -> ErrorKind {
        match self {
            Self::Model => ErrorKind::Model,
            Self::DataSet => ErrorKind::Data,
        }
    }
}

/// A repository's name: `org/name` with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HubName<'a> {
    kind: Kind,
    repository: &'a str,
    /// A branch, a tag, a commit or, of a data set, a name with slashes: `refs/convert/parquet`.
    revision: &'a str,
}

impl<'a> HubName<'a> {
    /// The model `org/name` or `org/name@revision`, if a text has that form.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (org, model) = repository.split_once('/')?;
        let name = Self { kind: Kind::Model, repository, revision };
        [org, model, revision].into_iter().all(is_plain).then_some(name)
    }
}

impl fmt::Display for HubName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::DataSet {
            f.write_str(data::START)?;
        }
        write!(f, "{}@{}", self.repository, self.revision)
    }
}

/// Whether a text is one step of a path and of an address, without any trick.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Where models and data sets come from and where they are kept. The token is a secret: this is never
/// printed.
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
        let folder = Folder::new(&self.cache, name);
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

    /// What a name stands for in a data set: as it is in the cache, or else downloaded into it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when nothing is there; [`ErrorKind::Data`] when the hub does not give
    /// it out, or may not be asked; [`ErrorKind::Io`] when the network or the disk fails;
    /// [`ErrorKind::Cancelled`].
    pub(crate) fn data(&self, data: &HubData, ctx: &Context<'_>) -> Result<HubFiles> {
        if let Some(found) = self.known(data)? {
            return Ok(found);
        }
        let folder = Folder::new(&self.cache, data.name());
        if self.offline {
            let found = self.unlisted(data);
            let found = found.ok_or_else(|| errors::offline(data.name(), &folder))?;
            log::warn!(
                "{data}: taken from the cache as it is; without a connection nothing tells whether \
                 all of it is there"
            );
            return Ok(found);
        }
        download::data(self, &folder, data, *ctx).map_err(|error| self.with_remedy(error))
    }

    /// The same without a connection: none where not all of it is in the cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when it is known that nothing is there.
    pub(crate) fn known(&self, data: &HubData) -> Result<Option<HubFiles>> {
        let folder = Folder::new(&self.cache, data.name());
        let commit = folder.commit(data.name().revision);
        let snapshot = folder.snapshot(&commit);
        let Some(all) = folder.listing(&commit) else {
            // One file that is named is all of itself.
            return Ok(HubFiles::alone(data, &snapshot));
        };
        let chosen = data.choose(&all).ok_or_else(|| errors::no_such_path(data, &all, &folder))?;
        let is_whole = chosen.files.iter().all(|file| snapshot.join(file).exists());
        Ok(is_whole.then(|| HubFiles::of(&chosen, &snapshot)))
    }

    /// Whether nothing has to be downloaded for what a name stands for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when it is known that nothing is there.
    pub(crate) fn has(&self, data: &HubData) -> Result<bool> {
        Ok(self.known(data)?.is_some() || (self.offline && self.unlisted(data).is_some()))
    }

    /// Whether what a name stands for is in the cache, or may be asked for.
    pub(crate) fn may_have(&self, data: &HubData) -> bool {
        !self.offline || self.has(data).is_ok_and(|has| has)
    }

    /// What Python's library has left of a data set. It notes no list, so that nobody knows whether
    /// this is all: enough where the hub may not be asked.
    fn unlisted(&self, data: &HubData) -> Option<HubFiles> {
        let folder = Folder::new(&self.cache, data.name());
        let commit = folder.commit(data.name().revision);
        if folder.listing(&commit).is_some() {
            return None;
        }
        let all = folder.files(&commit);
        let chosen = data.choose(&all)?;
        Some(HubFiles::of(&chosen, &folder.snapshot(&commit)))
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
