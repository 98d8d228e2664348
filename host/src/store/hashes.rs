//! Hashes of sources, remembered by what tells that a file has not changed since.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deft_core::{Error, ErrorKind, Fingerprint, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::commit::{remove_stale, sorted_entries};
use super::files::{read_json, write_json};

/// A file that changed this short a time ago may change again within the same tick of its file
/// system's clock: its hash is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// Bytes from which on hashing is announced: half a minute's work.
const LARGE: u64 = 10 << 30;

/// What tells that a file has not changed since it was hashed. The time of the change itself
/// (`ctime`) cannot be set by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stamp {
    fn of(path: &Path, metadata: &Metadata) -> Result<Self> {
        let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Ok(Self {
            path: path.canonicalize().or_io("cannot resolve the source", path)?,
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file has rested; one from the future (a clock was set back) has not.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = now.saturating_sub(SETTLED).as_nanos();
        let before = |ns: i128| u128::try_from(ns).is_ok_and(|ns| ns < settled);
        before(self.modified_ns) && before(self.changed_ns)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    stamp: Stamp,
    sha256: String,
}

/// A source as it was hashed.
#[derive(Debug, Clone)]
pub struct HashedSource {
    /// SHA-256 of a file, or of a folder's names and hashes; hexadecimal.
    pub hash: String,
    stamps: Vec<Stamp>,
}

impl HashedSource {
    /// Makes sure that nothing has changed since the source was hashed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] naming the file that has changed or gone.
    pub fn check_unchanged(&self) -> Result<()> {
        for stamp in &self.stamps {
            let metadata = fs::metadata(&stamp.path)
                .or_io("the source has gone while it was read", &stamp.path)?;
            if Stamp::of(&stamp.path, &metadata)? != *stamp {
                return Err(Error::new(ErrorKind::Data, "the source changed while it was read")
                    .with_context("path", stamp.path.display())
                    .with_hint("run again once nothing writes to it any more"));
            }
        }
        Ok(())
    }
}

/// Hashes a file or folder; `notes` is the folder of remembered hashes.
pub(super) fn hash_source(path: &Path, notes: &Path) -> Result<HashedSource> {
    let metadata = fs::metadata(path).or_io("cannot read the source", path)?;
    if metadata.is_dir() {
        let (mut fingerprint, mut stamps) = (Fingerprint::new(), Vec::new());
        for entry in sorted_entries(path)?.into_iter().filter(|entry| is_content(entry)) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inner = hash_source(&entry, notes)?;
            fingerprint = fingerprint.with(name).with(inner.hash);
            stamps.extend(inner.stamps);
        }
        return Ok(HashedSource { hash: fingerprint.short(), stamps });
    }
    let stamp = Stamp::of(path, &metadata)?;
    let name = Fingerprint::new().with(stamp.path.to_string_lossy().as_bytes()).short();
    let note_path = notes.join(format!("{name}.json"));
    let known = read_json::<Note>(&note_path).filter(|known| known.stamp == stamp);
    let hash = match known {
        Some(known) => known.sha256,
        None => hash_file(path, &stamp, &note_path)?,
    };
    Ok(HashedSource { hash, stamps: vec![stamp] })
}

/// What counts of a folder: files, links to files, and folders in it; no links to folders, which may
/// go in a circle, and nothing that cannot be read to an end.
fn is_content(path: &Path) -> bool {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    is_folder || fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn hash_file(path: &Path, stamp: &Stamp, note_path: &Path) -> Result<String> {
    if stamp.bytes >= LARGE {
        log::info!("hashing {} ({} GiB)", path.display(), stamp.bytes >> 30);
    }
    let sha256 = Fingerprint::of_file(path)?;
    if stamp.is_settled() {
        let note = Note { stamp: stamp.clone(), sha256: sha256.clone() };
        if let Some(notes) = note_path.parent() {
            remove_stale(notes);
        }
        // A store that is read-only, or full, costs hashing again, and no more.
        if let Err(error) = write_json(note_path, &note) {
            log::debug!("{error}");
        }
    }
    Ok(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn age(path: &Path, by: Duration) {
        let time = SystemTime::now() - by;
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn hashes_follow_content_even_within_a_tick_of_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let (source, notes) = (dir.path().join("source"), dir.path().join("notes"));
        let mut hashes = std::collections::BTreeSet::new();
        for content in ["one", "two", "six"] {
            fs::write(&source, content).unwrap();
            hashes.insert(hash_source(&source, &notes).unwrap().hash);
        }
        assert_eq!(hashes.len(), 3, "same length, same second, other content");
        assert!(!notes.exists(), "a file this young is not remembered");
    }

    #[test]
    fn a_file_with_an_old_time_but_changed_now_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "one").unwrap();
        age(&source, Duration::from_hours(1));
        let metadata = fs::metadata(&source).unwrap();
        assert!(!Stamp::of(&source, &metadata).unwrap().is_settled(), "it was touched just now");
    }

    #[test]
    fn a_file_from_the_future_is_hashed_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "one").unwrap();
        let metadata = fs::metadata(&source).unwrap();
        let mut stamp = Stamp::of(&source, &metadata).unwrap();
        stamp.modified_ns += 3_600_000_000_000;
        assert!(!stamp.is_settled());
    }

    #[test]
    fn a_folder_with_circles_dead_links_and_pipes_is_hashed_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let (source, notes) = (dir.path().join("source"), dir.path().join("notes"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("a.jsonl"), "one").unwrap();
        let plain = hash_source(&source, &notes).unwrap().hash;
        std::os::unix::fs::symlink(&source, source.join("circle")).unwrap();
        std::os::unix::fs::symlink("nowhere", source.join("dead")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(source.join("pipe")).status();
        assert!(fifo.unwrap().success());
        assert_eq!(hash_source(&source, &notes).unwrap().hash, plain);
        fs::write(source.join("b.jsonl"), "two").unwrap();
        assert_ne!(hash_source(&source, &notes).unwrap().hash, plain);
    }

    #[test]
    fn a_source_that_changes_after_it_was_hashed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::write(&source, "one").unwrap();
        let hashed = hash_source(&source, &dir.path().join("notes")).unwrap();
        hashed.check_unchanged().unwrap();
        fs::write(&source, "one more").unwrap();
        let error = hashed.check_unchanged().unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
        fs::remove_file(&source).unwrap();
        let error = hashed.check_unchanged().unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
