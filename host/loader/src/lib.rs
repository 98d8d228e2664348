//! Loading a plugin: first its descriptor, from the file; then the library.
//!
//! The only unsafe code of the host is here: opening a library runs its constructors.

#![expect(unsafe_code, reason = "opening a shared library is unsafe by nature")]

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use abi_stable::library::{LibHeader, LibraryError, lib_header_from_path};
use abi_stable::std_types::RStr;
use deft_core::abi::descriptor::{Descriptor, SECTION};
use deft_core::abi::v1::{self, FfiLogger, Origin, PluginModuleRef};
use deft_core::{
    Children, ComponentInfo, Context, Error, ErrorKind, Fingerprint, Handle, Kind, Result,
    ResultExt,
};
use object::{Object, ObjectSection};
use serde_json::Value;

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

/// Reads a library's descriptor without loading it.
///
/// # Errors
///
/// [`ErrorKind::Plugin`] when the file is no shared library or no DEFT plugin.
pub fn read_descriptor(path: &Path) -> Result<Descriptor> {
    let bytes = std::fs::read(path).or_io("cannot read the plugin", path)?;
    let file = object::File::parse(bytes.as_slice()).map_err(|error| {
        Error::new(ErrorKind::Plugin, "this file is no shared library")
            .with_context("path", path.display())
            .with_source(&error)
    })?;
    let section = file.section_by_name(SECTION).ok_or_else(|| {
        Error::new(ErrorKind::Plugin, "this library is no DEFT plugin")
            .with_context("path", path.display())
            .with_context("missing", format!("section `{SECTION}`"))
            .with_hint("a plugin is a `cdylib` crate with `deft_core::export_plugin!` in it")
    })?;
    let data = section
        .data()
        .or_error(ErrorKind::Plugin, "the plugin's descriptor cannot be read")
        .map_err(|error| error.with_context("path", path.display()))?;
    Descriptor::parse(data).map_err(|error| error.with_context("path", path.display()))
}

/// Refuses, by its descriptor, a plugin that this host cannot load.
///
/// # Errors
///
/// [`ErrorKind::Plugin`], naming both values and what to do.
pub fn check_descriptor(descriptor: &Descriptor, path: &Path) -> Result<()> {
    let refuse = |what: &str, plugin: &str, host: &str, hint: &str| {
        Err(Error::new(ErrorKind::Plugin, format!("the plugin has another {what}"))
            .with_context("plugin", format!("{} {}", descriptor.name, descriptor.version))
            .with_context("path", path.display())
            .with_context("found", plugin)
            .with_context("wanted", host)
            .with_hint(hint))
    };
    if release_line(&descriptor.core) != release_line(CORE) {
        let hint = "build the plugin again with the deft-core of this deft";
        return refuse("version of deft-core", &descriptor.core, CORE, hint);
    }
    let target = env!("DEFT_TARGET");
    if descriptor.target != target {
        let hint = "build the plugin for this machine";
        return refuse("target", &descriptor.target, target, hint);
    }
    if descriptor.panic != "unwind" {
        let hint = "set `panic = \"unwind\"` in the plugin's build profile: with `abort`, its \
                    first panic would end the whole program";
        return refuse("panic strategy", &descriptor.panic, "unwind", hint);
    }
    Ok(())
}

/// The version of deft-core that this host is built with: they are released together.
const CORE: &str = env!("CARGO_PKG_VERSION");

/// The part of a version within which releases are compatible: `0.3` of 0.3.1, `2` of 2.1.0.
fn release_line(version: &str) -> &str {
    let parts = if version.starts_with("0.") { 2 } else { 1 };
    version.match_indices('.').nth(parts - 1).map_or(version, |(end, _)| &version[..end])
}

impl Plugin {
    /// Loads a plugin whose descriptor has been read and checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`] when the library cannot be opened, or its layout differs from ours.
    pub fn load(path: &Path) -> Result<Self> {
        let descriptor = read_descriptor(path)?;
        check_descriptor(&descriptor, path)?;
        let named = |error: Error| {
            error
                .with_context("plugin", format!("{} {}", descriptor.name, descriptor.version))
                .with_context("path", path.display())
        };
        open_library(path).map_err(named)?;
        let module = root_module(path).map_err(named)?;
        (module.init())(FfiLogger { log: receive_log, max_level: log::max_level() as u8 });
        let components = (module.components())().into_result().map_err(Error::from)?;
        let components = serde_json::from_str(&components)
            .or_error(ErrorKind::Plugin, "the plugin describes its components otherwise")
            .map_err(named)?;
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

    /// Builds a component.
    ///
    /// # Errors
    ///
    /// Whatever the component's constructor returns.
    pub fn create(
        &self,
        ctx: &Context<'_>,
        kind: Kind,
        name: &str,
        options: &Value,
        children: &Children,
    ) -> Result<Handle> {
        let options = options.to_string();
        let (children, options) = (v1::export_children(children), options.as_str());
        let created = v1::with_exported(ctx, |ctx| {
            let (kind, name) = (RStr::from(kind.as_str()), RStr::from(name));
            (self.module.create())(ctx, kind, name, options.into(), children)
        });
        let origin = self.origin(kind, name);
        match created.into_result() {
            Ok(component) => component.import(origin),
            Err(error) => origin.on(Err(error.into())),
        }
    }

    fn origin(&self, kind: Kind, component: &str) -> Origin {
        Origin::of_plugin(kind, component, &self.descriptor.name, &self.descriptor.version)
    }
}

/// Sets what libraries read from the environment when they are loaded; what a user set stays.
///
/// A plugin's threads come from its context. Pools that a library would start by itself, one
/// thread per core each, would compete with them.
///
/// # Safety
///
/// No other thread may be running: call it first thing in `main`.
pub unsafe fn prepare_environment() {
    for (name, value) in [("RAYON_NUM_THREADS", "1")] {
        if std::env::var_os(name).is_none() {
            #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
            // SAFETY: the caller guarantees that no other thread reads the environment.
            unsafe {
                std::env::set_var(name, value);
            }
        }
    }
}

/// Opens the library and keeps it open for good.
fn open_library(path: &Path) -> Result<()> {
    // SAFETY: the descriptor says that the file is a plugin; running its constructors is what
    // loading a plugin means, and docs/security.md tells users to load only what they trust.
    let library = unsafe { libloading::Library::new(path) };
    match library {
        Ok(library) => {
            let _kept_open = ManuallyDrop::new(library);
            Ok(())
        }
        Err(error) => Err(dlopen_error(&error)),
    }
}

/// Turns the dynamic linker's text into a message with a remedy.
fn dlopen_error(error: &libloading::Error) -> Error {
    let text = std::error::Error::source(error).unwrap_or(error).to_string();
    let refused = Error::new(ErrorKind::Plugin, "the plugin cannot be loaded").with_source(error);
    match text.split_once(": cannot open shared object file") {
        Some((library, _)) => refused.with_hint(format!(
            "install the system library `{library}`; `apt-file search {library}` names its package"
        )),
        None => refused,
    }
}

fn root_module(path: &Path) -> Result<PluginModuleRef> {
    lib_header_from_path(path)
        .and_then(LibHeader::init_root_module::<PluginModuleRef>)
        .map_err(|error| layout_error(&error))
}

/// Condenses `abi_stable`'s report of tens of kilobytes to the lines that say what differs.
fn layout_error(error: &LibraryError) -> Error {
    let report = error.to_string();
    let lines: Vec<&str> = report.lines().map(str::trim).collect();
    let last_error = lines.iter().rposition(|line| line.contains("Error:"));
    let reason: Vec<&str> = lines[last_error.unwrap_or(0)..]
        .iter()
        .copied()
        .filter(|line| !line.is_empty())
        .take(6)
        .collect();
    Error::new(
        ErrorKind::Plugin,
        format!("the plugin's data layout differs: {}", deft_core::excerpt(&reason.join(" "))),
    )
    .with_hint("build the plugin again with the deft-core of this deft")
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

    fn descriptor() -> Descriptor {
        Descriptor {
            interface: 1,
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            core: CORE.to_owned(),
            target: env!("DEFT_TARGET").to_owned(),
            rustc: "rustc".to_owned(),
            panic: "unwind".to_owned(),
            components: Vec::new(),
        }
    }

    #[test]
    fn plugins_that_do_not_fit_are_refused_with_both_values_and_a_remedy() {
        check_descriptor(&descriptor(), Path::new("x.so")).expect("fits");
        for (unfit, found) in [
            (Descriptor { core: "0.99.0".to_owned(), ..descriptor() }, "0.99.0"),
            (Descriptor { target: "sparc-sun".to_owned(), ..descriptor() }, "sparc-sun"),
            (Descriptor { panic: "abort".to_owned(), ..descriptor() }, "abort"),
        ] {
            let error = check_descriptor(&unfit, Path::new("x.so")).expect_err(found);
            assert_eq!(error.context("found"), Some(found));
            assert!(error.context("wanted").is_some() && error.hint().is_some());
        }
    }

    #[test]
    fn release_lines_follow_semantic_versioning() {
        assert_eq!(release_line("0.3.1"), "0.3");
        assert_eq!(release_line("2.1.0"), "2");
    }
}
