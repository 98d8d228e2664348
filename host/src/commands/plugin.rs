//! `deft plugin list` and `deft plugin inspect`.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use deft_core::options;
use deft_core::{ComponentInfo, Result, ResultExt};
use serde_json::{Value, json};

use super::{CommonArgs, print};
use crate::registry::SearchPath;
use crate::schema::type_of;
use deft_loader::{Plugin, check_descriptor};

/// The commands about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins on the search path, without loading them
    List(ListArgs),
    /// Load a plugin and tell all about it
    Inspect(InspectArgs),
}

/// Arguments of `deft plugin list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Arguments of `deft plugin inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The plugin: its name, or a path
    name: String,
    /// JSON instead of text, options as JSON Schema
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn plugin(command: &PluginCommand) -> Result<()> {
    match command {
        PluginCommand::List(args) => list(args),
        PluginCommand::Inspect(args) => inspect(args),
    }
}

fn list(args: &ListArgs) -> Result<()> {
    let mut found = SearchPath::new(&args.common.plugin_dirs, None).descriptors();
    for (path, descriptor) in &mut found {
        // What this program would refuse is told with the reason.
        if let Err(error) = descriptor.as_ref().map_or(Ok(()), |d| check_descriptor(d, path)) {
            *descriptor = Err(error);
        }
    }
    if args.json {
        let entry = |(path, descriptor): &(_, Result<_>)| match descriptor {
            Ok(descriptor) => json!({"path": path, "descriptor": descriptor}),
            Err(error) => json!({"path": path, "error": error.to_string()}),
        };
        let entries: Vec<Value> = found.iter().map(entry).collect();
        return print(&format!("{:#}\n", Value::Array(entries)));
    }
    let mut text = String::new();
    for (path, descriptor) in &found {
        match descriptor {
            Ok(descriptor) => {
                let components: Vec<String> = descriptor
                    .components
                    .iter()
                    .map(|(kind, name)| format!("{kind} {name}"))
                    .collect();
                let _ = writeln!(
                    text,
                    "{} {}: {}\n  {}",
                    descriptor.name,
                    descriptor.version,
                    components.join(", "),
                    path.display()
                );
            }
            Err(error) => log::warn!("{error}"),
        }
    }
    if text.is_empty() {
        log::warn!("there is no plugin on the search path; add a folder with --plugin-dir");
    }
    print(&text)
}

fn inspect(args: &InspectArgs) -> Result<()> {
    let search_path = SearchPath::new(&args.common.plugin_dirs, None);
    let plugin = Plugin::load(&search_path.find(&args.name, Path::new("."))?)?;
    if args.json {
        let value = json!({
            "descriptor": plugin.descriptor,
            "path": plugin.path,
            "sha256": plugin.sha256,
            "components": plugin.components,
        });
        let text = serde_json::to_string_pretty(&value)
            .or_error(deft_core::ErrorKind::Unexpected, "no JSON")?;
        return print(&format!("{text}\n"));
    }
    let descriptor = &plugin.descriptor;
    let mut text = format!("plugin {} {}\n", descriptor.name, descriptor.version);
    for (name, value) in [
        ("path", plugin.path.display().to_string()),
        ("sha256", plugin.sha256.clone()),
        ("interface", format!("{} (deft-core {})", descriptor.interface, descriptor.core)),
        ("built for", descriptor.target.clone()),
        ("built with", format!("{}, panic = {}", descriptor.rustc, descriptor.panic)),
    ] {
        let _ = writeln!(text, "  {name:<11} {value}");
    }
    for component in &plugin.components {
        describe_component(&mut text, component);
    }
    print(&text)
}

fn describe_component(text: &mut String, component: &ComponentInfo) {
    let _ = writeln!(text, "\n{} {}: {}", component.kind, component.name, component.summary);
    for slot in &component.children {
        let _ = writeln!(text, "  {}: {}; required", slot.name, slot.wants());
    }
    let nothing = serde_json::Map::new();
    let properties = component.options["properties"].as_object().unwrap_or(&nothing);
    for (name, schema) in properties {
        let required = component.options["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|one| one == name.as_str()));
        let default = match (&schema["default"], required) {
            (_, true) => "required".to_owned(),
            (Value::Null, _) => "optional".to_owned(),
            (default, _) => format!("default {default}"),
        };
        let mark = options::mark(name, &component.options);
        let kind = type_of(schema, &component.options);
        let _ = writeln!(text, "  {name}: {kind}; {default}; {mark}");
        for line in schema["description"].as_str().unwrap_or_default().lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    let capabilities = component.capabilities.as_object().unwrap_or(&nothing);
    if !capabilities.is_empty() {
        text.push_str("  capabilities:\n");
    }
    for (name, value) in capabilities {
        let _ = writeln!(text, "      {name}: {value}");
    }
}
