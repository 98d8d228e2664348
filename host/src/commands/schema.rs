//! `deft schema`: what may be written in a manifest, for editors and for people.

use std::path::Path;

use clap::Args;
use deft_core::{ComponentInfo, ErrorKind, Result, ResultExt};
use deft_loader::Plugin;

use super::{CommonArgs, print};
use crate::registry::SearchPath;
use crate::schema::{manifest_schema, markdown};

/// Arguments of `deft schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Plugins whose components may be used [default: all on the search path]
    plugins: Vec<String>,
    /// Tables for people instead of JSON Schema
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn schema(args: &SchemaArgs) -> Result<()> {
    let search_path = SearchPath::new(&args.common.plugin_dirs, None);
    let mut plugins = Vec::new();
    if args.plugins.is_empty() {
        for path in search_path.files().into_values() {
            match Plugin::load(&path) {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => log::warn!("left out: {error}"),
            }
        }
    }
    for name in &args.plugins {
        plugins.push(Plugin::load(&search_path.find(name, Path::new("."))?)?);
    }
    let components: Vec<&ComponentInfo> =
        plugins.iter().flat_map(|plugin| &plugin.components).collect();
    if args.markdown {
        return print(&markdown(&components));
    }
    let text = serde_json::to_string_pretty(&manifest_schema(&components))
        .or_error(ErrorKind::Unexpected, "no JSON")?;
    print(&format!("{text}\n"))
}
