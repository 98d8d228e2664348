//! Finding plugins by name on the search path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::abi::descriptor::Descriptor;
use deft_core::{Error, ErrorKind, Kind, Result, options};

use deft_loader::{Plugin, read_descriptor};

/// Folders that are searched for plugins, in order; the first file of a name counts.
#[derive(Debug, Clone, Default)]
pub struct SearchPath(Vec<PathBuf>);

impl SearchPath {
    /// `--plugin-dir`, the manifest's folder, `$DEFT_PLUGIN_PATH`, the program's folder, the
    /// user's data folder; never the working directory unasked.
    pub fn new(plugin_dirs: &[PathBuf], manifest_dir: Option<&Path>) -> Self {
        let mut dirs = plugin_dirs.to_vec();
        dirs.extend(manifest_dir.map(Path::to_owned));
        if let Some(path) = std::env::var_os("DEFT_PLUGIN_PATH") {
            dirs.extend(std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()));
        }
        let program = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
        dirs.extend(program.as_deref().and_then(Path::parent).map(Path::to_owned));
        dirs.extend(user_data_dir().map(|dir| dir.join("deft/plugins")));
        Self(dirs)
    }

    /// The file of the plugin with this name (or at this path, if it has a separator).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`], listing the folders searched and the nearest name there.
    pub fn find(&self, name: &str, relative_to: &Path) -> Result<PathBuf> {
        if name.contains(std::path::MAIN_SEPARATOR) {
            let path = relative_to.join(name);
            return if path.is_file() {
                Ok(path)
            } else {
                Err(Error::new(ErrorKind::Plugin, "there is no such plugin file")
                    .with_context("path", path.display()))
            };
        }
        let file = file_name(name);
        if let Some(path) = self.0.iter().map(|dir| dir.join(&file)).find(|path| path.is_file()) {
            return Ok(path);
        }
        let known = self.files();
        let searched: Vec<_> = self.0.iter().map(|dir| dir.display().to_string()).collect();
        let error = Error::new(ErrorKind::Plugin, format!("plugin `{name}` is not found"))
            .with_context("file", file)
            .with_context("searched", searched.join(", "));
        Err(match options::nearest(name, known.keys().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("add its folder with --plugin-dir or $DEFT_PLUGIN_PATH"),
        })
    }

    /// Every library on the search path that looks like a plugin, by plugin name.
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        for dir in &self.0 {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let name = path.file_name().and_then(|name| name.to_str()).and_then(plugin_name);
                if let Some(name) = name {
                    found.entry(name).or_insert(path);
                }
            }
        }
        found
    }

    /// Descriptors of all plugins on the search path, with their files; or why there is none.
    pub fn descriptors(&self) -> Vec<(PathBuf, Result<Descriptor>)> {
        let described = |path: PathBuf| {
            let descriptor = read_descriptor(&path);
            (path, descriptor)
        };
        self.files().into_values().map(described).collect()
    }
}

fn user_data_dir() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home)
}

fn file_name(plugin: &str) -> String {
    let stem = format!("deft_{}", plugin.replace('-', "_"));
    format!("{}{stem}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn plugin_name(file: &str) -> Option<String> {
    file.strip_prefix(std::env::consts::DLL_PREFIX)?
        .strip_prefix("deft_")?
        .strip_suffix(std::env::consts::DLL_SUFFIX)
        .map(|stem| stem.replace('_', "-"))
}

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
        let plugin = Plugin::load(&path)?;
        self.check_clashes(&plugin)?;
        self.plugins.push(Arc::new(plugin));
        Ok(())
    }

    fn check_clashes(&self, new: &Plugin) -> Result<()> {
        for old in &self.plugins {
            let clash = |what: String| {
                Err(Error::new(ErrorKind::Plugin, format!("two plugins have {what}"))
                    .with_context("first", old.path.display())
                    .with_context("second", new.path.display())
                    .with_hint("leave one of them out of `plugins`"))
            };
            if old.descriptor.name == new.descriptor.name {
                return clash(format!("the name `{}`", new.descriptor.name));
            }
            for (kind, name) in &new.descriptor.components {
                if old.component(*kind, name).is_some() {
                    return clash(format!("a component {kind} `{name}`"));
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
                let plugin = Plugin::load(&path)?;
                self.check_clashes(&plugin)?;
                self.plugins.push(Arc::new(plugin));
                return Ok(());
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
        let mut known: Vec<(Kind, String, String)> = Vec::new();
        let loaded = self.plugins.iter().map(|plugin| plugin.descriptor.clone());
        let found = self.search_path.descriptors().into_iter().filter_map(|(_, d)| d.ok());
        for descriptor in loaded.chain(found) {
            let plugin = &descriptor.name;
            let entry = |(kind, name): &(Kind, String)| (*kind, name.clone(), plugin.clone());
            known.extend(descriptor.components.iter().map(entry));
        }
        if let Some((_, _, plugin)) = known.iter().find(|(k, n, _)| *k == kind && n == name) {
            return error.with_hint(format!("plugin `{plugin}` has it: add it to `plugins`"));
        }
        if let Some((other, _, _)) = known.iter().find(|(_, n, _)| n == name) {
            return error.with_hint(format!("`{name}` is a component of kind {other}"));
        }
        let of_kind: BTreeSet<&str> =
            known.iter().filter(|(k, _, _)| *k == kind).map(|(_, n, _)| n.as_str()).collect();
        let listed = of_kind.iter().copied().collect::<Vec<_>>().join(", ");
        match options::nearest(name, of_kind.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`? known: {listed}")),
            None if of_kind.is_empty() => {
                error.with_hint(format!("no plugin on the search path has any {kind}"))
            }
            None => error.with_hint(format!("known: {listed}")),
        }
    }
}
