//! Files that outlive a loss of power, and files that grow.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use deft_core::{Result, ResultExt};

/// Waits until a file or a folder is on the disk.
pub(super) fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).or_io("cannot write to the disk", path)
}

/// Renames what was written beside its place, once it is on the disk: what has the name is whole.
pub(super) fn put(beside: &Path, path: &Path) -> Result<()> {
    sync(beside)?;
    std::fs::rename(beside, path).or_io("cannot rename what was written", path)?;
    path.parent().map_or(Ok(()), sync)
}

/// A file that whole records are added to.
#[derive(Debug)]
pub(super) struct Growing {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Growing {
    /// A file of this length, at whose end the next record goes.
    pub(super) fn new(file: File, path: PathBuf, length: u64) -> Self {
        Self { file, path, length }
    }

    /// Adds a record, with one write and no buffer: readers see it at once, and a kill tears one
    /// record at most. What a full disk tears is cut off, so that later records can be read.
    pub(super) fn append(&mut self, record: &[u8], failure: &str) -> Result<()> {
        let written = self.file.write_all(record);
        if written.is_ok() {
            self.length += record.len() as u64;
        } else {
            let end = SeekFrom::Start(self.length);
            let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(end));
            cut.or_io(failure, &self.path)?;
        }
        written.or_io(failure, &self.path)
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::ErrorKind;

    #[test]
    fn what_was_put_somewhere_replaces_what_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let (beside, path) = (dir.path().join("a.part"), dir.path().join("a"));
        for content in ["first", "second"] {
            std::fs::write(&beside, content).expect("written");
            put(&beside, &path).expect("put");
            assert_eq!(std::fs::read_to_string(&path).expect("readable"), content);
            assert!(!beside.exists());
        }
    }

    #[test]
    fn a_record_that_cannot_be_written_is_an_error_of_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        std::fs::write(&path, "whole\n").expect("written");
        let mut growing = Growing::new(File::open(&path).expect("opened"), path.clone(), 6);
        let error = growing.append(b"more\n", "cannot write the log").expect_err("read only");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Io, "cannot write the log"));
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "whole\n");
        let file = File::options().append(true).open(&path).expect("opened");
        Growing::new(file, path.clone(), 6).append(b"more\n", "cannot").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "whole\nmore\n");
    }
}
