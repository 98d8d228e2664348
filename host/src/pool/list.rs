//! A file that lists sources of the pool, one on each line.

use std::fs;
use std::io;
use std::path::Path;

use deft_core::{Context, Error, ErrorKind, Result, ResultExt};

use super::paths::{SourcePaths, expand_source, relative_to};
use crate::manifest::NamedSource;

const HINT: &str = "write a source on each line: a path or glob, relative to the list, or \
                    `hf://datasets/ORG/NAME/PATH`; `#` begins a comment";

/// Files and folders that all sources of a list name, in its order. What is in a data set of the hub
/// and not in the cache is downloaded. `list` is a path below `base`.
///
/// # Errors
///
/// As [`each_source`]; those of [`expand_source`] for a line.
pub(crate) fn expand_list(list: &str, base: &Path, ctx: &Context<'_>) -> Result<SourcePaths> {
    let mut all = SourcePaths::default();
    each_source(list, base, |source, base| {
        all.append(expand_source(source, base, ctx)?);
        Ok(())
    })?;
    Ok(all)
}

/// Calls `each` with every source of a list, in order, and the folder that its relative paths start
/// from: the list's. An error gets the line's place.
///
/// # Errors
///
/// [`ErrorKind::Options`] when the list is not there or names nothing; [`ErrorKind::Io`] and
/// [`ErrorKind::Data`] when it cannot be read; what `each` returns.
pub(crate) fn each_source(
    list: &str,
    base: &Path,
    mut each: impl FnMut(&str, &Path) -> Result<()>,
) -> Result<()> {
    let path = base.join(list);
    let text = read(list, &path, base)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut is_empty = true;
    for (number, line) in (1_usize..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let source = line.trim();
        if source.is_empty() || source.starts_with('#') {
            continue;
        }
        is_empty = false;
        each(source, dir).map_err(|error| at_line(error, &path, number))?;
    }
    if is_empty {
        return Err(Error::option_at("", "the list names no source")
            .with_context("list", path.display())
            .with_hint(HINT));
    }
    Ok(())
}

/// Calls `each` with what a manifest in the folder `base` names as a source, or with every source of the
/// list that it names.
///
/// # Errors
///
/// As [`each_source`].
pub(crate) fn each_named(
    named: NamedSource<'_>,
    base: &Path,
    mut each: impl FnMut(&str, &Path) -> Result<()>,
) -> Result<()> {
    match named {
        NamedSource::Source(source) => each(source, base),
        NamedSource::List(list) => each_source(list, base, each),
    }
}

fn read(list: &str, path: &Path, base: &Path) -> Result<String> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::option_at("", format!("there is no list at `{list}`"))
                .with_context("looked at", path.display())
                .with_hint(relative_to(base)));
        }
        done => done.or_io("cannot read the list of sources", path)?,
    };
    String::from_utf8(bytes).map_err(|_| {
        Error::new(ErrorKind::Data, "the list of sources is no text in UTF-8")
            .with_context("list", path.display())
            .with_hint(HINT)
    })
}

fn at_line(error: Error, list: &Path, number: usize) -> Error {
    if error.kind() == ErrorKind::Cancelled {
        return error;
    }
    error.with_context("at", format!("{}:{number}", list.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    fn expand(text: &str) -> Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lists")).unwrap();
        for name in ["b1.jsonl", "b2.jsonl", "lists/a.jsonl"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::write(dir.path().join("lists/all.txt"), text).unwrap();
        let paths = expand_list("lists/all.txt", dir.path(), &Context::new(&NoServices, 0, 1))?;
        Ok(paths.names().to_vec())
    }

    #[test]
    fn lines_are_sources_in_their_order_relative_to_the_list() {
        let found = expand("\u{feff}# the pool\n\n  ../b*.jsonl \r\na.jsonl\n").unwrap();
        assert_eq!(found, ["b1.jsonl", "b2.jsonl", "a.jsonl"]);
    }

    #[test]
    fn a_line_without_a_match_is_named_by_its_number() {
        for (line, says) in [
            ("c*.jsonl", "nothing is at `c*.jsonl`"),
            ("hf:/datasets/a/b/c", "is misspelt"),
            ("hf://a/b", "is no data set"),
        ] {
            let error = expand(&format!("# one\na.jsonl\n{line}\n")).unwrap_err();
            assert!(error.message().contains(says), "{error}");
            assert!(error.context("at").unwrap().ends_with("lists/all.txt:3"), "{error}");
        }
    }

    #[test]
    fn an_empty_list_and_one_that_is_not_there_are_refused() {
        let error = expand("# nothing yet\n\n").unwrap_err();
        assert_eq!((error.message(), error.option()), ("the list names no source", Some("")));
        let dir = tempfile::tempdir().unwrap();
        let error = each_source("all.txt", dir.path(), |_, _| Ok(())).unwrap_err();
        assert_eq!(error.message(), "there is no list at `all.txt`");
        assert!(error.hint().unwrap().starts_with("relative paths start at"));
    }
}
