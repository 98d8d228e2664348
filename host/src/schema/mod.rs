//! JSON Schema of manifests, for editors and for the reference: the manifest's own keys, and the
//! options of components as their plugins publish them.

mod markdown;
mod types;

use deft_core::{ComponentInfo, Kind, schemars};
use serde_json::{Map, Value, json};

use crate::manifest::Manifest;

pub use markdown::markdown;
pub use types::type_of;

pub(crate) const KINDS: [Kind; 5] =
    [Kind::Reader, Kind::Encoder, Kind::Index, Kind::Retriever, Kind::Trainer];

/// The schema of manifests that use these components.
pub fn manifest_schema(components: &[&ComponentInfo]) -> Value {
    let mut schema = schemars::schema_for!(Manifest).to_value();
    schema["title"] = "A manifest of DEFT".into();
    let mut defs = match schema["$defs"].take() {
        Value::Object(defs) => defs,
        _ => Map::new(),
    };
    for kind in KINDS {
        let of_kind: Vec<_> = components.iter().filter(|info| info.kind == kind).collect();
        let mut names: Vec<&str> = of_kind.iter().map(|info| info.name.as_str()).collect();
        if kind == Kind::Trainer {
            names.push("none");
        }
        let mut forms = vec![json!({ "type": "string", "enum": names })];
        for info in of_kind {
            let name = def_name(info);
            forms.push(json!({ "$ref": format!("#/$defs/{name}") }));
            let block = component_schema(info, &mut defs);
            defs.insert(name, block);
        }
        defs.insert(kind.to_string(), json!({ "anyOf": forms }));
    }
    schema["$defs"] = Value::Object(defs);
    schema
}

/// A component's name as that of a definition: no slash, which separates the steps of a reference.
fn def_name(info: &ComponentInfo) -> String {
    format!("{}.{}", info.kind, info.name.replace('/', "."))
}

/// The schema of one component's block; definitions of its own go to `defs`.
fn component_schema(info: &ComponentInfo, defs: &mut Map<String, Value>) -> Value {
    let prefix = def_name(info);
    let mut options = info.options.clone();
    rename_references(&mut options, &prefix);
    if let Value::Object(own) = options["$defs"].take() {
        defs.extend(own.into_iter().map(|(name, def)| (format!("{prefix}.{name}"), def)));
    }
    let mut properties = Map::from_iter([(
        "use".to_owned(),
        json!({ "const": info.name, "description": info.summary }),
    )]);
    let mut required = vec![Value::from("use")];
    for slot in &info.children {
        let child = json!({ "$ref": format!("#/$defs/{}", slot.kind) });
        let list = || json!({ "type": "array", "items": &child, "minItems": 1 });
        properties.insert(slot.name.clone(), if slot.many { list() } else { child });
        required.push(slot.name.clone().into());
    }
    if let Value::Object(own) = options["properties"].take() {
        properties.extend(own);
    }
    if let Value::Array(own) = options["required"].take() {
        required.extend(own);
    }
    json!({
        "description": info.summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Makes a component's references to its own definitions ones to those of the whole.
fn rename_references(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                let own = value.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
                match own.filter(|_| key == "$ref").map(str::to_owned) {
                    Some(name) => *value = format!("#/$defs/{prefix}.{name}").into(),
                    None => rename_references(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, prefix)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::SlotInfo;

    #[test]
    fn a_components_options_children_and_definitions_become_part_of_the_whole() {
        let options = json!({
            "properties": { "metric": { "$ref": "#/$defs/Metric" } },
            "required": ["metric"],
            "$defs": { "Metric": { "enum": ["l2", "ip"] } },
        });
        let info = ComponentInfo {
            kind: Kind::Retriever,
            name: "my/dense".to_owned(),
            summary: "nearest vectors".to_owned(),
            children: vec![
                SlotInfo { name: "encoder".to_owned(), kind: Kind::Encoder, many: false },
                SlotInfo { name: "others".to_owned(), kind: Kind::Retriever, many: true },
            ],
            options,
            capabilities: json!({}),
        };
        let schema = manifest_schema(&[&info]);
        let block = &schema["$defs"]["retriever.my.dense"];
        assert_eq!(block["required"], json!(["use", "encoder", "others", "metric"]));
        assert_eq!(block["properties"]["encoder"]["$ref"], "#/$defs/encoder");
        let others = &block["properties"]["others"];
        assert_eq!((&others["type"], &others["minItems"]), (&json!("array"), &json!(1)));
        assert_eq!(others["items"]["$ref"], "#/$defs/retriever");
        let metric = block["properties"]["metric"]["$ref"].as_str().unwrap();
        assert_eq!(schema.pointer(&metric[1..]).unwrap()["enum"], json!(["l2", "ip"]));
        let names = &schema["$defs"]["retriever"]["anyOf"][0]["enum"];
        assert_eq!(names, &json!(["my/dense"]));
        assert_eq!(schema["additionalProperties"], false, "a misspelt key is marked");
    }
}
