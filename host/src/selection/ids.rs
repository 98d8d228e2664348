//! Lists of pool ids in files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use deft_core::{Error, ErrorKind, Examples, Result, ResultExt, excerpt};
use serde::Deserialize;

/// Inputs that are compared at once.
const AT_ONCE: usize = 1024;

/// What is read of a line of a `selection.jsonl`.
#[derive(Deserialize)]
struct Line {
    index_id: u64,
    input: String,
}

/// An id, and where a `selection.jsonl` says what is there.
struct Listed {
    id: u64,
    line: u64,
    input: Option<String>,
}

/// The ids in a file, in its order: one number on each line, or the `index_id` of each line of a
/// `selection.jsonl`. Empty lines are left out.
///
/// # Errors
///
/// [`ErrorKind::Io`]; [`ErrorKind::Data`] with file and line for what is no id of the pool, comes
/// twice, or has another input there than the line says; for a file without an id.
pub fn read_ids(path: &Path, pool: &dyn Examples) -> Result<Vec<u64>> {
    let rows = pool.len();
    let (mut ids, mut listed) = (Vec::new(), Vec::new());
    each_id(path, |one| {
        if one.id >= rows as u64 {
            return Err(wrong("the pool has no such row", path, one.line, &one.id.to_string())
                .with_context("rows", rows)
                .with_hint("ids count from 0; are these of another pool?"));
        }
        ids.push(one.id);
        listed.push(one);
        if listed.len() == AT_ONCE { check_inputs(&mut listed, path, pool) } else { Ok(()) }
    })?;
    check_inputs(&mut listed, path, pool)?;
    Ok(ids)
}

/// Checks what can be known of a file of ids without the pool.
///
/// # Errors
///
/// Those of [`read_ids`], but for what the pool has.
pub fn check_ids(path: &Path) -> Result<()> {
    each_id(path, |_| Ok(()))
}

/// Shows every id of a file, none of them twice.
fn each_id(path: &Path, mut show: impl FnMut(Listed) -> Result<()>) -> Result<()> {
    let file = File::open(path).or_io("cannot read the ids", path)?;
    let mut seen = HashSet::new();
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let line = line.or_io("cannot read the ids", path)?;
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let (id, input) = id_of(text).ok_or_else(|| {
            wrong("this is no id", path, number, text).with_hint(
                "allowed: one number on each line, or whole lines of a `selection.jsonl`",
            )
        })?;
        if !seen.insert(id) {
            return Err(
                wrong("this id comes twice", path, number, text).with_hint("leave one of them out")
            );
        }
        show(Listed { id, line: number, input })?;
    }
    if seen.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there is no id in the file")
            .with_context("file", path.display())
            .with_hint("one id on each line, as a run's `selection.ids` has them"));
    }
    Ok(())
}

/// An error about a line.
fn wrong(message: &str, path: &Path, line: u64, found: &str) -> Error {
    Error::new(ErrorKind::Data, message)
        .with_context("file", path.display())
        .with_context("line", line)
        .with_context("found", excerpt(found))
}

fn id_of(text: &str) -> Option<(u64, Option<String>)> {
    if text.starts_with('{') {
        let line: Line = serde_json::from_str(text).ok()?;
        return Some((line.index_id, Some(line.input)));
    }
    Some((text.parse().ok()?, None))
}

/// Refuses lines of another pool's selection: there another input has the id.
fn check_inputs(listed: &mut Vec<Listed>, path: &Path, pool: &dyn Examples) -> Result<()> {
    listed.retain(|one| one.input.is_some());
    listed.sort_unstable_by_key(|one| one.id);
    let position = |one: &Listed| usize::try_from(one.id).unwrap_or(usize::MAX);
    let positions: Vec<usize> = listed.iter().map(position).collect();
    for (one, found) in listed.drain(..).zip(pool.inputs(&positions)?) {
        if one.input.as_ref() != Some(&found) {
            return Err(Error::new(ErrorKind::Data, "this is a selection of another pool")
                .with_context("file", path.display())
                .with_context("line", one.line)
                .with_context("index_id", one.id)
                .with_context("in the file", excerpt(one.input.as_deref().unwrap_or_default()))
                .with_context("in the pool", excerpt(&found))
                .with_hint(
                    "take a selection of this pool: ids are rows, and mean others elsewhere",
                ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ids");
        std::fs::write(&path, text).unwrap();
        let example = |id: u64| deft_core::Example {
            input: format!("input {id}"),
            ..deft_core::Example::default()
        };
        read_ids(&path, &(0..10).map(example).collect::<Vec<_>>())
    }

    #[test]
    fn ids_come_as_numbers_or_as_lines_of_a_selection() {
        assert_eq!(read("7\n3\r\n\n9\n").unwrap(), [7, 3, 9]);
        assert_eq!(
            read(
                "{\"input\": \"input 4\", \"index_id\": 4}\n{\"index_id\": 0, \"input\": \"input 0\"}\n"
            )
            .unwrap(),
            [4, 0]
        );
        assert_eq!(read("\n").unwrap_err().message(), "there is no id in the file");
    }

    #[test]
    fn a_list_is_checked_without_the_pool_but_for_what_the_pool_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ids");
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check_ids(&path)
        };
        check("7\n1000000\n").unwrap();
        assert_eq!(check("7\nseven\n").unwrap_err().context("line"), Some("2"));
        assert_eq!(check("7\n7\n").unwrap_err().message(), "this id comes twice");
        assert_eq!(check("").unwrap_err().message(), "there is no id in the file");
    }

    #[test]
    fn a_selection_of_another_pool_is_refused_though_it_has_the_ids() {
        let line =
            |id: u64, input: u64| format!("{{\"input\": \"input {input}\", \"index_id\": {id}}}\n");
        let error = read(&(line(4, 4) + &line(2, 7))).unwrap_err();
        assert_eq!(error.message(), "this is a selection of another pool");
        assert_eq!(
            (error.context("line"), error.context("in the pool")),
            (Some("2"), Some("input 2"))
        );
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
