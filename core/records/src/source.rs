//! Which files a source consists of, and what form each has.

use std::fs;
use std::path::{Path, PathBuf};

use deft_core::prelude::*;

use crate::form::{Form, Forms};

/// A file of a source, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is read, as the end of its name says.
    pub form: Form,
}

/// The files of a source: itself, or everything of these forms below a folder, in the order of the
/// bytes of their paths. Hidden names, other files and linked folders are left aside; a line of the
/// log counts them.
///
/// Every file is opened for a moment, because a mistake in the last of a thousand files should not
/// show after the others were read.
///
/// # Errors
///
/// [`ErrorKind::Io`] when something cannot be opened; [`ErrorKind::Data`] for a file of another form
/// or with another content than its name says, and for a folder without a file of these forms;
/// [`ErrorKind::Cancelled`].
pub fn source_files(ctx: &Context<'_>, source: &Path, forms: Forms) -> Result<Vec<SourceFile>> {
    let metadata = fs::metadata(source).or_io("cannot open the source", source)?;
    if !metadata.is_dir() {
        let form = Form::of(source, forms)?;
        return Ok(vec![SourceFile { path: source.to_owned(), form }]);
    }
    let files = in_folder(ctx, source, forms)?;
    for file in &files {
        ctx.check()?;
        file.form.check_content(&file.path, forms)?;
    }
    Ok(files)
}

fn in_folder(ctx: &Context<'_>, source: &Path, forms: Forms) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut ignored = 0;
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        ctx.check()?;
        for entry in fs::read_dir(&folder).or_io("cannot list the folder", &folder)? {
            let entry = entry.or_io("cannot list the folder", &folder)?;
            let path = entry.path();
            // Links to files are followed (the hub's cache consists of them), links to folders are
            // not: they may form a circle. Hidden names are caches and version control.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                ignored += 1;
            } else if entry.file_type().or_io("cannot list the folder", &path)?.is_dir() {
                folders.push(path);
            } else if let Some(form) = forms.named(&path).filter(|_| !path.is_dir()) {
                files.push(SourceFile { path, form });
            } else {
                ignored += 1;
            }
        }
    }
    if files.is_empty() {
        return Err(Error::new(ErrorKind::Data, "the folder holds no file of a known form")
            .with_context("folder", source.display())
            .with_hint(forms.known));
    }
    files.sort_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    ctx.info(&format!("{}: {} files, {ignored} ignored", source.display(), files.len()));
    Ok(files)
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    fn listed(source: &Path, forms: Forms) -> Result<Vec<SourceFile>> {
        source_files(&Context::new(&NoServices, 0, 1), source, forms)
    }

    /// The paths of a folder's files below it.
    fn names(dir: &Path, forms: Forms) -> Vec<PathBuf> {
        let files = listed(dir, forms).unwrap();
        files.iter().map(|file| file.path.strip_prefix(dir).unwrap().to_owned()).collect()
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_paths_without_hidden_and_foreign_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/.cache")).unwrap();
        for name in ["b/1.jsonl", "b.csv", "a.JSON", "B.jsonl", "README.md", "b/.cache/x.json"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        // Bytes, not components: `.` (0x2e) comes before `/` (0x2f).
        let all = ["B.jsonl", "a.JSON", "b.csv", "b/1.jsonl"].map(PathBuf::from);
        assert_eq!(names(dir.path(), Forms::RECORDS), all);
        assert_eq!(names(dir.path(), Forms::DOCUMENTS), [PathBuf::from("a.JSON")]);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_are_followed_and_links_to_folders_are_not() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::write(dir.path().join("blobs/1"), "").unwrap();
        symlink(dir.path().join("blobs/1"), dir.path().join("a.jsonl")).unwrap();
        symlink(dir.path(), dir.path().join("circle.jsonl")).unwrap();
        assert_eq!(names(dir.path(), Forms::RECORDS), [PathBuf::from("a.jsonl")]);
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_refused_before_any_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.jsonl"), "{}\n").unwrap();
        fs::write(dir.path().join("z.parquet"), "no columns").unwrap();
        let error = listed(dir.path(), Forms::RECORDS).unwrap_err();
        assert_eq!(error.message(), "the file does not contain what its name says");
        assert!(error.context("file").unwrap().ends_with("z.parquet"));
    }

    #[test]
    fn a_missing_source_and_a_folder_without_a_known_form_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let error = listed(&dir.path().join("none.jsonl"), Forms::RECORDS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.message(), "cannot open the source");
        fs::write(dir.path().join("README.md"), "").unwrap();
        let error = listed(dir.path(), Forms::DOCUMENTS).unwrap_err();
        assert_eq!(error.message(), "the folder holds no file of a known form");
        assert_eq!(error.context("folder"), Some(&*dir.path().display().to_string()));
        assert_eq!(error.hint(), Some("known are .json, .json.gz and .json.zst"));
    }
}
