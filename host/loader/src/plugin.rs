//! A loaded plugin and its components.

use std::path::{Path, PathBuf};

use abi_stable::std_types::RStr;
use deft_core::abi::descriptor::Descriptor;
use deft_core::abi::v1::running::Method;
use deft_core::abi::v1::{self, FfiLogger, Origin, PluginModuleRef};
use deft_core::{
    Children, ComponentInfo, Context, Error, ErrorKind, Fingerprint, Handle, Kind, Result,
    ResultExt,
};
use serde_json::Value;

use crate::open::{open_library, root_module};
use crate::{check_descriptor, read_descriptor};

/// A loaded plugin; it is never unloaded.
pub struct Plugin {
    /// What its file says.
    pub descriptor: Descriptor,
    /// Where it lies.
    pub path: PathBuf,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What its components say.
    pub components: Vec<ComponentInfo>,
    module: PluginModuleRef,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({} {})", self.descriptor.name, self.descriptor.version)
    }
}

impl Plugin {
    /// Loads a plugin, once its descriptor has been read and checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`]; see [`read_descriptor`], [`check_descriptor`] and
    /// [`Plugin::load_described`].
    pub fn load(path: &Path) -> Result<Self> {
        let descriptor = read_descriptor(path)?;
        check_descriptor(&descriptor, path)?;
        Self::load_described(path, descriptor)
    }

    /// Loads a plugin whose descriptor has been read and checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`] when the library cannot be opened, its layout differs from ours, or it
    /// has other components than its descriptor says.
    pub fn load_described(path: &Path, descriptor: Descriptor) -> Result<Self> {
        let (module, components) = open(path, &descriptor).map_err(|error| {
            error
                .with_context("plugin", format!("{} {}", descriptor.name, descriptor.version))
                .with_context("path", path.display())
        })?;
        let sha256 = Fingerprint::of_file(path)?;
        Ok(Self { descriptor, path: path.to_owned(), sha256, components, module })
    }

    /// What one of its components says.
    pub fn component(&self, kind: Kind, name: &str) -> Option<&ComponentInfo> {
        self.components.iter().find(|info| info.kind == kind && info.name == name)
    }

    /// Checks a component's options and fills in every default.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] with the path of what is wrong.
    pub fn complete(&self, kind: Kind, name: &str, options: &Value) -> Result<Value> {
        let options = options.to_string();
        let complete =
            (self.module.complete())(kind.as_str().into(), name.into(), options.as_str().into());
        let complete = complete.into_result().map_err(Error::from);
        // An error about an option is the user's, and has its place; others are the plugin's.
        let complete = match complete {
            Err(error) if error.kind() != ErrorKind::Options => {
                self.origin(kind, name).on(Err(error))?
            }
            complete => complete?,
        };
        serde_json::from_str(&complete)
            .or_error(ErrorKind::Unexpected, "the plugin's options are no JSON")
    }

    /// Builds a component; `place` is the path of its options, for errors about one of them.
    ///
    /// # Errors
    ///
    /// Whatever the component's constructor returns.
    pub fn create(
        &self,
        ctx: &Context<'_>,
        kind: Kind,
        name: &str,
        place: &str,
        options: &Value,
        children: &Children,
    ) -> Result<Handle> {
        let options = options.to_string();
        let (children, options) = (v1::export_children(children), options.as_str());
        let origin = self.origin(kind, name).at(place);
        let component = origin.call(Method::Create, || {
            v1::with_exported(ctx, |ctx| {
                let (kind, name) = (RStr::from(kind.as_str()), RStr::from(name));
                Ok((self.module.create())(ctx, kind, name, options.into(), children)
                    .into_result()?)
            })
        })?;
        origin.on(component.import(origin.clone()))
    }

    fn origin(&self, kind: Kind, component: &str) -> Origin {
        Origin::of_plugin(kind, component, &self.descriptor.name, &self.descriptor.version)
    }
}

/// Opens the library and asks what is in it.
fn open(path: &Path, descriptor: &Descriptor) -> Result<(PluginModuleRef, Vec<ComponentInfo>)> {
    open_library(path)?;
    let module = root_module(path)?;
    (module.init())(FfiLogger { log: receive_log, max_level: log::max_level() as u8 });
    let components = (module.components())().into_result().map_err(Error::from)?;
    let components: Vec<ComponentInfo> = serde_json::from_str(&components)
        .or_error(ErrorKind::Plugin, "the plugin's list of components is not understood")?;
    let found: Vec<_> = components.iter().map(|info| (info.kind, info.name.clone())).collect();
    check_components(&descriptor.components, &found)?;
    Ok((module, components))
}

/// Refuses a library that has other components than its descriptor says: components are looked up
/// in descriptors, before anything is loaded.
fn check_components(described: &[(Kind, String)], found: &[(Kind, String)]) -> Result<()> {
    let missing = |from: &[(Kind, String)], list: &[(Kind, String)]| {
        let not_there = list.iter().filter(|component| !from.contains(component));
        not_there.map(|(kind, name)| format!("{kind} {name}")).collect::<Vec<_>>().join(", ")
    };
    if let Some(i) = (1..found.len()).find(|&i| found[..i].contains(&found[i])) {
        let (kind, name) = &found[i];
        let message = format!("the plugin has two components {kind} `{name}`");
        return Err(Error::new(ErrorKind::Plugin, message)
            .with_hint("give one of them another `NAME` and build the plugin again"));
    }
    let mut error =
        Error::new(ErrorKind::Plugin, "the plugin has other components than its descriptor says");
    let (lacks, adds) = (missing(found, described), missing(described, found));
    if lacks.is_empty() && adds.is_empty() {
        return Ok(());
    }
    for (what, names) in [("only in the descriptor", lacks), ("only in the library", adds)] {
        if !names.is_empty() {
            error = error.with_context(what, names);
        }
    }
    Err(error.with_hint("build the plugin again: its file has been changed"))
}

/// Receives log lines of plugins.
extern "C" fn receive_log(level: u8, target: RStr<'_>, message: RStr<'_>) {
    // A panic must not leave this function: it is called from the other library.
    let _ = std::panic::catch_unwind(|| {
        log::log!(target: target.as_str(), v1::level_from(level), "{message}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_only_one_side_names_are_listed() {
        let list = |names: &[&str]| {
            names.iter().map(|name| (Kind::Encoder, (*name).to_owned())).collect::<Vec<_>>()
        };
        check_components(&list(&["a", "b"]), &list(&["b", "a"])).expect("the same");
        let error = check_components(&list(&["a", "b"]), &list(&["b", "c"])).expect_err("others");
        assert_eq!(error.context("only in the descriptor"), Some("encoder a"));
        assert_eq!(error.context("only in the library"), Some("encoder c"));
        let twice = check_components(&list(&["a"]), &list(&["a", "a"])).expect_err("twice");
        assert!(twice.message().contains("two components encoder `a`"), "{twice}");
    }
}
