//! Which files a source consists of: those of the forms that this reader knows.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_lines::Compression;
use deft_records::{Form, Forms, source_files};

/// What this reader knows; everything else in a folder is left aside.
const FORMS: Forms = Forms {
    has: |form| Format::of(form).is_some(),
    known: "known are .jsonl and .json, each also with .gz or .zst, and .parquet",
};

/// A file to be read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
}

/// How a file is read, as the end of its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON lines.
    Lines(Compression),
    /// Parquet.
    Parquet,
}

/// The files of a source: itself, or everything of a known form below a folder.
pub(crate) fn list(ctx: &Context<'_>, source: &Path) -> Result<Vec<SourceFile>> {
    let files = source_files(ctx, source, FORMS)?.into_iter();
    Ok(files
        .filter_map(|file| Some(SourceFile { format: Format::of(file.form)?, path: file.path }))
        .collect())
}

impl Format {
    /// How this reader reads a form, if it does.
    fn of(form: Form) -> Option<Self> {
        match form {
            Form::Lines(compression) | Form::Json(compression) => Some(Self::Lines(compression)),
            Form::Parquet => Some(Self::Parquet),
            Form::Table(..) | Form::Arrow => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;
    use std::fs;

    fn listed(source: &Path) -> Result<Vec<SourceFile>> {
        list(&Context::new(&NoServices, 0, 1), source)
    }

    #[test]
    fn a_folder_gives_the_files_of_the_forms_that_this_reader_knows() {
        let dir = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("a.json", b""),
            ("b.csv", b"a,b"),
            ("c.arrow", b"ARROW1\0\0"),
            ("d/e.parquet", b"PAR1"),
            ("f.jsonl.gz", b"\x1f\x8b"),
        ];
        fs::create_dir(dir.path().join("d")).unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let found = listed(dir.path()).unwrap();
        let expected = [
            ("a.json", Format::Lines(Compression::None)),
            ("d/e.parquet", Format::Parquet),
            ("f.jsonl.gz", Format::Lines(Compression::Gzip)),
        ];
        let expected =
            expected.map(|(name, format)| SourceFile { path: dir.path().join(name), format });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_form_that_this_reader_does_not_know_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool.csv");
        fs::write(&path, "a,b").unwrap();
        let error = listed(&path).unwrap_err();
        assert_eq!(error.message(), "the file's name does not end in a known form");
        assert_eq!(error.hint(), Some(FORMS.known));
    }
}
