//! The files that a run leaves: of JSON lines, one line at a time, and of JSON.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind as IoErrorKind};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::de::DeserializeOwned;

const FAILED: &str = "cannot read the run's file";

/// The JSON of a file; `None` where there is no such file.
pub(super) fn read_whole<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        read => read.or_io(FAILED, path)?,
    };
    let damaged = |error: serde_json::Error| damaged("the file is damaged", path, None, &error);
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

/// Calls `each` with every line of a file; `false` where there is no such file.
pub(super) fn each_line<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(false),
        opened => opened.or_io(FAILED, path)?,
    };
    let mut lines = BufReader::new(file);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).or_io(FAILED, path)? == 0 {
            return Ok(true);
        }
        number += 1;
        let damaged =
            |error: serde_json::Error| damaged("the line is damaged", path, Some(number), &error);
        each(serde_json::from_slice(&line).map_err(damaged)?);
    }
}

/// Of a line the number is given: what serde tells is always the first.
fn damaged(what: &str, path: &Path, line: Option<usize>, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    let why = message.rsplit_once(" at line ").map_or(message.as_str(), |(why, _)| why);
    Error::new(ErrorKind::Data, format!("{what}: {why}"))
        .with_context("file", path.display())
        .with_context("line", line.unwrap_or(error.line()))
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

    #[test]
    fn a_damaged_file_is_an_error_with_line_and_column_and_never_as_if_it_were_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recall.json");
        assert_eq!(read_whole::<Vec<u64>>(&path).unwrap(), None);
        std::fs::write(&path, "[\n  1,\n  x\n]\n").unwrap();
        let error = read_whole::<Vec<u64>>(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!((error.context("line"), error.context("column")), (Some("3"), Some("3")));
        assert_eq!(error.message(), "the file is damaged: expected value");
        assert!(error.hint().unwrap().contains("the next `deft run`"), "{error}");
    }
}
