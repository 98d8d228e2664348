//! Hashes of sources, remembered by what tells that a file has not changed since.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::commit::{remove_stale, sorted_entries};
use super::files::{read_json, write_json};

/// A file that changed this short a time ago may change again within the same tick of its file
/// system's clock: its hash is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// Bytes from which on progress is told: a second's work.
const LARGE: u64 = 512 << 20;

/// What tells that a file has not changed since it was hashed, or a folder's list of names since it
/// was read. The time of the change itself (`ctime`) cannot be set by anybody.
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
            // Not where a link leads: it may lead elsewhere later, to another inode.
            path: std::path::absolute(path).or_io("cannot resolve the source", path)?,
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
    /// [`ErrorKind::Data`] naming the file or folder that has changed; [`ErrorKind::Io`] naming what
    /// has gone.
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

/// Hashes files and folders; `notes` is the folder of remembered hashes.
pub(super) fn hash_sources(
    paths: &[PathBuf],
    notes: &Path,
    ctx: &Context<'_>,
) -> Result<Vec<HashedSource>> {
    let found: Vec<Tree> =
        paths.iter().map(|path| Tree::find(path, notes, ctx)).collect::<Result<_>>()?;
    let total = found.iter().map(Tree::unread).sum();
    let mut hashing = Hashing { ctx, done: 0, total, remembers: true };
    found.into_iter().map(|tree| tree.hash(&mut hashing)).collect()
}

/// The hashes that are remembered, or made within a second; `None` where that is not enough.
pub(super) fn known_hashes(
    paths: &[PathBuf],
    notes: &Path,
    ctx: &Context<'_>,
) -> Result<Option<Vec<HashedSource>>> {
    let found: Vec<Tree> =
        paths.iter().map(|path| Tree::find(path, notes, ctx)).collect::<Result<_>>()?;
    let total = found.iter().map(Tree::unread).sum();
    if total >= LARGE {
        return Ok(None);
    }
    let mut hashing = Hashing { ctx, done: 0, total, remembers: false };
    found.into_iter().map(|tree| tree.hash(&mut hashing)).collect::<Result<_>>().map(Some)
}

/// A source before it is hashed.
enum Tree {
    /// A file, with the note about it, and its hash where that note is of this very file.
    File { stamp: Stamp, note: PathBuf, known: Option<String> },
    /// A folder, with what counts in it, by name.
    Folder { stamp: Stamp, entries: Vec<(String, Tree)> },
}

impl Tree {
    fn find(path: &Path, notes: &Path, ctx: &Context<'_>) -> Result<Self> {
        ctx.check()?;
        let metadata = fs::metadata(path).or_io("cannot read the source", path)?;
        // Of a folder, too, before its names are read: one that is added later changes it.
        let stamp = Stamp::of(path, &metadata)?;
        if metadata.is_dir() {
            let mut entries = Vec::new();
            for entry in sorted_entries(path)?.into_iter().filter(|entry| is_content(entry)) {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                entries.push((name, Self::find(&entry, notes, ctx)?));
            }
            return Ok(Self::Folder { stamp, entries });
        }
        let name = Fingerprint::new().with(stamp.path.to_string_lossy().as_bytes()).short();
        let note = notes.join(format!("{name}.json"));
        let known = read_json::<Note>(&note).filter(|known| known.stamp == stamp);
        Ok(Self::File { stamp, note, known: known.map(|known| known.sha256) })
    }

    /// Bytes of the files whose hashes are not remembered.
    fn unread(&self) -> u64 {
        match self {
            Self::File { known: Some(_), .. } => 0,
            Self::File { stamp, .. } => stamp.bytes,
            Self::Folder { entries, .. } => entries.iter().map(|(_, tree)| tree.unread()).sum(),
        }
    }

    fn hash(self, hashing: &mut Hashing<'_>) -> Result<HashedSource> {
        match self {
            Self::File { stamp, known: Some(hash), .. } => {
                Ok(HashedSource { hash, stamps: vec![stamp] })
            }
            Self::File { stamp, note, .. } => {
                let hash = hashing.file(&stamp.path)?;
                if hashing.remembers {
                    remember(&stamp, &hash, &note);
                }
                Ok(HashedSource { hash, stamps: vec![stamp] })
            }
            Self::Folder { stamp, entries } => {
                let (mut fingerprint, mut stamps) = (Fingerprint::new(), vec![stamp]);
                for (name, tree) in entries {
                    let inner = tree.hash(hashing)?;
                    fingerprint = fingerprint.with(name).with(inner.hash);
                    stamps.extend(inner.stamps);
                }
                Ok(HashedSource { hash: fingerprint.short(), stamps })
            }
        }
    }
}

/// How far hashing is; it is told, and can be stopped, after every piece of a file.
struct Hashing<'a> {
    ctx: &'a Context<'a>,
    done: u64,
    total: u64,
    /// Whether hashes are noted for later.
    remembers: bool,
}

impl Hashing<'_> {
    fn file(&mut self, path: &Path) -> Result<String> {
        let megabytes = |bytes: u64| usize::try_from(bytes / 1_000_000).unwrap_or(usize::MAX);
        Fingerprint::of_pieces(path, |bytes| {
            self.ctx.check()?;
            self.done += bytes as u64;
            if self.total >= LARGE {
                self.ctx.progress(megabytes(self.done), megabytes(self.total), "MB");
            }
            Ok(())
        })
    }
}

/// What counts of a folder: files, links to files, and folders in it; no links to folders, which may
/// go in a circle, and nothing that cannot be read to an end.
fn is_content(path: &Path) -> bool {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    is_folder || fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Notes the hash of a file that has rested.
fn remember(stamp: &Stamp, sha256: &str, note: &Path) {
    if !stamp.is_settled() {
        return;
    }
    if let Some(notes) = note.parent() {
        remove_stale(notes);
    }
    // A store that is read-only, or full, costs hashing again, and no more.
    let known = Note { stamp: stamp.clone(), sha256: sha256.to_owned() };
    if let Err(error) = write_json(note, &known) {
        log::debug!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::Mutex;

    use deft_core::{NoServices, Services};

    fn age(path: &Path, by: Duration) {
        File::open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
    }

    fn hash_source(path: &Path, notes: &Path) -> Result<HashedSource> {
        let ctx = Context::new(&NoServices, 0, 1);
        Ok(hash_sources(&[path.to_owned()], notes, &ctx)?.remove(0))
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

    #[test]
    fn a_file_added_to_a_folder_after_it_was_hashed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("source/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("a.jsonl"), "one").unwrap();
        // A clock that ticks seldom would not tell it from the file just made.
        age(&inner, Duration::from_hours(1));
        let hashed = hash_source(&dir.path().join("source"), &dir.path().join("notes")).unwrap();
        hashed.check_unchanged().unwrap();
        fs::write(inner.join("b.jsonl"), "two").unwrap();
        let error = hashed.check_unchanged().unwrap_err();
        assert!(error.context("path").unwrap().ends_with("source/inner"), "{error}");
    }

    /// Keeps what progress was told; asks to stop, if it is told to.
    #[derive(Default)]
    struct Watch {
        told: Mutex<Vec<(u64, u64, String)>>,
        stop: bool,
    }

    impl Services for Watch {
        fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

        fn progress(&self, done: u64, total: u64, unit: &str) {
            self.told.lock().unwrap().push((done, total, unit.to_owned()));
        }

        fn is_cancelled(&self) -> bool {
            self.stop
        }

        fn resolve(&self, name: &str) -> Result<PathBuf> {
            Ok(PathBuf::from(name))
        }

        fn call(&self, name: &str, _json: &str) -> Result<String> {
            Err(Error::unknown_call(name))
        }
    }

    #[test]
    fn hashing_stops_between_pieces_and_tells_of_large_sources_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source");
        fs::write(&path, vec![0; 3_000_000]).unwrap();
        let watch = Watch::default();
        let ctx = Context::new(&watch, 0, 1);
        Hashing { ctx: &ctx, done: 0, total: LARGE - 1, remembers: true }.file(&path).unwrap();
        assert!(watch.told.lock().unwrap().is_empty(), "not worth a word");
        Hashing { ctx: &ctx, done: 0, total: LARGE, remembers: true }.file(&path).unwrap();
        let last = watch.told.lock().unwrap().last().cloned();
        assert_eq!(last, Some((3, LARGE / 1_000_000, "MB".to_owned())));
        let stopped = Watch { stop: true, ..Watch::default() };
        let ctx = Context::new(&stopped, 0, 1);
        let error =
            Hashing { ctx: &ctx, done: 0, total: 0, remembers: true }.file(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
