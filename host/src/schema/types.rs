//! Types of a JSON Schema in a user's words.

use serde_json::Value;

/// A property's type in a user's words: `integer`, `string or null`, `"l2" | "ip"`.
pub fn type_of(schema: &Value, root: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or_else(|| "any".to_owned(), |target| type_of(target, root));
    }
    let list = |values: &Value, of: &dyn Fn(&Value) -> String, join: &str| {
        values.as_array().map(|all| all.iter().map(of).collect::<Vec<_>>().join(join))
    };
    if !schema["const"].is_null() {
        return schema["const"].to_string();
    }
    let of_schema = |schema: &Value| type_of(schema, root);
    list(&schema["enum"], &Value::to_string, " | ")
        .or_else(|| list(&schema["oneOf"], &of_schema, " | "))
        .or_else(|| list(&schema["anyOf"], &of_schema, " or "))
        .or_else(|| schema["type"].as_str().map(str::to_owned))
        .or_else(|| {
            let word = |word: &Value| word.as_str().unwrap_or_default().to_owned();
            list(&schema["type"], &word, " or ")
        })
        .unwrap_or_else(|| "any".to_owned())
}
