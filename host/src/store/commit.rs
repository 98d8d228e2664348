//! Outputs appear whole or not at all: written beside, synced, renamed, the folder synced.

use std::fs::{self, File};
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deft_core::{Error, ErrorKind, Result, ResultExt};

use super::lock;
use super::process::Process;

/// What the names of temporaries begin with; the process that writes them follows.
const TEMPORARY: &str = ".tmp-";

/// When another machine's temporary is taken for left behind: its processes cannot be asked.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

/// Lets `write` make a file or folder beside `path`, syncs it, and puts it in `path`'s place.
///
/// # Errors
///
/// What `write` returns; then nothing of it is left.
pub fn commit(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    commit_by(path, write, replace)
}

/// Like [`commit`], but what another process has committed meanwhile stays: it may be in use
/// already, and is the same.
pub(super) fn commit_first(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    commit_by(path, write, |temporary, path| match rename_new(temporary, path) {
        Err(error) if error.kind() == Io::AlreadyExists => {
            remove(temporary).or_io("cannot remove a temporary", temporary)
        }
        renamed => renamed.or_io("cannot put the output in its place", path),
    })
}

/// Renames to a name that nothing has.
fn rename_new(temporary: &Path, path: &Path) -> std::io::Result<()> {
    match without_replacing(temporary, path) {
        Err(error) if matches!(error.kind(), Io::Unsupported | Io::InvalidInput) => {}
        done => return done,
    }
    // Not every file system can tell: look first.
    if path.exists() { Err(Io::AlreadyExists.into()) } else { fs::rename(temporary, path) }
}

#[cfg(target_os = "linux")]
fn without_replacing(one: &Path, other: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::NOREPLACE).map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn without_replacing(_one: &Path, _other: &Path) -> std::io::Result<()> {
    Err(Io::Unsupported.into())
}

fn commit_by(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
    place: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    make_dir(dir)?;
    let temporary = temporary_beside(path);
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

fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{TEMPORARY}{}-{count}-{name}", Process::this().name()))
}

/// Renames over what is there. A folder with content cannot be renamed over: the two are exchanged
/// at once, so that one of them is there at any moment.
fn replace(temporary: &Path, path: &Path) -> Result<()> {
    let failed = "cannot put the output in its place";
    if !path.is_dir() {
        return fs::rename(temporary, path).or_io(failed, path);
    }
    if exchange(temporary, path).is_err() {
        // Not every file system can exchange.
        discard(path)?;
        return fs::rename(temporary, path).or_io(failed, path);
    }
    remove(temporary).or_io("cannot remove the old output", temporary)
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_one: &Path, _other: &Path) -> std::io::Result<()> {
    Err(Io::Unsupported.into())
}

/// Removes an output: it disappears at once, and then goes bit by bit.
///
/// # Errors
///
/// [`deft_core::ErrorKind::Io`] when it cannot be moved away or removed.
pub fn discard(path: &Path) -> Result<()> {
    let aside = temporary_beside(path);
    fs::rename(path, &aside).or_io("cannot move the old output away", path)?;
    remove(&aside).or_io("cannot remove the old output", &aside)
}

/// Makes a folder and those above it that are missing, so that they outlive a loss of power.
///
/// # Errors
///
/// [`deft_core::ErrorKind::Io`] when one cannot be made.
pub fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_dir(above)?;
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() == Io::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) if error.kind() == Io::AlreadyExists => {
            Err(Error::new(ErrorKind::Io, "a file is where a folder must be made")
                .with_context("path", dir.display())
                .with_hint("move it away, or give other folders with --run and --store"))
        }
        made => {
            made.or_io("cannot make the folder", dir)?;
            sync(above.unwrap_or(Path::new(".")))
        }
    }
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

/// What lies in a folder, by name.
pub(super) fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).or_io("cannot list the folder", dir)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.or_io("cannot list the folder", dir)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Removes what killed runs left in a folder: temporaries and locks of processes that are gone.
/// What cannot be removed (in a folder that is read-only, say) stays.
pub fn remove_stale(dir: &Path) {
    let Ok(entries) = sorted_entries(dir) else { return };
    for path in entries {
        lock::remove_if_free(&path);
        if is_stale(&path) {
            log::debug!("removing what a killed run left: {}", path.display());
            if let Err(error) = remove(&path) {
                log::debug!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

fn is_stale(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((process, _)) = name.strip_prefix(TEMPORARY).and_then(Process::parse) else {
        return false;
    };
    process.is_gone().unwrap_or_else(|| {
        // A time in the future (a clock was set back) counts as fresh.
        let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
        changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn names(dir: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        sorted_entries(dir).unwrap().iter().map(name).collect()
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
    fn temporaries_of_processes_that_are_gone_are_removed_and_others_kept() {
        let dir = tempfile::tempdir().unwrap();
        let this = Process::this().name();
        let (start, _ticks) = this.rsplit_once('-').unwrap();
        let own = format!("{TEMPORARY}{this}-0-part");
        let gone = format!("{TEMPORARY}{start}-7-0-part");
        let elsewhere = format!("{TEMPORARY}0123456789abcdef-1-7-0-part");
        let abandoned = format!("{TEMPORARY}0123456789abcdef-1-7-1-part");
        let future = format!("{TEMPORARY}0123456789abcdef-1-7-2-part");
        for name in [&own, &gone, &elsewhere, &abandoned, &future, "part-00000"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let set_time = |name: &str, time: SystemTime| {
            let file = File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        };
        set_time(&abandoned, SystemTime::now() - 2 * ABANDONED);
        set_time(&future, SystemTime::now() + 2 * ABANDONED);
        remove_stale(dir.path());
        let mut kept = [own, elsewhere, future, "part-00000".to_owned()];
        kept.sort();
        assert_eq!(names(dir.path()), kept);
    }
}
