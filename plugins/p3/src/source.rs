//! Which files a source consists of, and whether each contains what its name says.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_lines::Compression;

const KNOWN: &str = "known are .jsonl and .json, each also with .gz or .zst, and .parquet";

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
///
/// Every file is opened for a moment, because a mistake in the last of a thousand files should not
/// show after the others were read.
pub(crate) fn list(ctx: &Context<'_>, source: &Path) -> Result<Vec<SourceFile>> {
    let metadata = fs::metadata(source).or_io("cannot open the source", source)?;
    let files = if metadata.is_dir() { in_folder(ctx, source)? } else { vec![named(source)?] };
    for file in &files {
        ctx.check()?;
        check_content(file)?;
    }
    Ok(files)
}

fn named(path: &Path) -> Result<SourceFile> {
    let format = Format::of(path).ok_or_else(|| {
        Error::new(ErrorKind::Data, "the file's name does not end in a known form")
            .with_context("file", path.display())
            .with_hint(KNOWN)
    })?;
    Ok(SourceFile { path: path.to_owned(), format })
}

fn in_folder(ctx: &Context<'_>, folder: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut ignored = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        ctx.check()?;
        for entry in fs::read_dir(&folder).or_io("cannot list the folder", &folder)? {
            let entry = entry.or_io("cannot list the folder", &folder)?;
            let path = entry.path();
            // Links to files are followed (the hub's cache consists of them), links to folders are
            // not: they may form a circle. Hidden names are caches and version control.
            if entry.file_name().as_bytes().starts_with(b".") {
                ignored += 1;
            } else if entry.file_type().or_io("cannot list the folder", &path)?.is_dir() {
                folders.push(path);
            } else if let Some(format) = Format::of(&path) {
                files.push(SourceFile { path, format });
            } else {
                ignored += 1;
            }
        }
    }
    if files.is_empty() {
        return Err(Error::new(ErrorKind::Data, "the folder holds no file of a known form")
            .with_context("folder", folder.display())
            .with_hint(KNOWN));
    }
    files.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
    ctx.info(&format!("{}: {} files, {ignored} ignored", folder.display(), files.len()));
    Ok(files)
}

impl Format {
    /// The form that a name stands for, upper or lower case.
    fn of(path: &Path) -> Option<Self> {
        if extension(path)? == "parquet" {
            return Some(Self::Parquet);
        }
        let (compression, stem) = Compression::of_name(path);
        let is_lines = matches!(extension(&stem)?.as_str(), "jsonl" | "json");
        is_lines.then_some(Self::Lines(compression))
    }

    /// What a file of this form contains, in the words of [`content_of`].
    fn content(self) -> &'static str {
        match self {
            Self::Lines(compression) => compression.content(),
            Self::Parquet => "Parquet",
        }
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

fn check_content(file: &SourceFile) -> Result<()> {
    let mut head = Vec::new();
    File::open(&file.path)
        .and_then(|opened| opened.take(64).read_to_end(&mut head))
        .or_io("cannot open the source", &file.path)?;
    let (found, wanted) = (content_of(&head), file.format.content());
    // A file of lines may well be empty; the other forms have a header.
    if found == wanted || (wanted == "text" && found == "nothing") {
        return Ok(());
    }
    let error = |message: &str| {
        Error::new(ErrorKind::Data, message).with_context("file", file.path.display())
    };
    if found == "a git-lfs pointer" {
        return Err(error("the file is a git-lfs pointer, not the data it stands for")
            .with_hint("fetch the data with `git lfs pull`"));
    }
    Err(error("the file does not contain what its name says")
        .with_context("found", found)
        .with_context("wanted", wanted)
        .with_hint(format!("rename the file or convert it; {KNOWN}")))
}

/// What a file contains, judged by its first bytes.
fn content_of(head: &[u8]) -> &'static str {
    match head {
        [] => "nothing",
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => "zstd",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text",
        _ if head.starts_with(b"version https://git-lfs") => "a git-lfs pointer",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    fn listed(source: &Path) -> Result<Vec<SourceFile>> {
        list(&Context::new(&NoServices, 0, 1), source)
    }

    fn message_for(name: &str, content: &[u8]) -> (String, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = listed(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let text = error.to_string().replace(&path.display().to_string(), name);
        (text, error.hint().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_paths_without_hidden_and_foreign_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/.cache")).unwrap();
        for name in ["b/1.jsonl", "b.jsonl", "a.JSON", "B.jsonl", "README.md", "b/.cache/x.json"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let files = listed(dir.path()).unwrap();
        let names: Vec<_> =
            files.iter().map(|f| f.path.strip_prefix(dir.path()).unwrap().to_owned()).collect();
        // Bytes, not components: `.` (0x2e) comes before `/` (0x2f).
        let expected = ["B.jsonl", "a.JSON", "b.jsonl", "b/1.jsonl"].map(PathBuf::from);
        assert_eq!(names, expected);
    }

    #[test]
    fn a_name_of_no_known_form_is_refused() {
        let (message, hint) = message_for("pool.csv", b"a,b");
        assert_eq!(message, "the file's name does not end in a known form (file: pool.csv)");
        assert_eq!(hint, KNOWN);
    }

    #[test]
    fn a_wrong_extension_is_named_with_what_was_found_and_wanted() {
        let check = |name: &str, content: &[u8], found: &str, wanted: &str| {
            let (message, hint) = message_for(name, content);
            let expected = format!(
                "the file does not contain what its name says (file: {name}, found: {found}, \
                 wanted: {wanted})"
            );
            assert_eq!(message, expected);
            assert_eq!(hint, format!("rename the file or convert it; {KNOWN}"));
        };
        check("a.jsonl", b"\x1f\x8b\x08", "gzip", "text");
        check("a.json", b"PAR1....", "Parquet", "text");
        check("a.jsonl", b"\xff\xfe{\0", "UTF-16 text", "text");
        check("a.jsonl.gz", b"\x28\xb5\x2f\xfd", "zstd", "gzip");
        check("a.jsonl.zst", b"{}", "text", "zstd");
        check("a.parquet", b"", "nothing", "Parquet");
    }

    #[test]
    fn a_git_lfs_pointer_is_recognised_under_any_name() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        for name in ["a.jsonl", "a.jsonl.gz", "a.parquet"] {
            let (message, hint) = message_for(name, pointer);
            let expected =
                format!("the file is a git-lfs pointer, not the data it stands for (file: {name})");
            assert_eq!(message, expected);
            assert_eq!(hint, "fetch the data with `git lfs pull`");
        }
    }

    #[test]
    fn a_missing_source_and_an_empty_folder_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let error = listed(&dir.path().join("none.jsonl")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.message(), "cannot open the source");
        let error = listed(dir.path()).unwrap_err();
        assert_eq!(error.message(), "the folder holds no file of a known form");
        assert_eq!(error.hint(), Some(KNOWN));
    }
}
