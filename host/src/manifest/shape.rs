//! Refuses lists where the manifest has maps.
//!
//! serde reads a list as the values of a map in the order in which they are declared: `[random, 10]`
//! would be a selection that nobody has meant.

use deft_core::{Error, Result};
use serde_json::Value;

/// Refuses a list in place of the manifest itself or of one of the maps in it.
pub(super) fn check(manifest: &Value) -> Result<()> {
    is_no_list("", manifest)?;
    is_no_list("selection", &manifest["selection"])?;
    for key in ["pool", "tasks"] {
        for (i, entry) in manifest[key].as_array().into_iter().flatten().enumerate() {
            is_no_list(&format!("{key}[{i}]"), entry)?;
        }
    }
    for (name, arm) in manifest["arms"].as_object().into_iter().flatten() {
        let path = format!("arms.{name}");
        is_no_list(&path, arm)?;
        is_no_list(&format!("{path}.selection"), &arm["selection"])?;
        for (i, part) in arm["train_on"].as_array().into_iter().flatten().enumerate() {
            is_no_list(&format!("{path}.train_on[{i}]"), part)?;
        }
    }
    Ok(())
}

fn is_no_list(path: &str, value: &Value) -> Result<()> {
    if !value.is_array() {
        return Ok(());
    }
    Err(Error::option_at(path, "a list stands where a map must be")
        .with_hint("write keys with their values: `{ policy: random, size: 10 }`"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, load};

    #[test]
    fn a_list_is_no_map_of_which_the_keys_were_left_out() {
        for blocks in [
            "selection: [random, 10, 20, 5]\n",
            "selection: []\n",
            "arms: { a: [bm25] }\n",
            "arms: { a: { selection: [union] } }\n",
            "arms: { a: { train_on: [[selection]] } }\n",
        ] {
            let error = load(&format!("{HEAD}{blocks}")).unwrap_err();
            assert!(error.message().contains("a list stands where a map must be"), "{error}");
            assert!(error.context("at").unwrap().contains("m.yaml:7:"), "{error}");
        }
        let error = load(&HEAD.replace("tasks: []", "tasks: [[rte, p3, q]]")).unwrap_err();
        assert!(error.message().contains("a list stands where"), "{error}");
    }
}
