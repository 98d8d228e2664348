//! `${NAME}` and `${NAME:-default}` in the manifest's strings.

use deft_core::{Error, Result, excerpt};
use serde_json::Value;

/// Replaces variables in every string below `value`; `$${` stands for `${`.
pub(super) fn expand(value: &mut Value, path: &str) -> Result<()> {
    match value {
        Value::String(text) if text.contains("${") => {
            *text = expand_text(text).map_err(|error| error.within_option(path))?;
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                expand(item, &format!("{path}[{i}]"))?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                expand(item, &below)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand_text(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let (inside, after) = rest[start + 2..]
            .split_once('}')
            .ok_or_else(|| Error::option_at("", "`${` without `}`"))?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            let shown = excerpt(inside);
            return Err(Error::option_at("", format!("`${{{shown}}}` names no variable"))
                .with_hint("allowed: ${NAME} and ${NAME:-default}; `$${` stands for `${`"));
        }
        out.push_str(&variable(name, default)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether this can be the name of an environment variable.
fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.len() <= 200 && name.chars().all(fine)
}

fn variable(name: &str, default: Option<&str>) -> Result<String> {
    match (std::env::var(name), default) {
        (Ok(value), _) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (_, None) => {
            Err(Error::option_at("", format!("the environment variable `{name}` is not set"))
                .with_hint(format!("set it, or write a default: ${{{name}:-value}}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_take_their_default_or_are_an_error() {
        let text = "${DEFT_SURELY_UNSET:-../shared}/pool/$${x}";
        assert_eq!(expand_text(text).unwrap(), "../shared/pool/${x}");
        let error = expand_text("${DEFT_SURELY_UNSET}/pool").expect_err("unset");
        assert!(error.message().contains("DEFT_SURELY_UNSET"));
        assert!(expand_text("${DEFT").is_err());
        for text in ["${}", "${a b}", "${A=B}", "${A\n}", "${A-b}", "${\u{e9}}"] {
            let error = expand_text(text).expect_err(text);
            assert!(error.message().contains("names no variable") && error.hint().is_some());
            assert!(!error.message().contains('\n'));
        }
    }
}
