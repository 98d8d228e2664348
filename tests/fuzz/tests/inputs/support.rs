//! What several kinds of input share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{
    Children, Context, Error, ErrorKind, Handle, Kind, NoServices, Reader, Result, Services,
};
use deft_loader::Plugin;
use serde_json::Value;

/// A result, or nothing after an error; a panic that has become an error is a fault.
pub(crate) fn handled<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            check_error(&error);
            None
        }
    }
}

fn check_error(error: &Error) {
    let text = error.to_string();
    assert!(error.kind() != ErrorKind::Panicked && !text.contains("panicked"), "{text}");
    assert!(!error.message().is_empty());
}

/// A library of the workspace, which must have been built.
pub(crate) fn library(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let path = target.join("release").join(format!("{before}deft_{name}{after}"));
    assert!(path.is_file(), "build first: `make build` ({})", path.display());
    path
}

/// A context of one thread.
pub(crate) fn context(services: &dyn Services) -> Context<'_> {
    Context::new(services, 7, 1)
}

/// A component of a built library.
pub(crate) fn component(
    plugin: &Plugin,
    services: &dyn Services,
    kind: Kind,
    name: &str,
    options: &Value,
) -> Result<Handle> {
    plugin.create(&context(services), kind, name, "", options, &Children::none())
}

/// A reader of a built library.
pub(crate) fn reader(library_name: &str, name: &str, options: &Value) -> Arc<dyn Reader> {
    let plugin = Plugin::load(&library(library_name)).expect("a plugin");
    let reader = component(&plugin, &NoServices, Kind::Reader, name, options);
    match reader.expect("a reader") {
        Handle::Reader(reader) => reader,
        other => panic!("{other:?} is no reader"),
    }
}

/// Reads a source to its end or first error.
pub(crate) fn read_all(reader: &dyn Reader, source: &Path) {
    let ctx = context(&NoServices);
    let Some(mut stream) = handled(reader.open(&ctx, source)) else { return };
    let mut rows = 0;
    while let Some(Some(batch)) = handled(stream.next_batch(&ctx, 256)) {
        let read = batch.examples.len() + batch.skipped.len();
        assert!(read > 0, "an empty batch is no end");
        rows += read;
        assert!(rows < 10_000_000, "more rows than the source can hold");
    }
}
