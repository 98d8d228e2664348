//! How an error, or a stop, is told at the end.

use deft_core::{Error, ErrorKind};
use serde_json::{Map, Value, json};

use super::{LogFormat, console, object};
use crate::interrupt;

/// Prints an error as people want it: place, message, causes, remedy. A stop that the user asked
/// for is no error.
pub fn print_error(error: &Error) {
    let console = console();
    if error.kind() == ErrorKind::Cancelled {
        let message = format!("cancelled{}", interrupt::how_to_go_on());
        console.print(&match console.format {
            LogFormat::Json => cancelled(&message).to_string(),
            LogFormat::Text => message,
        });
        return;
    }
    console.print(&match console.format {
        LogFormat::Json => as_object(error, interrupt::is_resumable()).to_string(),
        LogFormat::Text => as_text(error, interrupt::is_resumable()),
    });
}

fn cancelled(message: &str) -> Value {
    let mut line = object("info", super::OWN_TARGET, message);
    line["kind"] = json!(ErrorKind::Cancelled);
    line
}

fn as_text(error: &Error, resumable: bool) -> String {
    let option = match error.option() {
        Some("") | None => String::new(),
        Some(option) => format!("{option}: "),
    };
    let hint = hint(error, resumable).map(|hint| format!("\n\nhint: {hint}"));
    format!("error: {option}{error}{}", hint.unwrap_or_default())
}

fn as_object(error: &Error, resumable: bool) -> Value {
    // What an error is on its way across the boundary: context as pairs, causes as a list.
    let whole = serde_json::to_value(error).unwrap_or_default();
    let pairs: Vec<(String, String)> =
        serde_json::from_value(whole["context"].clone()).unwrap_or_default();
    let context: Map<String, Value> =
        pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
    let mut line = object("error", super::OWN_TARGET, error.message());
    line["kind"] = json!(error.kind());
    line["option"] = json!(error.option().filter(|option| !option.is_empty()));
    line["context"] = Value::Object(context);
    line["causes"] = whole["causes"].clone();
    line["hint"] = json!(hint(error, resumable));
    line
}

/// The error's own hint, or one about what the system refused.
fn hint(error: &Error, resumable: bool) -> Option<String> {
    if let Some(hint) = error.hint() {
        return Some(hint.to_owned());
    }
    let text = error.to_string();
    let has = |number: u32| text.contains(&format!("(os error {number})"));
    let elsewhere = if resumable { " with --store or --run" } else { "" };
    let hint = if has(28) {
        format!("the disk is full: free space, or give another folder{elsewhere}")
    } else if has(122) {
        format!("your disk quota is used up: free space, or give another folder{elsewhere}")
    } else if has(30) {
        format!("the file system cannot be written to: give another folder{elsewhere}")
    } else if has(13) {
        let reads = ["read", "open", "load"].iter().any(|word| error.message().contains(word));
        let instead = format!(", or give another folder{elsewhere}");
        let instead = if reads { String::new() } else { instead };
        format!("you lack the permission: have the path's owner or mode changed{instead}")
    } else {
        return None;
    };
    let goes_on = "; what was finished stays, and the same command goes on";
    Some(hint + if resumable { goes_on } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str, code: i32) -> Error {
        Error::new(ErrorKind::Io, message)
            .with_context("path", "/data/part")
            .with_source(&std::io::Error::from_raw_os_error(code))
    }

    #[test]
    fn what_the_system_refuses_has_a_remedy() {
        let full = as_text(&refused("cannot write the part", 28), true);
        assert!(full.starts_with("error: cannot write the part (path: /data/part): "), "{full}");
        assert!(
            full.ends_with(
                "\n\nhint: the disk is full: free space, or give another folder with --store or \
                 --run; what was finished stays, and the same command goes on"
            ),
            "{full}"
        );
        for (code, says) in [(122, "quota"), (30, "cannot be written to"), (13, "permission")] {
            let hint = hint(&refused("cannot write the part", code), true).expect("a hint");
            assert!(hint.contains(says) && hint.contains("--store"), "{hint}");
        }
        let read = hint(&refused("cannot read the file", 13), false).expect("a hint");
        assert_eq!(read, "you lack the permission: have the path's owner or mode changed");
    }

    #[test]
    fn an_error_that_has_a_hint_keeps_it_and_others_get_none() {
        let own = refused("cannot write the part", 28).with_hint("buy a disk");
        assert_eq!(hint(&own, true).as_deref(), Some("buy a disk"));
        assert_eq!(hint(&refused("cannot read the file", 2), true), None);
    }

    #[test]
    fn programs_get_every_part_of_an_error() {
        let error = refused("cannot read the part", 5).with_hint("look");
        let line = as_object(&error, true);
        assert_eq!(line["level"], "error");
        assert_eq!(line["kind"], "io");
        assert_eq!(line["message"], "cannot read the part");
        assert_eq!(line["context"], json!({"path": "/data/part"}));
        assert_eq!(line["causes"].as_array().map(Vec::len), Some(1));
        assert_eq!(line["hint"], "look");
        assert!(line["option"].is_null() && line["time"].is_string());
    }
}
