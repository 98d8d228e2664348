//! Lists of pool ids in files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt, excerpt};
use serde::Deserialize;

/// What is read of a line of a `selection.jsonl`.
#[derive(Deserialize)]
struct Line {
    index_id: u64,
}

/// The ids in a file, in its order: one number on each line, or the `index_id` of each line of a
/// `selection.jsonl`. Empty lines are left out.
///
/// # Errors
///
/// [`ErrorKind::Io`]; [`ErrorKind::Data`] with file and line for what is no id of a pool of so many
/// rows, or comes twice.
pub fn read_ids(path: &Path, rows: usize) -> Result<Vec<u64>> {
    let file = File::open(path).or_io("cannot read the ids", path)?;
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let line = line.or_io("cannot read the ids", path)?;
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let wrong = |message: &str| {
            Error::new(ErrorKind::Data, message)
                .with_context("file", path.display())
                .with_context("line", number)
                .with_context("found", excerpt(text))
        };
        let id = id_of(text).ok_or_else(|| {
            wrong("this is no id").with_hint(
                "allowed: one number on each line, or lines of a `selection.jsonl` with `index_id`",
            )
        })?;
        if id >= rows as u64 {
            return Err(wrong("the pool has no such row")
                .with_context("rows", rows)
                .with_hint("ids count from 0; are these of another pool?"));
        }
        if !seen.insert(id) {
            return Err(wrong("this id comes twice").with_hint("leave one of them out"));
        }
        ids.push(id);
    }
    Ok(ids)
}

fn id_of(text: &str) -> Option<u64> {
    if text.starts_with('{') {
        return serde_json::from_str::<Line>(text).ok().map(|line| line.index_id);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ids");
        std::fs::write(&path, text).unwrap();
        read_ids(&path, 10)
    }

    #[test]
    fn ids_come_as_numbers_or_as_lines_of_a_selection() {
        assert_eq!(read("7\n3\r\n\n9\n").unwrap(), [7, 3, 9]);
        assert_eq!(
            read("{\"input\": \"a\", \"index_id\": 4}\n{\"index_id\": 0}\n").unwrap(),
            [4, 0]
        );
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_id_of_the_pool_is_named_with_its_line() {
        for (text, line, message) in [
            ("1\n10\n", "2", "the pool has no such row"),
            ("1\n-1\n", "2", "this is no id"),
            ("{\"input\": \"a\"}\n", "1", "this is no id"),
            ("1\n2\n1\n", "3", "this id comes twice"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.message(), error.context("line")), (message, Some(line)), "{text}");
            assert!(error.hint().is_some());
        }
    }
}
