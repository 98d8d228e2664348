//! The store: finished stage outputs, by fingerprint; written beside, synced, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use deft_core::{Fingerprint, Result, ResultExt, part_name};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The folder that runs share.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A store in this folder, which is made with its first stage.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The stage `name-<fingerprint>`; stale temporaries in it are removed.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when its folder cannot be made.
    pub fn stage(&self, name: &str, fingerprint: &str) -> Result<Stage> {
        let dir = self.root.join(format!("{name}-{fingerprint}"));
        fs::create_dir_all(&dir).or_io("cannot make a folder of the store", &dir)?;
        let dir = dir.canonicalize().or_io("cannot resolve the store's folder", &dir)?;
        remove_stale(&dir)?;
        Ok(Stage { dir, fingerprint: fingerprint.to_owned() })
    }

    /// SHA-256 of a source file or folder, remembered by size and time of change.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be read.
    pub fn hash_source(&self, path: &Path) -> Result<String> {
        let metadata = fs::metadata(path).or_io("cannot read the source", path)?;
        if metadata.is_dir() {
            let mut fingerprint = Fingerprint::new();
            for entry in sorted_entries(path)? {
                let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
                fingerprint = fingerprint.with(name).with(self.hash_source(&entry)?);
            }
            return Ok(fingerprint.short());
        }
        let changed =
            metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let stamp = HashStamp {
            path: path.canonicalize().or_io("cannot resolve the source", path)?,
            bytes: metadata.len(),
            changed_ns: changed.map_or(0, |time| time.as_nanos()),
        };
        let name = Fingerprint::new().with(stamp.path.to_string_lossy().as_bytes()).short();
        let note = self.root.join("hashes").join(format!("{name}.json"));
        if let Some(known) = read_json::<HashNote>(&note).filter(|known| known.stamp == stamp) {
            return Ok(known.sha256);
        }
        let sha256 = Fingerprint::of_file(path)?;
        write_json(&note, &HashNote { stamp, sha256: sha256.clone() })?;
        Ok(sha256)
    }
}

/// What tells that a file has not changed since it was hashed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HashStamp {
    path: PathBuf,
    bytes: u64,
    changed_ns: u128,
}

#[derive(Debug, Serialize, Deserialize)]
struct HashNote {
    stamp: HashStamp,
    sha256: String,
}

fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).or_io("cannot list the folder", dir)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.or_io("cannot list the folder", dir)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The outputs of one stage: units, and a card once all of them are there.
#[derive(Debug, Clone)]
pub struct Stage {
    dir: PathBuf,
    fingerprint: String,
}

impl Stage {
    /// The stage's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What can change its content.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where a unit's output is, once it is done.
    pub fn unit(&self, unit: usize, suffix: &str) -> PathBuf {
        self.dir.join(part_name(unit, suffix))
    }

    /// Whether a unit is done.
    pub fn has_unit(&self, unit: usize, suffix: &str) -> bool {
        self.unit(unit, suffix).exists()
    }

    /// Runs `write` on a path beside a unit's and commits what it left there, unless another
    /// process has committed the unit meanwhile: theirs may be in use already, and is the same.
    ///
    /// # Errors
    ///
    /// What `write` returns; then nothing of it is left. [`deft_core::ErrorKind::Io`] when the
    /// output cannot be synced or renamed.
    pub fn commit_unit(
        &self,
        unit: usize,
        suffix: &str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        commit_by(&self.unit(unit, suffix), write, |temporary, path| {
            if path.exists() {
                return remove(temporary).or_io("cannot remove a temporary", temporary);
            }
            replace(temporary, path)
        })
    }

    /// The card, if the stage is complete.
    pub fn card(&self) -> Option<Value> {
        read_json(&self.dir.join("card.json"))
    }

    /// Marks the stage as complete.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be written.
    pub fn write_card(&self, card: &Value) -> Result<()> {
        write_json(&self.dir.join("card.json"), card)
    }
}

/// Lets `write` make a file or folder beside `path`, syncs it, and puts it in `path`'s place.
///
/// # Errors
///
/// What `write` returns; then nothing of it is left.
pub fn commit(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    commit_by(path, write, replace)
}

fn commit_by(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
    place: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    fs::create_dir_all(dir).or_io("cannot make the folder", dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!("{}{count}-{name}", temporary_prefix(std::process::id())));
    let done = write(&temporary).and_then(|()| {
        sync_tree(&temporary)?;
        place(&temporary, path)?;
        sync(dir)
    });
    if done.is_err() {
        // The error that counts is the first one.
        let _ = remove(&temporary);
    }
    done
}

/// Renames over what is there; a folder with content must be moved away first.
fn replace(temporary: &Path, path: &Path) -> Result<()> {
    if path.is_dir() {
        remove(path).or_io("cannot remove the old output", path)?;
    }
    fs::rename(temporary, path).or_io("cannot put the output in its place", path)
}

/// Writes a file as [`commit`] does.
///
/// # Errors
///
/// [`deft_core::ErrorKind::Io`] when it cannot be written.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    commit(path, |temporary| {
        let mut file = File::create(temporary).or_io("cannot write", temporary)?;
        file.write_all(content).or_io("cannot write", temporary)
    })
}

/// Writes a value as readable JSON, as [`commit`] does.
///
/// # Errors
///
/// [`deft_core::ErrorKind::Io`] when it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .or_error(deft_core::ErrorKind::Unexpected, "a value cannot be written as JSON")?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

/// A file of JSON lines being written; call it inside [`commit`].
#[derive(Debug)]
pub struct LineWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl LineWriter {
    /// Starts the file.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).or_io("cannot write", path)?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file) })
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be written.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, line).or_io("cannot write", &self.path)?;
        self.out.write_all(b"\n").or_io("cannot write", &self.path)
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().or_io("cannot write", &self.path)
    }
}

/// Reads JSON; what is not there or not of this form is `None`.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn sync_tree(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in sorted_entries(path)? {
            sync_tree(&entry)?;
        }
    }
    sync(path)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).or_io("cannot sync to disk", path)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// Removes temporaries of processes of this machine that are gone.
///
/// # Errors
///
/// [`deft_core::ErrorKind::Io`] when the folder cannot be listed or a temporary not be removed.
pub fn remove_stale(dir: &Path) -> Result<()> {
    for path in sorted_entries(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = name.strip_prefix(&temporary_start());
        let pid = own.and_then(|rest| rest.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid| !is_running(pid)) {
            log::debug!("removing what a killed run left: {}", path.display());
            match remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).or_io("cannot remove a stale temporary", &path);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// What a process's temporaries begin with. The machine is part of it, because another machine's
/// processes cannot be told alive from dead.
fn temporary_prefix(pid: u32) -> String {
    format!("{}{pid}-", temporary_start())
}

fn temporary_start() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(".tmp-{}-", Fingerprint::new().with(host.trim()).short())
}

/// Whether a process is running; where that cannot be told, it is taken to be.
fn is_running(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::{Error, ErrorKind};

    fn names(dir: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        sorted_entries(dir).unwrap().iter().map(name).collect()
    }

    #[test]
    fn a_failed_unit_leaves_nothing_and_a_done_one_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Store::new(dir.path()).stage("t5", "0123").unwrap();
        let fail = |path: &Path| {
            fs::write(path, "half").unwrap();
            Err(Error::new(ErrorKind::Io, "disk full"))
        };
        assert!(stage.commit_unit(3, ".bin", fail).is_err());
        assert!(names(stage.dir()).is_empty());
        stage.commit_unit(3, ".bin", |path| fs::write(path, "whole").or_io("x", path)).unwrap();
        assert!(stage.has_unit(3, ".bin"));
        assert_eq!(names(stage.dir()), ["part-00003.bin"]);
    }

    #[test]
    fn a_unit_that_another_process_committed_first_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Store::new(dir.path()).stage("bm25", "0123").unwrap();
        let unit = stage.unit(0, "");
        let late = |path: &Path| {
            fs::create_dir_all(&unit).or_io("x", &unit)?;
            fs::write(unit.join("theirs"), "").or_io("x", &unit)?;
            fs::create_dir(path).or_io("x", path)
        };
        stage.commit_unit(0, "", late).unwrap();
        assert!(unit.join("theirs").exists());
        assert_eq!(names(stage.dir()), ["part-00000"]);
    }

    #[test]
    fn folders_are_committed_as_a_whole_and_replace_older_ones() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        for content in ["old", "new"] {
            let write = |path: &Path| {
                fs::create_dir(path).or_io("x", path)?;
                fs::write(path.join("weights"), content).or_io("x", path)
            };
            commit(&model, write).unwrap();
        }
        assert_eq!(fs::read_to_string(model.join("weights")).unwrap(), "new");
        assert_eq!(names(dir.path()), ["model"]);
    }

    #[test]
    fn temporaries_of_dead_processes_are_removed_and_others_kept() {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("{}0-part", temporary_prefix(std::process::id()));
        let dead = format!("{}0-part", temporary_prefix(u32::MAX - 1));
        let elsewhere = format!(".tmp-0123456789abcdef-{}-0-part", u32::MAX - 1);
        for name in [&own, &dead, &elsewhere, "part-00000"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        remove_stale(dir.path()).unwrap();
        let mut kept = [own, elsewhere, "part-00000".to_owned()];
        kept.sort();
        assert_eq!(names(dir.path()), kept);
    }

    #[test]
    fn source_hashes_follow_content() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().join("store"));
        let source = dir.path().join("source");
        fs::write(&source, "one").unwrap();
        let one = store.hash_source(&source).unwrap();
        assert_eq!(store.hash_source(&source).unwrap(), one);
        fs::write(&source, "three").unwrap();
        assert_ne!(store.hash_source(&source).unwrap(), one);
    }
}
