//! One component at work, written on the command line as in a manifest.

use std::path::Path;

use deft_core::{Kind, Result, ResultExt};
use serde_json::Value;

use super::CommonArgs;
use crate::components::Plan;
use crate::manifest::Block;
use crate::registry::{Registry, SearchPath};
use crate::services::{HostServices, available_threads};

/// Finds the plugin for a block like `{use: t5, model: DIR}` (or `t5`) and checks its options.
pub(super) fn plan(text: &str, kind: Kind, args: &CommonArgs) -> Result<Plan> {
    let at = |error: deft_core::Error| error.with_context("at", format!("--{kind} {text}"));
    let value: Value = serde_yaml::from_str(text)
        .or_error(deft_core::ErrorKind::Options, "this is no YAML")
        .map_err(at)?;
    let block: Block = deft_core::options::parse(&value).map_err(at)?;
    let mut registry = Registry::new(SearchPath::new(&args.plugin_dirs, None));
    load_for(&mut registry, kind, &block)?;
    Plan::new(&registry, kind, &block, "").map_err(at)
}

/// Loads the plugins of a block and, by what they say of their children, of its children.
fn load_for(registry: &mut Registry, kind: Kind, block: &Block) -> Result<()> {
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
