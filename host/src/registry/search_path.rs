//! Finding plugins' files by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deft_core::abi::descriptor::Descriptor;
use deft_core::{Error, ErrorKind, Result, options};
use deft_loader::read_descriptor;

/// Folders that are searched for plugins, in order; the first file of a name counts.
///
/// A plugin may lie there a second time, built for newer processors: beside `libdeft_faiss.so` a
/// `libdeft_faiss.x86-64-v4.so`. It is taken where this machine's processor has that level.
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
        let mut once = Vec::new();
        for dir in dirs {
            if !once.contains(&dir) {
                once.push(dir);
            }
        }
        Self(once)
    }

    /// The file of the plugin with this name (or at this path, if it has a separator).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`], listing the folders searched and the nearest name there.
    pub fn find(&self, name: &str, relative_to: &Path) -> Result<PathBuf> {
        if name.contains(std::path::MAIN_SEPARATOR) {
            let path = relative_to.join(name);
            return if path.is_file() { Ok(path) } else { Err(self.no_such_file(name, &path)) };
        }
        let file = file_name(name);
        let paths: Vec<PathBuf> = self.0.iter().map(|dir| dir.join(&file)).collect();
        if let Some(path) = paths.iter().find(|path| path.is_file()) {
            return Ok(fitting(path.clone()));
        }
        let message = format!("plugin `{name}` is not found");
        let error = Error::new(ErrorKind::Plugin, message).with_context("file", file);
        // A folder, or a link that leads nowhere.
        if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(error.with_context("not a file", path.display()));
        }
        let searched: Vec<_> = self.0.iter().map(|dir| dir.display().to_string()).collect();
        Err(error.with_context("searched", searched.join(", ")).with_hint(self.other_name(name)))
    }

    /// What is wrong with a path that is no file: `t0/rte` is a component, not a path.
    fn no_such_file(&self, name: &str, path: &Path) -> Error {
        let error = Error::new(ErrorKind::Plugin, format!("plugin `{name}` is not found"))
            .with_context(if path.exists() { "not a file" } else { "looked at" }, path.display());
        match name.split_once(std::path::MAIN_SEPARATOR) {
            Some((plugin, _)) if self.files().contains_key(plugin) => error.with_hint(format!(
                "did you mean the plugin `{plugin}`? `{name}` looks like a component of it"
            )),
            _ => error.with_hint(
                "a name with a slash is a path, relative to the manifest; a plugin on the search \
                 path is named without one",
            ),
        }
    }

    /// The plugin that a name was most likely meant to be: `libdeft_bm25.so` and `deft-bm25` are
    /// the file and the package of `bm25`.
    fn other_name(&self, name: &str) -> String {
        let files = self.files();
        let dashes = name.replace('_', "-");
        let bare = dashes.strip_suffix(std::env::consts::DLL_SUFFIX).unwrap_or(&dashes);
        let bare =
            bare.strip_prefix("lib").filter(|rest| rest.starts_with("deft-")).unwrap_or(bare);
        let bare = bare.strip_prefix("deft-").unwrap_or(bare);
        match options::nearest(bare, files.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if files.is_empty() => {
                "no plugin is in any of these folders: name the right one with --plugin-dir or \
                 $DEFT_PLUGIN_PATH"
                    .to_owned()
            }
            None => {
                let known: Vec<&str> = files.keys().map(String::as_str).collect();
                format!(
                    "add its folder with --plugin-dir or $DEFT_PLUGIN_PATH; found there: {}",
                    known.join(", ")
                )
            }
        }
    }

    /// Every library on the search path that looks like a plugin, by plugin name.
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        for dir in &self.0 {
            let Ok(entries) = std::fs::read_dir(dir) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let name = path.file_name().and_then(|name| name.to_str()).and_then(plugin_name);
                if let Some(name) = name {
                    found.entry(name).or_insert_with(|| fitting(path));
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

/// The plugin whose file has this name; none has a full stop in its name, but builds for newer
/// processors have.
fn plugin_name(file: &str) -> Option<String> {
    file.strip_prefix(std::env::consts::DLL_PREFIX)?
        .strip_prefix("deft_")?
        .strip_suffix(std::env::consts::DLL_SUFFIX)
        .filter(|stem| !stem.contains('.'))
        .map(|stem| stem.replace('_', "-"))
}

/// The build of a plugin that lies beside it for this machine's processor, or the plugin itself.
fn fitting(path: PathBuf) -> PathBuf {
    let Some(level) = deft_loader::level() else { return path };
    let newer = path.with_extension(format!("{level}{}", std::env::consts::DLL_SUFFIX));
    if newer.is_file() { newer } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_for_this_processor_is_taken_and_one_for_another_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(format!(
                "{}{name}{}",
                std::env::consts::DLL_PREFIX,
                std::env::consts::DLL_SUFFIX
            ));
            std::fs::write(&path, "").unwrap();
            path
        };
        let path = SearchPath(vec![dir.path().to_owned()]);
        let found = || (path.find("one", Path::new("")).unwrap(), path.files()["one"].clone());
        let plain = file("deft_one");
        file("deft_one.x86-64-v9");
        assert_eq!(found(), (plain.clone(), plain));
        assert_eq!(path.files().len(), 1);
        if let Some(level) = deft_loader::level() {
            let fitting = file(&format!("deft_one.{level}"));
            assert_eq!(found(), (fitting.clone(), fitting));
        }
    }
}
