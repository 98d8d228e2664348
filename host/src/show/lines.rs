//! The files of JSON lines that a run leaves, one line at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind as IoErrorKind};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::de::DeserializeOwned;

/// Calls `each` with every line of a file; `false` where there is no such file.
pub(super) fn each_line<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<bool> {
    let failed = "cannot read the run's file";
    let file = match File::open(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(false),
        opened => opened.or_io(failed, path)?,
    };
    let mut lines = BufReader::new(file);
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).or_io(failed, path)? == 0 {
            return Ok(true);
        }
        number += 1;
        each(serde_json::from_slice(&line).map_err(|error| damaged(path, number, &error))?);
    }
}

fn damaged(path: &Path, number: u64, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    // The line that serde tells is always the first.
    let why = message.rsplit_once(" at line ").map_or(message.as_str(), |(why, _)| why);
    Error::new(ErrorKind::Data, format!("the line is damaged: {why}"))
        .with_context("file", path.display())
        .with_context("line", number)
        .with_context("column", error.column())
        .with_hint("remove the file: the next `deft run` makes it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_in_order_and_a_damaged_one_is_named_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hits.jsonl");
        let mut found: Vec<Vec<u64>> = Vec::new();
        assert!(!each_line(&path, |line: Vec<u64>| found.push(line)).unwrap());
        std::fs::write(&path, "[1, 2]\n[]\n[3").unwrap();
        let error = each_line(&path, |line: Vec<u64>| found.push(line)).unwrap_err();
        assert_eq!(found, [vec![1, 2], vec![]]);
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!((error.context("line"), error.context("column")), (Some("3"), Some("2")));
        assert!(error.message().starts_with("the line is damaged: EOF"), "{error}");
        assert!(error.to_string().contains("hits.jsonl"), "{error}");
    }
}
