//! How a file is read, by the end of its name, after a look whether it contains what that says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use deft_core::prelude::*;
use deft_lines::Compression;

const KNOWN: &str =
    "known are .jsonl, .json, .csv and .tsv, each also with .gz or .zst, .parquet and .arrow";

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON lines.
    Lines(Compression),
    /// JSON of any kind.
    Json(Compression),
    /// Rows of fields that this byte separates.
    Table(u8, Compression),
    /// Parquet.
    Parquet,
    /// Arrow's IPC, as a stream or as a file.
    Arrow,
}

/// The forms that a reader knows.
#[derive(Debug, Clone, Copy)]
pub struct Forms {
    /// Whether a form is one of them.
    pub has: fn(Form) -> bool,
    /// Them by the ends of their names, for a hint: `known are .jsonl and .parquet`.
    pub known: &'static str,
}

impl Forms {
    /// All that hold records, one after another.
    pub const RECORDS: Self = Self { has: |_| true, known: KNOWN };

    /// JSON files that are read as a whole.
    pub const DOCUMENTS: Self = Self {
        has: |form| matches!(form, Form::Json(_)),
        known: "known are .json, .json.gz and .json.zst",
    };

    /// The form that a file's name stands for, if it is one of these.
    pub(crate) fn named(self, path: &Path) -> Option<Form> {
        Form::named(path).filter(|&form| (self.has)(form))
    }
}

impl Form {
    /// The form of a file, which must be one of `forms`.
    pub(crate) fn of(path: &Path, forms: Forms) -> Result<Self> {
        let form = forms.named(path).ok_or_else(|| {
            Error::new(ErrorKind::Data, "the file's name does not end in a known form")
                .with_context("file", path.display())
                .with_hint(forms.known)
        })?;
        form.check_content(path, forms)?;
        Ok(form)
    }

    /// Refuses a file that does not contain what this form says. One of text may well be empty; the
    /// other forms have a header.
    pub(crate) fn check_content(self, path: &Path, forms: Forms) -> Result<()> {
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(64).read_to_end(&mut head))
            .or_io("cannot open the source", path)?;
        let (found, wanted) = (content_of(&head), self.content());
        if found == wanted || (wanted == "text" && found == "nothing") {
            return Ok(());
        }
        let error = |message: &str| {
            Error::new(ErrorKind::Data, message).with_context("file", path.display())
        };
        if found == "a git-lfs pointer" {
            return Err(error("the file is a git-lfs pointer, not the data it stands for")
                .with_hint("fetch the data with `git lfs pull`"));
        }
        Err(error("the file does not contain what its name says")
            .with_context("found", found)
            .with_context("wanted", wanted)
            .with_hint(format!("rename the file or convert it; {}", forms.known)))
    }

    /// The form that a name stands for, in upper or lower case.
    fn named(path: &Path) -> Option<Self> {
        match extension(path)?.as_str() {
            "parquet" => return Some(Self::Parquet),
            "arrow" => return Some(Self::Arrow),
            _ => {}
        }
        let (compression, stem) = Compression::of_name(path);
        match extension(&stem)?.as_str() {
            "jsonl" => Some(Self::Lines(compression)),
            "json" => Some(Self::Json(compression)),
            "csv" => Some(Self::Table(b',', compression)),
            "tsv" => Some(Self::Table(b'\t', compression)),
            _ => None,
        }
    }

    /// What a file of this form contains, in the words of [`content_of`].
    fn content(self) -> &'static str {
        match self {
            Self::Lines(compression) | Self::Json(compression) | Self::Table(_, compression) => {
                compression.content()
            }
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
        }
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

/// What a file contains, judged by its first bytes.
fn content_of(head: &[u8]) -> &'static str {
    match head {
        [] => "nothing",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        // The magic number of the file format; the mark before a stream's first message.
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xff, 0xff, 0xff, 0xff, ..] => "Arrow",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text",
        _ if head.starts_with(b"version https://git-lfs") => "a git-lfs pointer",
        _ => Compression::of_content(head).content(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn form_of(name: &str, content: &[u8]) -> Result<Form> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        Form::of(&path, Forms::RECORDS)
    }

    fn refusal(name: &str, content: &[u8]) -> String {
        let error = form_of(name, content).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.hint().is_some());
        let file = error.context("file").unwrap().to_owned();
        error.to_string().replace(&file, name)
    }

    #[test]
    fn the_end_of_a_name_says_the_form_in_upper_or_lower_case() {
        let check = |name: &str, content: &[u8], form: Form| {
            assert_eq!(form_of(name, content).unwrap(), form, "{name}");
        };
        check("a.jsonl", b"", Form::Lines(Compression::None));
        check("a.JSON", b"[", Form::Json(Compression::None));
        check("a.json.gz", b"\x1f\x8b", Form::Json(Compression::Gzip));
        check("a.csv.zst", b"\x28\xb5\x2f\xfd", Form::Table(b',', Compression::Zstd));
        check("a.TSV", b"a", Form::Table(b'\t', Compression::None));
        check("a.parquet", b"PAR1", Form::Parquet);
        check("a.arrow", b"ARROW1\0\0", Form::Arrow);
        check("a.arrow", b"\xff\xff\xff\xff\x10\0\0\0", Form::Arrow);
    }

    #[test]
    fn names_of_no_known_form_are_refused() {
        for name in ["a.txt", "a", "a.parquet.gz", "a.gz"] {
            let expected = format!("the file's name does not end in a known form (file: {name})");
            assert_eq!(refusal(name, b"{}"), expected);
        }
    }

    #[test]
    fn a_form_that_the_reader_does_not_know_is_refused_with_those_that_it_knows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        fs::write(&path, b"PAR1").unwrap();
        let error = Form::of(&path, Forms::DOCUMENTS).unwrap_err();
        assert_eq!(error.message(), "the file's name does not end in a known form");
        assert_eq!(error.hint(), Some("known are .json, .json.gz and .json.zst"));
    }

    #[test]
    fn names_and_contents_that_do_not_agree_are_refused() {
        let check = |name: &str, content: &[u8], found: &str, wanted: &str| {
            let expected = format!(
                "the file does not contain what its name says (file: {name}, found: {found}, \
                 wanted: {wanted})"
            );
            assert_eq!(refusal(name, content), expected);
        };
        check("a.jsonl", b"\x1f\x8b\x08", "gzip", "text");
        check("a.csv", b"PK\x03\x04", "a zip archive", "text");
        check("a.csv", b"\xff\xfea\0", "UTF-16 text", "text");
        check("a.json", b"PAR1", "Parquet", "text");
        check("a.jsonl.zst", b"{}", "text", "zstd");
        check("a.jsonl.gz", b"", "nothing", "gzip");
        check("a.parquet", b"ARROW1\0\0", "Arrow", "Parquet");
        check("a.arrow", b"", "nothing", "Arrow");
    }

    #[test]
    fn a_git_lfs_pointer_is_recognised_under_any_name() {
        for name in ["a.jsonl", "a.csv.gz", "a.parquet", "a.arrow"] {
            let expected =
                format!("the file is a git-lfs pointer, not the data it stands for (file: {name})");
            assert_eq!(refusal(name, b"version https://git-lfs.github.com/spec/v1\n"), expected);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Form::of(&dir.path().join("none.csv"), Forms::RECORDS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.context("path").unwrap().ends_with("none.csv"));
    }
}
