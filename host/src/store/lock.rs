//! Who is making an output: an advisory lock on a file beside it, held while it is made.
//!
//! A lock ends with its process, however that ends. It keeps two runs from doing the same work
//! twice; it is not what keeps them from harming each other, since outputs are committed whole:
//! where a file system has no locks, all still goes well.

use std::fs::{self, File, TryLockError};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};
use std::time::{Duration, SystemTime};

use deft_core::{Context, Result, ResultExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::process::host_name;

/// What the names of lock files begin with.
const LOCK: &str = ".lock-";

/// How often a lock that another process holds is tried again.
pub const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Who holds a lock, as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// What it is doing.
    #[serde(default)]
    pub doing: String,
    /// When the process took its first lock, in milliseconds since 1970; 0 where nobody knows.
    #[serde(default)]
    pub since: u64,
    /// How far it is: the objects of `--log-format json`, one for each piece of work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<Value>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// The lock of an output, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is held now.
    Taken(Lock),
    /// Another holds it; who, if that can be read.
    Busy(Option<Holder>),
}

impl Lock {
    /// Tries to take the lock of the output `name` in a folder.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Io`] when the lock's file cannot be made.
    pub fn try_take(dir: &Path, name: &str) -> Result<Attempt> {
        let path = dir.join(format!("{LOCK}{name}"));
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .or_io("cannot make the lock", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Busy(read_holder(&path))),
                Err(TryLockError::Error(error)) => warn_without_locks(&path, &error),
            }
            // Whoever had the lock may have removed its file after we had opened it.
            if is_at(&file, &path) {
                let lock = Self { path, file };
                lock.tell("");
                return Ok(Attempt::Taken(lock));
            }
        }
    }

    /// Takes the lock, once whoever holds it has given it up; `what` is said to be waited for.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Cancelled`]; [`deft_core::ErrorKind::Io`].
    pub fn wait(dir: &Path, name: &str, what: &str, ctx: &Context<'_>) -> Result<Self> {
        let mut told = false;
        loop {
            ctx.check()?;
            match Self::try_take(dir, name)? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Busy(holder) if !told => {
                    told = true;
                    log::info!("waiting: {} {what}", holder_name(holder.as_ref()));
                }
                Attempt::Busy(_) => {}
            }
            std::thread::sleep(TRY_AGAIN);
        }
    }

    /// Tells others who holds the lock and what for.
    pub fn tell(&self, doing: &str) {
        self.tell_progress(doing, Vec::new());
    }

    /// The same, and how far that is.
    pub fn tell_progress(&self, doing: &str, progress: Vec<Value>) {
        let holder = Holder {
            host: host_name(),
            pid: std::process::id(),
            doing: doing.to_owned(),
            since: since(),
            progress,
        };
        let mut text = serde_json::to_string(&holder).unwrap_or_default();
        // Spaces over what is left of a longer text, and never an empty file: whoever reads
        // meanwhile finds a name.
        let old = self.file.metadata().map_or(0, |metadata| metadata.len());
        let left = usize::try_from(old).unwrap_or(0).saturating_sub(text.len());
        text.push_str(&" ".repeat(left));
        // Without it, a message lacks a name.
        let _ = self.file.write_all_at(text.as_bytes(), 0);
    }
}

/// When this process took its first lock, in milliseconds since 1970.
fn since() -> u64 {
    static SINCE: OnceLock<u64> = OnceLock::new();
    *SINCE.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(0)
    })
}

impl Drop for Lock {
    /// Removes the file while the lock is held: nobody else's is removed by mistake.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The holders of the locks held in a folder, by the name of the output; nothing is changed.
pub fn holders(dir: &Path) -> Vec<(String, Option<Holder>)> {
    let mut found = Vec::new();
    for path in super::commit::sorted_entries(dir).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_prefix(LOCK) else { continue };
        let Ok(file) = File::open(&path) else { continue };
        if matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            found.push((name.to_owned(), read_holder(&path)));
        }
    }
    found
}

/// A holder for a message.
pub fn holder_name(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

/// Whether an open file or folder is still the one at a path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok() == fs::metadata(path).map(identity).ok()
}

/// Removes the lock file of a process that is gone; other files stay.
pub(super) fn remove_if_free(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let (Some(name), Some(dir)) = (name.strip_prefix(LOCK), path.parent()) {
        // Taking it and giving it up again removes the file.
        let _ = Lock::try_take(dir, name);
    }
}

fn read_holder(path: &Path) -> Option<Holder> {
    let read = || {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    };
    let again = || {
        std::thread::sleep(Duration::from_millis(1));
        read()
    };
    // It may be half written just now.
    read().or_else(again).or_else(again)
}

fn warn_without_locks(path: &Path, error: &std::io::Error) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::warn!(
            "the file system of {} has no locks ({error}): two runs at once may do the same work \
             twice, and need folders of their own (--run)",
            path.display()
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    #[test]
    fn one_holds_a_lock_at_a_time_and_its_file_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let Attempt::Taken(lock) = Lock::try_take(dir.path(), "part-00000").unwrap() else {
            panic!("nobody holds it");
        };
        lock.tell("encode");
        let Attempt::Busy(holder) = Lock::try_take(dir.path(), "part-00000").unwrap() else {
            panic!("it is held");
        };
        let holder = holder.unwrap();
        assert_eq!((holder.pid, holder.doing.as_str()), (std::process::id(), "encode"));
        assert!(holder.since > 0);
        assert_eq!(holders(dir.path()), [("part-00000".to_owned(), Some(holder))]);
        remove_if_free(&dir.path().join(".lock-part-00000"));
        assert_eq!(holders(dir.path()).len(), 1, "what is held is not removed");
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_holder_is_known_while_it_tells_of_its_progress() {
        let dir = tempfile::tempdir().unwrap();
        let Attempt::Taken(lock) = Lock::try_take(dir.path(), "run").unwrap() else {
            panic!("nobody holds it");
        };
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                for round in 0..2000 {
                    let progress = vec![Value::from(round); if round % 2 == 0 { 1 } else { 20 }];
                    lock.tell_progress("trains", progress);
                }
            });
            while !told.is_finished() {
                assert_eq!(read_holder(&lock.path).unwrap().pid, std::process::id());
            }
        });
    }

    #[test]
    fn a_lock_file_left_by_a_killed_process_is_free() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".lock-x"), "{\"host\":\"h\",\"pid\":1}").unwrap();
        assert!(holders(dir.path()).is_empty());
        remove_if_free(&dir.path().join(".lock-x"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn threads_that_fight_for_a_lock_never_hold_it_together() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        let dir = tempfile::tempdir().unwrap();
        let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        if let Attempt::Taken(lock) = Lock::try_take(dir.path(), "x").unwrap() {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0);
                            entered.fetch_add(1, SeqCst);
                            inside.fetch_sub(1, SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(entered.load(SeqCst) > 0);
        let ctx = Context::new(&NoServices, 0, 1);
        drop(Lock::wait(dir.path(), "x", "", &ctx).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
