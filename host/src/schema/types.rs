//! Types of a JSON Schema in a user's words.

use serde_json::Value;

use super::KINDS;

/// A property's type: `integer ≥ 1`, `list of strings`, `"l2" | "ip"`, `component of kind reader`.
///
/// `root` is the schema that references in `schema` start at. Whether the property may be left out
/// is told by its default, and not here.
pub fn type_of(schema: &Value, root: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Some(kind) = KINDS.iter().find(|kind| kind.as_str() == name) {
            return format!("component of kind {kind}");
        }
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or_else(|| "any".to_owned(), |target| type_of(target, root));
    }
    if !schema["const"].is_null() {
        return schema["const"].to_string();
    }
    let joined = |forms: &Value, join: &str| {
        let forms = forms.as_array()?.iter().filter(|form| !is_null(form));
        Some(forms.map(|form| type_of(form, root)).collect::<Vec<_>>().join(join))
    };
    let values = schema["enum"].as_array();
    values
        .map(|values| values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "))
        .or_else(|| joined(&schema["oneOf"], " | "))
        .or_else(|| joined(&schema["anyOf"], " or "))
        .unwrap_or_else(|| plain_type(schema, root))
}

fn is_null(form: &Value) -> bool {
    form["type"] == "null"
}

fn plain_type(schema: &Value, root: &Value) -> String {
    let names: Vec<&str> = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    };
    let word = |&name: &&str| match name {
        "object" => "map".to_owned(),
        "array" => match type_of(&schema["items"], root).as_str() {
            "any" => "list".to_owned(),
            item @ ("map" | "string" | "integer" | "number") => format!("list of {item}s"),
            item => format!("list of {item}"),
        },
        "integer" | "number" => format!("{name}{}", range(schema)),
        other => other.to_owned(),
    };
    let words: Vec<String> = names.iter().filter(|name| **name != "null").map(word).collect();
    if words.is_empty() { "any".to_owned() } else { words.join(" or ") }
}

/// The limits of a number; 0 as the lower one goes without saying for integers.
fn range(schema: &Value) -> String {
    let limit = |name: &str| schema[name].as_f64();
    match (limit("minimum").filter(|limit| *limit != 0.0), limit("maximum")) {
        (Some(low), Some(high)) if low == high => format!(" {low}"),
        (Some(low), Some(high)) => format!(" {low} to {high}"),
        (Some(low), None) => format!(" ≥ {low}"),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_told_in_a_users_words() {
        let root = json!({ "$defs": { "Metric": { "enum": ["l2", "ip"] } } });
        for (schema, words) in [
            (json!({ "type": ["integer", "null"], "minimum": 1 }), "integer ≥ 1"),
            (json!({ "type": "integer", "minimum": 0 }), "integer"),
            (json!({ "type": "array", "items": { "type": "string" } }), "list of strings"),
            (json!({ "$ref": "#/$defs/Metric" }), "\"l2\" | \"ip\""),
            (json!({ "$ref": "#/$defs/reader" }), "component of kind reader"),
            (
                json!({ "anyOf": [{ "$ref": "#/$defs/Metric" }, { "type": "null" }] }),
                "\"l2\" | \"ip\"",
            ),
            (json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] }), "\"a\" | \"b\""),
            (json!({ "type": "object" }), "map"),
            (json!(true), "any"),
        ] {
            assert_eq!(type_of(&schema, &root), words, "{schema}");
        }
    }
}
