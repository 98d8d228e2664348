//! Which component an imported object is, for error messages and fingerprints.

use crate::{Fingerprint, Kind, Result};

/// Where an imported component comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    kind: Kind,
    component: String,
    /// Name and version; empty inside a plugin that was handed the component as a child.
    plugin: String,
}

impl Origin {
    /// A component that the host imports from a plugin.
    pub fn of_plugin(kind: Kind, component: &str, name: &str, version: &str) -> Self {
        Self { kind, component: component.to_owned(), plugin: format!("{name} {version}") }
    }

    /// A child that a plugin imports from the host, which has named its plugin already.
    pub(crate) fn of_child(kind: Kind, component: &str) -> Self {
        Self { kind, component: component.to_owned(), plugin: String::new() }
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
