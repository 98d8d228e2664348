//! The plugins of a run: found, judged by their descriptors, loaded, and looked up.

mod search_path;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use deft_core::abi::descriptor::Descriptor;
use deft_core::{Error, ErrorKind, Kind, Result, options};
use deft_loader::{Plugin, check_descriptor, read_descriptor};

pub use search_path::SearchPath;

/// The plugins of a run.
#[derive(Debug, Default)]
pub struct Registry {
    search_path: SearchPath,
    plugins: Vec<Arc<Plugin>>,
}

impl Registry {
    /// A registry that knows no plugin yet.
    pub fn new(search_path: SearchPath) -> Self {
        Self { search_path, plugins: Vec::new() }
    }

    /// Where plugins are looked for.
    pub fn search_path(&self) -> &SearchPath {
        &self.search_path
    }

    /// The loaded plugins.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Loads the plugin with a name (or at a path relative to `relative_to`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`] when it is not found, not loadable, or clashes with a loaded one.
    pub fn load(&mut self, name: &str, relative_to: &Path) -> Result<()> {
        let path = self.search_path.find(name, relative_to)?;
        let same =
            |plugin: &Arc<Plugin>| plugin.path.canonicalize().ok() == path.canonicalize().ok();
        if self.plugins.iter().any(same) {
            return Ok(());
        }
        self.load_file(&path)
    }

    /// Loads a file, unless its descriptor says that it should not be.
    fn load_file(&mut self, path: &Path) -> Result<()> {
        let descriptor = read_descriptor(path)?;
        check_descriptor(&descriptor, path)?;
        self.check_clashes(&descriptor, path)?;
        self.plugins.push(Arc::new(Plugin::load_described(path, descriptor)?));
        Ok(())
    }

    fn check_clashes(&self, new: &Descriptor, path: &Path) -> Result<()> {
        let described = |plugin: &Descriptor, path: &Path| {
            format!("{} {} at {}", plugin.name, plugin.version, path.display())
        };
        for old in &self.plugins {
            let clash = |what: String, hint: &str| {
                Err(Error::new(ErrorKind::Plugin, format!("two plugins have {what}"))
                    .with_context("first", described(&old.descriptor, &old.path))
                    .with_context("second", described(new, path))
                    .with_hint(hint))
            };
            if old.descriptor.name == new.name {
                let hint = "they may be two builds of one plugin: leave one out of `plugins`";
                return clash(format!("the name `{}`", new.name), hint);
            }
            for (kind, name) in &new.components {
                if old.component(*kind, name).is_some() {
                    let hint = "leave one of them out of `plugins`";
                    return clash(format!("a component {kind} `{name}`"), hint);
                }
            }
        }
        Ok(())
    }

    /// Loads whichever plugin on the search path has the component, if none loaded has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`] when it cannot be loaded. Finding none is no error yet.
    pub fn load_for(&mut self, kind: Kind, name: &str) -> Result<()> {
        if self.find(kind, name).is_some() {
            return Ok(());
        }
        for (path, descriptor) in self.search_path.descriptors() {
            let has = |descriptor: &Descriptor| {
                descriptor.components.iter().any(|(k, n)| *k == kind && n == name)
            };
            if descriptor.is_ok_and(|descriptor| has(&descriptor)) {
                return self.load_file(&path);
            }
        }
        Ok(())
    }

    /// The loaded plugin that has a component.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Arc<Plugin>> {
        self.plugins.iter().find(|plugin| plugin.component(kind, name).is_some())
    }

    /// Explains that no loaded plugin has a component: which plugin has, of which kind one of that
    /// name is, or what was nearly meant.
    pub fn missing(&self, kind: Kind, name: &str) -> Error {
        let error = Error::option_at("use", format!("no loaded plugin has the {kind} `{name}`"));
        let known = self.known();
        if let Some(it) = known.iter().find(|it| it.kind == kind && it.name == name) {
            return error.with_hint(format!("plugin `{}` has it: add it to `plugins`", it.plugin));
        }
        let listed = listed(kind, &known);
        if let Some(other) = known.iter().find(|it| it.name == name) {
            let other = other.kind;
            return error.with_hint(format!("`{name}` is a component of kind {other}; {listed}"));
        }
        let of_kind = known.iter().filter(|it| it.kind == kind).map(|it| it.name.as_str());
        match options::nearest(name, of_kind) {
            Some(near) => error.with_hint(format!("did you mean `{near}`? {listed}")),
            None => error.with_hint(listed),
        }
    }

    /// What could stand where a component of this kind is missing, for a hint.
    pub fn choices(&self, kind: Kind) -> String {
        listed(kind, &self.known())
    }

    /// Every component of the loaded plugins and of those on the search path.
    fn known(&self) -> Vec<Known> {
        let loaded = self.plugins.iter().map(|plugin| plugin.descriptor.clone());
        let found = self.search_path.descriptors().into_iter().filter_map(|(_, found)| found.ok());
        let mut known = Vec::new();
        for Descriptor { name: plugin, components, .. } in loaded.chain(found) {
            known.extend(components.into_iter().map(|(kind, name)| Known {
                kind,
                name,
                plugin: plugin.clone(),
            }));
        }
        known
    }
}

/// A component, as a descriptor names it.
struct Known {
    kind: Kind,
    name: String,
    plugin: String,
}

fn listed(kind: Kind, known: &[Known]) -> String {
    let names: BTreeSet<&str> =
        known.iter().filter(|it| it.kind == kind).map(|it| it.name.as_str()).collect();
    if names.is_empty() {
        return format!("no plugin on the search path has any {kind}");
    }
    let names: Vec<&str> = names.into_iter().collect();
    format!("known of kind {kind}: {}", names.join(", "))
}
