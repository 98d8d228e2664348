//! What goes wrong with the hub, for people.

use std::io;

use deft_core::{Error, ErrorKind};

use super::cache::Folder;
use super::client::{Client, Head};
use super::{Hub, HubName};

/// The model is not in the cache, and the hub may not be asked.
pub(super) fn offline(name: HubName<'_>, folder: &Folder) -> Error {
    let message = format!(
        "`{name}` is not in Hugging Face's cache, and HF_HUB_OFFLINE keeps it from being downloaded"
    );
    Error::new(ErrorKind::Model, message)
        .with_context("cache", folder.root().display())
        .with_hint(format!("unset HF_HUB_OFFLINE, or {}", elsewhere(name)))
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
        let HubName { repository, revision } = self.name;
        let page = format!("{}/{repository}", self.hub.endpoint);
        let model = |message: String| Error::new(ErrorKind::Model, message);
        match (head.status, head.error_code.as_deref().unwrap_or_default()) {
            (_, "RevisionNotFound") => {
                model(format!("the model `{repository}` has no revision `{revision}`"))
                    .with_hint(format!("its branches, tags and commits are at {page}"))
            }
            (_, "EntryNotFound") => model(format!("`{}` lacks a file that it lists", self.name))
                .with_hint("was the revision changed meanwhile? Run the same command again"),
            (_, "GatedRepo") | (401 | 403, _) => model(format!(
                "the hub refuses `{repository}`: it is gated or private, or there is no such model"
            ))
            .with_hint(self.how_to_get_access(&page)),
            (404, _) => model(format!("there is no model `{repository}` on the hub"))
                .with_hint(format!("check the name: {page}; a path is looked for first")),
            (status, _) => {
                Error::new(ErrorKind::Io, format!("the hub answers with status {status}"))
                    .with_hint("try again later")
            }
        }
        .with_context("hub", &self.hub.endpoint)
    }

    fn how_to_get_access(&self, page: &str) -> String {
        let token = match self.hub.token {
            None => "set HF_TOKEN to a token of yours",
            Some(_) => "see that the token in HF_TOKEN (or stored by `hf auth login`) is valid",
        };
        format!("check the name; a gated model's terms are accepted at {page}; {token}")
    }

    /// The answer is not what a hub answers.
    pub(super) fn nonsense(&self) -> Error {
        Error::new(ErrorKind::Model, "this does not answer as the Hugging Face Hub does")
            .with_context("hub", &self.hub.endpoint)
            .with_hint("is HF_ENDPOINT right?")
    }
}

/// How to bring a model to a machine that cannot download it.
fn elsewhere(HubName { repository, revision }: HubName<'_>) -> String {
    format!(
        "fill the cache on another machine: `deft fetch MANIFEST`, or `hf download {repository} \
         --revision {revision}`"
    )
}
