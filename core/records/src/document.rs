//! JSON files that are read as a whole.

use std::io::Read;
use std::path::Path;

use deft_core::prelude::*;
use serde_json::Value;

use crate::form::{Form, Forms};
use crate::text::{BYTE_ORDER_MARK, malformed, remedy};

/// The longest document that is read, in bytes of text; its values may take ten times as much.
const MAX_DOCUMENT: u64 = 512 << 20;

/// Everything in a `.json` file (`.gz`, `.zst`), for sets whose records lie under their ids or in
/// one field of an object. At most 512 MiB of text, decompressed.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be read; [`ErrorKind::Data`] when it is named otherwise, too
/// long or no JSON, with line and column.
pub fn json_value(path: &Path) -> Result<Value> {
    read_at_most(path, MAX_DOCUMENT)
}

fn read_at_most(path: &Path, max: u64) -> Result<Value> {
    let refused =
        |message: String| Error::new(ErrorKind::Data, message).with_context("file", path.display());
    let Form::Json(compression) = Form::of(path, Forms::RECORDS)? else {
        return Err(refused("the file is read as one JSON document".to_owned())
            .with_hint("known are .json, .json.gz and .json.zst"));
    };
    let mut bytes = Vec::new();
    let read = compression.open(path)?.take(max + 1).read_to_end(&mut bytes);
    read.map_err(|source| compression.unreadable(path, &source))?;
    if bytes.len() as u64 > max {
        return Err(refused(format!("the JSON document is longer than {max} bytes"))
            .with_hint("split the file"));
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| {
        refused(malformed(&error))
            .with_context("line", error.line())
            .with_context("column", error.column())
            .with_hint(remedy(text, "the file must hold one JSON document: was it copied whole?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    fn read(name: &str, content: &[u8]) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        read_at_most(&path, 100)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), name))
    }

    #[test]
    fn a_document_is_read_whole_plain_and_compressed() {
        let text = b"\xef\xbb\xbf{\"id\": {\"a\":\n [1]}}\n";
        let compressed = zstd::encode_all(text.as_slice(), 1).unwrap();
        let expected = json!({"id": {"a": [1]}});
        assert_eq!(read("a.json", text).unwrap(), expected);
        assert_eq!(read("a.json.zst", &compressed).unwrap(), expected);
    }

    #[test]
    fn a_malformed_document_is_named_by_line_and_column() {
        assert_eq!(
            read("a.json", b"{\"a\":\n 1,,}").unwrap_err(),
            "malformed JSON: key must be a string (file: a.json, line: 2, column: 4)"
        );
    }

    #[test]
    fn a_document_that_is_too_long_and_one_of_another_name_are_refused() {
        let long = format!("[{}]", "1,".repeat(60));
        assert_eq!(
            read("a.json", long.as_bytes()).unwrap_err(),
            "the JSON document is longer than 100 bytes (file: a.json)"
        );
        assert_eq!(
            read("a.jsonl", b"{}").unwrap_err(),
            "the file is read as one JSON document (file: a.jsonl)"
        );
    }
}
