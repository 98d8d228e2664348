//! One component at work, written on the command line as in a manifest.

use std::path::Path;

use deft_core::{Error, ErrorKind, Kind, Result, ResultExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CommonArgs;
use crate::components::Plan;
use crate::manifest::Block;
use crate::registry::{Registry, SearchPath};
use crate::services::{HostServices, available_threads};

/// Finds the plugin for a block like `{use: t5, model: DIR}` (or `t5`) and checks its options.
pub(super) fn plan(text: &str, kind: Kind, args: &CommonArgs) -> Result<Plan> {
    let flag = format!("--{kind}");
    let block: Block = parse(text, &flag)?;
    let mut registry = registry(args);
    load_for(&mut registry, kind, &block)?;
    Plan::new(&registry, kind, &block, "").map_err(|error| at(error, &flag, text))
}

/// A piece of a manifest that was given as the value of a flag.
pub(super) fn parse<T: DeserializeOwned>(text: &str, flag: &str) -> Result<T> {
    let value: Value = serde_yaml::from_str(text)
        .or_error(ErrorKind::Options, "this is no YAML")
        .map_err(|error| at(error, flag, text))?;
    deft_core::options::parse(&value).map_err(|error| at(error, flag, text))
}

/// An error about the value of a flag.
pub(super) fn at(error: Error, flag: &str, text: &str) -> Error {
    error.with_context("at", format!("{flag} {text}"))
}

/// A registry that knows no plugin yet, and where to look for them.
pub(super) fn registry(args: &CommonArgs) -> Registry {
    Registry::new(SearchPath::new(&args.plugin_dirs, None))
}

/// Loads the plugins of a block and, by what they say of their children, of its children.
pub(super) fn load_for(registry: &mut Registry, kind: Kind, block: &Block) -> Result<()> {
    registry.load_for(kind, &block.component)?;
    let Some(plugin) = registry.find(kind, &block.component) else { return Ok(()) };
    let children = plugin.component(kind, &block.component).map(|info| info.children.clone());
    for slot in children.unwrap_or_default() {
        let blocks = match block.options.get(&slot.name) {
            Some(Value::Array(blocks)) if slot.many => &blocks[..],
            Some(block) => std::slice::from_ref(block),
            None => continue,
        };
        for child in blocks {
            load_for(registry, slot.kind, &deft_core::options::parse(child)?)?;
        }
    }
    Ok(())
}

/// Services with paths relative to the working directory.
pub(super) fn services(label: &str, args: &CommonArgs) -> HostServices {
    HostServices::new(Path::new("."), label, available_threads(args.threads))
}
