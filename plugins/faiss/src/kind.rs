//! What lies where an index should be: what is often there by mistake is told by its first bytes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};

/// Bytes that are looked at.
const LOOKED_AT: u64 = 64;

/// First bytes, what a file with them is, and what to do.
const KINDS: [(&[u8], &str, &str); 8] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for the file",
        "fetch the file itself, with `git lfs pull` where the pointer came from",
    ),
    (
        b"\x93NUMPY",
        "a NumPy array",
        "name the file that `faiss.write_index` wrote: an array of vectors is no index",
    ),
    (b"<!doctype html", HTML, DOWNLOAD),
    (b"<html", HTML, DOWNLOAD),
    (b"\x1f\x8b", "a file compressed by gzip", "unpack it with `gunzip`"),
    (b"PK\x03\x04", "a zip archive", "unpack it, and name the index file in it"),
    (b"IxMp", NUMBERED, IN_ORDER),
    (b"IxM2", NUMBERED, IN_ORDER),
];

const HTML: &str = "a web page";
const DOWNLOAD: &str = "a download went wrong: load the file itself, not the page about it";
const NUMBERED: &str = "an index with ids of its own";
const IN_ORDER: &str = "name an index whose row n is line n of the pool: the one that was wrapped in \
                        `IndexIDMap`, if its rows were added in that order";

/// Refuses a file that is known to be something else than an index whose rows are in order.
pub(crate) fn check(path: &Path) -> Result<()> {
    let failed = "cannot read the index";
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start))
        .or_io(failed, path)?;
    let text = start.trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    let Some((_, what, remedy)) = KINDS.iter().find(|(with, ..)| begins(with)) else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Data, format!("where an index should be is {what}"))
        .with_context("file", path.display())
        .with_hint(*remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_index_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("p3.index");
        let cases: [(&[u8], &str, &str); 7] = [
            (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
            (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'", "NumPy", "write_index"),
            (b"\n<!DOCTYPE HTML>\n<html>", "web page", "download"),
            (b"<html lang=\"en\">", "web page", "download"),
            (b"\x1f\x8b\x08\x00", "gzip", "gunzip"),
            (b"PK\x03\x04", "zip", "unpack"),
            (b"IxM2\x00", "ids of its own", "line n of the pool"),
        ];
        for (start, what, remedy) in cases {
            std::fs::write(&path, start).expect("written");
            let error = check(&path).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.message().contains(what), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{:?}", error.hint());
            assert!(error.context("file").is_some_and(|file| file.ends_with("p3.index")));
        }
    }

    #[test]
    fn what_may_be_an_index_is_left_to_faiss() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("p3.index");
        for start in [&b""[..], b"IxPT", b"IHNf and more", b"version 1"] {
            std::fs::write(&path, start).expect("written");
            check(&path).expect("not known to be wrong");
        }
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(check(&path).expect_err("not there").kind(), ErrorKind::Io);
    }
}
