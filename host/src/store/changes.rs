//! Why something in the store does not serve: what it was made from, and what is wanted now.

use serde_json::Value;

/// Differences told at most.
const TOLD: usize = 3;

/// The places at which two descriptions differ, for people: `reader.options.limit is 5, was 7`.
fn differences(wanted: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", wanted, found, &mut all);
    if all.len() > TOLD {
        let more = all.len() - TOLD;
        all.truncate(TOLD);
        all.push(format!("and {more} more"));
    }
    all
}

/// Of what was made before, each a folder and what it was made from, the one that differs least from
/// what is wanted, and how.
pub fn nearest<'a>(
    wanted: &Value,
    made: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Option<(&'a str, Vec<String>)> {
    let different = |(folder, found)| (folder, differences(wanted, found));
    made.map(different).min_by_key(|(_, differences)| differences.len())
}

fn compare(path: &str, wanted: &Value, found: &Value, all: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (wanted, found) {
        _ if wanted == found => {}
        // A file as the pool's card has it.
        (Value::Object(new), Value::Object(old))
            if new.contains_key("sha256") && new.get("name") == old.get("name") =>
        {
            all.push(format!("{} has changed", new["name"].as_str().unwrap_or(path)));
        }
        (Value::Object(new), Value::Object(old)) => {
            let missing = old.keys().filter(|key| !new.contains_key(*key));
            for key in new.keys().chain(missing) {
                let at = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
                compare(&below(key), &at(new), &at(old), all);
            }
        }
        (Value::Array(new), Value::Array(old)) if new.len() == old.len() => {
            for (i, (new, old)) in new.iter().zip(old).enumerate() {
                compare(&format!("{path}[{i}]"), new, old, all);
            }
        }
        _ => {
            let what = if path.is_empty() { "it" } else { path };
            all.push(format!("{what} is {}, was {}", brief(wanted), brief(found)));
        }
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Null => "not there".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a map".to_owned(),
        other => deft_core::excerpt(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_places_and_both_values() {
        let wanted = json!([{"reader": {"options": {"a": 1}}, "limit": 5,
            "files": [{"name": "x.jsonl", "sha256": "1"}]}]);
        let found = json!([{"reader": {"options": {"a": 2}}, "limit": null,
            "files": [{"name": "x.jsonl", "sha256": "2"}]}]);
        assert_eq!(
            differences(&wanted, &found),
            [
                "[0].reader.options.a is 1, was 2",
                "[0].limit is 5, was not there",
                "x.jsonl has changed"
            ]
        );
        assert!(differences(&wanted, &wanted).is_empty());
        assert_eq!(
            differences(&json!([1, 2]), &json!([1])),
            ["it is a list of 2, was a list of 1"]
        );
    }

    #[test]
    fn the_nearest_is_the_one_with_the_fewest_differences() {
        let (wanted, near, far) = (json!({"a": 1, "b": 1}), json!({"a": 1, "b": 2}), json!({}));
        let found = nearest(&wanted, [("far", &far), ("near", &near)].into_iter());
        assert_eq!(found, Some(("near", vec!["b is 1, was 2".to_owned()])));
        assert_eq!(nearest(&wanted, std::iter::empty()), None);
    }

    #[test]
    fn more_than_three_differences_are_counted() {
        let wanted = json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1});
        let told = differences(&wanted, &json!({}));
        assert_eq!((told.len(), told[3].as_str()), (4, "and 2 more"));
    }
}
