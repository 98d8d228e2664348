//! The schema as tables for people.

use std::fmt::Write as _;

use deft_core::ComponentInfo;
use deft_core::options;
use serde_json::Value;

use super::{KINDS, manifest_schema, type_of};

/// The maps of a manifest, by the schema's names, with the words for them.
const MAPS: [(&str, &str); 8] = [
    ("PoolSource", "An entry of `pool`"),
    ("SourceList", "A map as a `source` of the pool"),
    ("Task", "An entry of `tasks`"),
    ("SourcePart", "A map as a task's source"),
    ("Selection", "`selection`"),
    ("ContaminationCheck", "A map in `contamination`"),
    ("Arm", "An entry of `arms`"),
    ("NamedPart", "A map in `train_on`"),
];

/// Every key of a manifest, and every option of some components.
pub fn markdown(components: &[&ComponentInfo]) -> String {
    let schema = manifest_schema(components);
    let mut text = String::from(
        "# Reference\n\nWritten by `deft schema --markdown` from what the program and its plugins \
         say of themselves.\nWhat the keys mean together is told in [manifest.md](manifest.md).\n\n\
         ## A manifest\n\n",
    );
    keys(&mut text, &schema, &schema);
    for (name, title) in MAPS {
        let _ = write!(text, "\n### {title}\n\n");
        keys(&mut text, &schema["$defs"][name], &schema);
    }
    for kind in KINDS {
        for info in components.iter().filter(|info| info.kind == kind) {
            component(&mut text, info);
        }
    }
    text
}

fn keys(text: &mut String, map: &Value, root: &Value) {
    text.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    for (name, schema) in map["properties"].as_object().into_iter().flatten() {
        let (kind, default) = (cell(&type_of(schema, root)), default_of(name, schema, map));
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {} |", meaning(schema));
    }
}

fn component(text: &mut String, info: &ComponentInfo) {
    let _ = write!(text, "\n## {} `{}`\n\n{}.\n", info.kind, info.name, capitalized(&info.summary));
    for slot in &info.children {
        let _ = write!(text, "\n`{}` is a {}; required.\n", slot.name, slot.wants());
    }
    let Some(options) = info.options["properties"].as_object().filter(|map| !map.is_empty()) else {
        text.push_str("\nIt has no options.\n");
        return;
    };
    text.push_str("\n| option | type | default | mark | meaning |\n|---|---|---|---|---|\n");
    for (name, schema) in options {
        let kind = cell(&type_of(schema, &info.options));
        let default = default_of(name, schema, &info.options);
        let mark = options::mark(name, &info.options);
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {mark} | {} |", meaning(schema));
    }
}

fn default_of(name: &str, schema: &Value, map: &Value) -> String {
    let is_required =
        map["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    match &schema["default"] {
        _ if is_required => "required".to_owned(),
        Value::Null => "none".to_owned(),
        Value::Object(map) if map.len() > 1 => "see below".to_owned(),
        default => format!("`{default}`"),
    }
}

fn meaning(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    cell(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
