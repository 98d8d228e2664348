//! Typed options from JSON: errors with the option's path, spelling help, build and use marks.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, Result, excerpt};

/// The schema keyword that marks an option.
pub const MARK: &str = "x-deft-mark";

/// The mark of options that cannot change a result.
pub const USE: &str = "use";

/// The mark of an index's options that can change hits, and nothing that is built.
pub const SEARCH: &str = "search";

/// The mark of a trainer's options that can change predictions, and cannot change the model.
pub const PREDICT: &str = "predict";

/// The mark of an option without one: it can change what the component makes.
pub const BUILD: &str = "build";

/// The schema keyword of a list with one item for each child of a slot: the slot's name.
pub const EACH: &str = "x-deft-each";

/// Parses options (or a whole manifest) into their type.
///
/// # Errors
///
/// [`crate::ErrorKind::Options`] with the path of the value that is wrong, what was found, what is
/// allowed, and for an unknown name the nearest one.
pub fn parse<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        describe(&path, &error.inner().to_string())
    })
}

/// The same options with every default filled in.
///
/// # Errors
///
/// See [`parse`].
pub fn complete<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value> {
    serde_json::to_value(parse::<T>(value)?)
        .map_err(|error| Error::option_at("", "cannot be written as JSON").with_source(&error))
}

/// An option's mark in the schema of all of them.
///
/// Marks count at the top level, which is where components have their options.
pub fn mark<'a>(name: &str, schema: &'a Value) -> &'a str {
    schema["properties"][name][MARK].as_str().unwrap_or(BUILD)
}

/// The lists that have one item for each child of a slot, by name, with the slot's name.
pub fn lists_by_child(schema: &Value) -> impl Iterator<Item = (&str, &str)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(name, property)| Some((name.as_str(), property[EACH].as_str()?)))
}

/// Those of `options` with a mark that is to be kept.
pub fn marked(options: &Value, schema: &Value, keep: impl Fn(&str) -> bool) -> Value {
    let Value::Object(options) = options else { return options.clone() };
    let kept: Map<_, _> = options
        .iter()
        .filter(|(name, _)| keep(mark(name, schema)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(kept)
}

/// The candidate that `word` was most likely meant to be, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is so long, and the comparison takes time in proportion.
    if word.len() > 200 {
        return None;
    }
    let limit = word.chars().count() / 3 + 1;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Rewords serde's message for someone who has never heard of serde.
fn describe(path: &str, message: &str) -> Error {
    let names = backticked(message);
    if let Some(unknown) = message.strip_prefix("unknown field ").and(names.first()) {
        let allowed = &names[1..];
        // Some of serde's paths end in the unknown name itself: the parent is what we name.
        let parent = path.strip_suffix(unknown).map_or(path, |p| p.trim_end_matches('.'));
        let at = if parent.is_empty() { unknown.clone() } else { format!("{parent}.{unknown}") };
        let error = Error::option_at(at, format!("unknown option `{}`", excerpt(unknown)));
        return match nearest(unknown, allowed.iter().map(String::as_str)) {
            Some(name) => error.with_hint(format!("did you mean `{name}`? {}", listed(allowed))),
            None => error.with_hint(listed(allowed)),
        };
    }
    if message.starts_with("unknown variant ") && !names.is_empty() {
        let error = Error::option_at(path, format!("unknown value `{}`", excerpt(&names[0])));
        return match nearest(&names[0], names[1..].iter().map(String::as_str)) {
            Some(name) => {
                error.with_hint(format!("did you mean `{name}`? {}", listed(&names[1..])))
            }
            None => error.with_hint(listed(&names[1..])),
        };
    }
    if message.starts_with("missing field ") && !names.is_empty() {
        return Error::option_at(path, format!("`{}` is missing", names[0]));
    }
    let error = Error::option_at(path, in_plain_words(message));
    let one = message
        .strip_suffix(", expected a sequence")
        .and_then(|found| found.strip_prefix("invalid type: string \""))
        .and_then(|found| found.strip_suffix('"'));
    match one {
        Some(one) => error.with_hint(format!("a list of one is written `[{one}]`")),
        None => error,
    }
}

/// `invalid type: string "many", expected usize` in words that are not Rust's.
fn in_plain_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number of at least 0",
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a map of keys and values",
        other => other,
    };
    // What was found may be a text of any length; its kind is in front.
    let found = if found.len() > 200 { excerpt(found) } else { found.to_owned() };
    format!("{found}, expected {expected}")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing is allowed here".to_owned(),
        names => format!("allowed: {}", names.join(", ")),
    }
}

fn backticked(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        ef_search: u32,
        #[serde(default)]
        metric: Metric,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Metric {
        #[default]
        L2,
        Ip,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        index: Inner,
    }

    fn error_of(value: &Value) -> Error {
        parse::<Outer>(value).expect_err("the options are wrong")
    }

    #[test]
    fn unknown_option_names_its_path_and_the_nearest_spelling() {
        let error = error_of(&json!({"index": {"ef_serch": 3}}));
        assert_eq!(error.option(), Some("index.ef_serch"));
        assert_eq!(error.message(), "unknown option `ef_serch`");
        assert_eq!(error.hint(), Some("did you mean `ef_search`? allowed: ef_search, metric"));
    }

    #[test]
    fn wrong_type_names_what_was_found() {
        let error = error_of(&json!({"index": {"ef_search": "lots"}}));
        assert_eq!(error.option(), Some("index.ef_search"));
        assert_eq!(
            error.message(),
            "invalid type: string \"lots\", expected a whole number of at least 0"
        );
    }

    #[test]
    fn a_long_text_makes_no_long_message() {
        let long = "x ".repeat(100_000);
        for wrong in [
            json!({"index": {"ef_search": long}}),
            json!({"index": {"ef_search": 1, "metric": long}}),
        ] {
            let error = error_of(&wrong);
            assert!(error.message().len() < 300 && error.message().contains('…'), "{error}");
        }
    }

    #[test]
    fn one_word_in_place_of_a_list_is_answered_with_the_list() {
        let error = parse::<Vec<String>>(&json!("bm25")).expect_err("no list");
        assert_eq!(error.message(), "invalid type: string \"bm25\", expected a list");
        assert_eq!(error.hint(), Some("a list of one is written `[bm25]`"));
    }

    #[test]
    fn missing_option_and_unknown_value_are_named() {
        assert_eq!(error_of(&json!({"index": {}})).message(), "`ef_search` is missing");
        let error = error_of(&json!({"index": {"ef_search": 1, "metric": "l3"}}));
        assert_eq!(error.option(), Some("index.metric"));
        assert_eq!(error.hint(), Some("did you mean `l2`? allowed: l2, ip"));
    }

    #[test]
    fn defaults_are_filled_in_and_use_options_left_out_of_the_identity() {
        let full = complete::<Inner>(&json!({"ef_search": 5})).expect("valid");
        assert_eq!(full, json!({"ef_search": 5, "metric": "l2"}));
        let schema = json!({"properties": {"ef_search": {"x-deft-mark": "use"}}});
        assert_eq!(marked(&full, &schema, |mark| mark != USE), json!({"metric": "l2"}));
    }
}
