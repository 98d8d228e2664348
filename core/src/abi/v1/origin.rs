//! Which component an imported object is, for error messages and fingerprints.

use super::running::{Label, Method, Running};
use crate::{Fingerprint, Kind, Result};

/// Where an imported component comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    kind: Kind,
    component: String,
    /// Name and version; empty inside a plugin that was handed the component as a child.
    plugin: String,
    /// Where its options stand among all others: `retriever.encoder`.
    place: String,
    /// How its calls are told of while they run; none inside a plugin.
    label: Option<Label>,
}

impl Origin {
    /// A component that the host imports from a plugin.
    pub fn of_plugin(kind: Kind, component: &str, name: &str, version: &str) -> Self {
        let plugin = format!("{name} {version}");
        let label = Label::of(kind, component, &plugin);
        Self { kind, component: component.to_owned(), plugin, place: String::new(), label }
    }

    /// The same, with the path of the block of options that the component is built with.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Self { place: place.to_owned(), ..self }
    }

    /// A child that a plugin imports from the host, which has named its plugin already.
    pub(crate) fn of_child(kind: Kind, component: &str) -> Self {
        let (component, plugin, place) = (component.to_owned(), String::new(), String::new());
        Self { kind, component, plugin, place, label: None }
    }

    /// Makes a call of the component, seen in [`super::running`] while it runs, and names the
    /// component in its error, with the whole path of an option that the error is about.
    ///
    /// # Errors
    ///
    /// That of the call; see [`Self::on`].
    #[inline]
    pub fn call<T>(&self, method: Method, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let running = self.label.and_then(|label| Running::enter(label, method));
        let done = body();
        drop(running);
        self.on(done)
    }

    /// Names the component in an error, unless a component further in has been named.
    ///
    /// # Errors
    ///
    /// The error it was given, with the name.
    pub fn on<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            if self.plugin.is_empty() || error.context("component").is_some() {
                return error;
            }
            error
                .within_option(&self.place)
                .with_context("component", format!("{} {}", self.kind, self.component))
                .with_context("plugin", &self.plugin)
        })
    }

    /// Adds the plugin's name and version to what a component says of itself.
    pub(crate) fn fingerprint(&self, own: String) -> String {
        if self.plugin.is_empty() {
            return own;
        }
        Fingerprint::new().with(&self.plugin).with(&self.component).with(own).short()
    }
}
