//! Sources: one file of JSON lines, plain or compressed as its name says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use deft_core::prelude::*;

use deft_lines::{Compression, JsonLines};

const KNOWN: &str = "known are .jsonl, .jsonl.gz and .jsonl.zst";

/// Opens a source, after a look whether it contains what its name says.
pub(crate) fn open(path: &Path) -> Result<JsonLines> {
    let refused =
        |message: &str| Error::new(ErrorKind::Data, message).with_context("file", path.display());
    let (compression, stem) = Compression::of_name(path);
    if stem.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("jsonl")) {
        return Err(refused("the file's name does not end in a known form").with_hint(KNOWN));
    }
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut head))
        .or_io("cannot open the source", path)?;
    if head.starts_with(b"version https://git-lfs") {
        return Err(refused("the file is a git-lfs pointer, not the data it stands for")
            .with_hint("fetch the data with `git lfs pull`"));
    }
    let found = Compression::of_content(&head);
    if found != compression {
        return Err(refused("the file does not contain what its name says")
            .with_context("found", found.content())
            .with_context("wanted", compression.content())
            .with_hint(format!("rename the file or convert it; {KNOWN}")));
    }
    JsonLines::open(path, compression)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_and_contents_that_do_not_agree_are_refused() {
        let check = |name: &str, content: &[u8], message: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            let error = open(&path).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Data);
            let text = error.to_string().replace(&path.display().to_string(), name);
            assert_eq!(text, message);
            assert!(error.hint().is_some());
        };
        check("a.json", b"{}", "the file's name does not end in a known form (file: a.json)");
        check(
            "a.jsonl",
            b"\x1f\x8b\x08",
            "the file does not contain what its name says (file: a.jsonl, found: gzip, \
             wanted: text)",
        );
        check(
            "a.jsonl.zst",
            b"{}",
            "the file does not contain what its name says (file: a.jsonl.zst, found: text, \
             wanted: zstd)",
        );
        check(
            "a.jsonl.gz",
            b"version https://git-lfs.github.com/spec/v1\n",
            "the file is a git-lfs pointer, not the data it stands for (file: a.jsonl.gz)",
        );
    }
}
