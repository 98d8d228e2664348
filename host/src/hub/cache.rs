//! One repository's folder in the cache.

use std::fs;
use std::io::ErrorKind as Io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use deft_core::{Context, Fingerprint, Result, ResultExt};

use super::files::{ESSENTIAL, WEIGHTS, is_index, shards};
use super::{HubName, is_plain};
use crate::store::lock::Lock;
use crate::store::{self, make_dir, read_json, write_file, write_json};

/// The folder, with one lock for all who download into it.
pub(super) struct Folder {
    root: PathBuf,
    locks: PathBuf,
}

impl Folder {
    pub(super) fn new(cache: &Path, name: HubName<'_>) -> Self {
        let name = format!("{}--{}", name.kind.plural(), name.repository.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(&name) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the commit of a revision is noted.
    pub(super) fn reference(&self, revision: &str) -> PathBuf {
        self.root.join("refs").join(revision)
    }

    /// The commit that a revision had when it was downloaded; else the revision itself, which may
    /// be a commit.
    pub(super) fn commit(&self, revision: &str) -> String {
        let noted = fs::read_to_string(self.reference(revision)).ok();
        let noted = noted.map(|commit| commit.trim().to_owned());
        noted.filter(|commit| is_plain(commit)).unwrap_or_else(|| revision.to_owned())
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Where a file of this content is kept.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Where a file is written until it is whole. The name follows from what is known before the
    /// download starts, so that a later one can go on.
    pub(super) fn partial(&self, commit: &str, file: &str) -> PathBuf {
        let name = Fingerprint::new().with(commit).with(file).short();
        self.blob(&format!("{name}.incomplete"))
    }

    /// Whether the cache has everything that a model needs and its repository has.
    pub(super) fn is_whole(&self, commit: &str) -> bool {
        let (snapshot, absent) = (self.snapshot(commit), self.absent(commit));
        let has = |file: &str| snapshot.join(file).exists();
        let lacks = |file: &str| absent.join(file).exists();
        let has_shards = |index: &str| {
            shards(&snapshot.join(index)).is_ok_and(|shards| shards.iter().all(|shard| has(shard)))
        };
        let has_weights = |file: &str| has(file) && (!is_index(file) || has_shards(file));
        ESSENTIAL.into_iter().all(|file| has(file) || lacks(file))
            && (WEIGHTS.into_iter().any(has_weights) || WEIGHTS.into_iter().all(lacks))
    }

    /// Waits until nobody else downloads, and keeps others from it.
    pub(super) fn lock(&self, name: HubName<'_>, ctx: &Context<'_>) -> Result<Lock> {
        make_dir(&self.locks)?;
        let lock = Lock::wait(&self.locks, "deft", &format!("downloads {name}"), ctx)?;
        lock.tell("download");
        Ok(lock)
    }

    /// Makes the folders to write into, and removes what killed processes left there.
    pub(super) fn prepare(&self) -> Result<()> {
        for name in ["blobs", "refs"] {
            let dir = self.root.join(name);
            make_dir(&dir)?;
            store::remove_stale(&dir);
        }
        Ok(())
    }

    /// Makes a blob a file of a commit.
    pub(super) fn link(&self, commit: &str, file: &str, blob: &Path) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        if path.exists() {
            return Ok(());
        }
        if let Some(dir) = path.parent() {
            make_dir(dir)?;
        }
        // Relative, so that the cache can be moved and copied.
        let up = "../".repeat(2 + file.matches('/').count());
        let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
        // A link whose blob has gone is in the way.
        let _ = fs::remove_file(&path);
        match symlink(target, &path) {
            Err(error) if error.kind() == Io::AlreadyExists => Ok(()),
            linked => linked.or_io("cannot link the file in the cache", &path),
        }
    }

    /// Notes which of the files that count a commit does not have.
    pub(super) fn note_absent(&self, commit: &str, all: &[String]) -> Result<()> {
        let absent = self.absent(commit);
        for name in ESSENTIAL.into_iter().chain(WEIGHTS) {
            if !all.iter().any(|file| file == name) {
                write_file(&absent.join(name), b"")?;
            }
        }
        Ok(())
    }

    /// Notes which commit a revision is.
    pub(super) fn note_revision(&self, revision: &str, commit: &str) -> Result<()> {
        if self.commit(revision) == commit {
            return Ok(());
        }
        write_file(&self.reference(revision), commit.as_bytes())
    }

    /// The names of all files of a commit, where they have been noted.
    pub(super) fn listing(&self, commit: &str) -> Option<Vec<String>> {
        read_json(&self.listing_path(commit))
    }

    /// Notes the names of all files of a commit.
    pub(super) fn note_listing(&self, commit: &str, all: &[String]) -> Result<()> {
        write_json(&self.listing_path(commit), &all)
    }

    fn listing_path(&self, commit: &str) -> PathBuf {
        self.root.join(".listings").join(format!("{commit}.json"))
    }

    /// The names of those files of a commit that are here.
    pub(super) fn files(&self, commit: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect_files(&self.snapshot(commit), "", &mut found);
        found
    }

    fn absent(&self, commit: &str) -> PathBuf {
        self.root.join(".no_exist").join(commit)
    }
}

/// Adds the files below a folder, each with the folders on the way to it. What cannot be read is not
/// here.
fn collect_files(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        // A link without its file is neither.
        match entry.path().metadata() {
            Ok(metadata) if metadata.is_dir() => {
                collect_files(&entry.path(), &format!("{name}/"), found);
            }
            Ok(_) => found.push(name),
            Err(_) => {}
        }
    }
}
