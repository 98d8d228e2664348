//! What goes wrong with the hub, for people.

use std::io;

use deft_core::{Error, ErrorKind};

use super::cache::Folder;
use super::client::{Client, Head};
use super::data::HubData;
use super::{Hub, HubName, Kind};

/// The repository is not in the cache, or not all that is needed of it, and the hub may not be asked.
pub(super) fn offline(name: HubName<'_>, folder: &Folder) -> Error {
    let what = match name.kind {
        Kind::Model => "is not",
        Kind::DataSet => "is not, or not as far as it is needed,",
    };
    let message = format!(
        "`{name}` {what} in Hugging Face's cache, and HF_HUB_OFFLINE keeps it from being downloaded"
    );
    Error::new(name.kind.error(), message)
        .with_context("cache", folder.root().display())
        .with_hint(format!("unset HF_HUB_OFFLINE, or {}", elsewhere(name)))
}

/// Nothing of a data set has the name, or matches the glob.
pub(super) fn no_such_path(data: &HubData, all: &[String], folder: &Folder) -> Error {
    let (name, path) = (data.name(), data.path());
    let error = Error::option_at("", format!("nothing is at `{path}` in `{name}`"));
    let noted = folder.reference(name.revision);
    let hint = data.nearest(all);
    // Whoever has added the file meanwhile would look for it in vain.
    error.with_hint(if noted.exists() {
        let noted = noted.display();
        format!(
            "{hint}; `{}` is as it was first looked up: remove {noted} to look again",
            name.revision
        )
    } else {
        hint
    })
}

impl Hub {
    /// Adds what to do where the cache cannot be written: the program's other folders are no help.
    pub(super) fn with_remedy(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Io || error.hint().is_some() {
            return error;
        }
        error.with_hint(format!(
            "Hugging Face's cache is {}: make room there and see that you may write to it, or set \
             HF_HUB_CACHE to another folder",
            self.cache.display()
        ))
    }
}

impl Client<'_> {
    /// No connection, or one that ended too early.
    pub(super) fn broken(&self, source: &io::Error) -> Error {
        let (name, endpoint) = (self.name, &self.hub.endpoint);
        Error::new(ErrorKind::Io, format!("`{name}` cannot be downloaded"))
            .with_context("hub", endpoint)
            .with_source(source)
            .with_hint(format!(
                "check the network and HF_ENDPOINT, and run the same command again: it goes on \
                 where it stopped. Without a network, set HF_HUB_OFFLINE=1 and {}",
                elsewhere(name)
            ))
    }

    /// The hub does not give out what was asked for.
    pub(super) fn refusal(&self, head: &Head) -> Error {
        let HubName { kind, repository, revision } = self.name;
        let (word, page) = (kind.word(), self.page());
        let wrong = |message: String| Error::new(kind.error(), message);
        match (head.status, head.error_code.as_deref().unwrap_or_default()) {
            (_, "RevisionNotFound") => {
                wrong(format!("the {word} `{repository}` has no revision `{revision}`"))
                    .with_hint(format!("its branches, tags and commits are at {page}"))
            }
            (_, "EntryNotFound") => wrong(format!("`{}` lacks a file that it lists", self.name))
                .with_hint("was the revision changed meanwhile? Run the same command again"),
            (_, "GatedRepo") | (401 | 403, _) => wrong(format!(
                "the hub refuses `{repository}`: it is gated or private, or there is no such {word}"
            ))
            .with_hint(self.how_to_get_access(&page)),
            (404, _) => {
                let local = match kind {
                    Kind::Model => "; a path is looked for first",
                    Kind::DataSet => "",
                };
                wrong(format!("there is no {word} `{repository}` on the hub"))
                    .with_hint(format!("check the name: {page}{local}"))
            }
            (status, _) => {
                Error::new(ErrorKind::Io, format!("the hub answers with status {status}"))
                    .with_hint("try again later")
            }
        }
        .with_context("hub", &self.hub.endpoint)
    }

    /// The repository's page, for people.
    fn page(&self) -> String {
        let HubName { kind, repository, .. } = self.name;
        format!("{}/{}{repository}", self.hub.endpoint, kind.prefix())
    }

    fn how_to_get_access(&self, page: &str) -> String {
        let token = match self.hub.token {
            None => "set HF_TOKEN to a token of yours",
            Some(_) => "see that the token in HF_TOKEN (or stored by `hf auth login`) is valid",
        };
        let word = self.name.kind.word();
        format!("check the name; a gated {word}'s terms are accepted at {page}; {token}")
    }

    /// The answer is not what a hub answers.
    pub(super) fn nonsense(&self) -> Error {
        let message = "this does not answer as the Hugging Face Hub does";
        Error::new(self.name.kind.error(), message)
            .with_context("hub", &self.hub.endpoint)
            .with_hint("is HF_ENDPOINT right?")
    }
}

/// How to bring a repository to a machine that cannot download it.
fn elsewhere(HubName { kind, repository, revision }: HubName<'_>) -> String {
    let kind = match kind {
        Kind::Model => "",
        Kind::DataSet => "--repo-type dataset ",
    };
    format!(
        "fill the cache on another machine: `deft fetch MANIFEST`, or `hf download {repository} \
         {kind}--revision {revision}`"
    )
}
