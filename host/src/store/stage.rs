//! One stage's outputs: units, and a card that says what they are made from.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Context, Error, ErrorKind, Result, ResultExt, part_name};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::commit::{self, commit, commit_first, make_dir, remove_stale, sorted_entries};
use super::files::{bytes_below, read_json, read_json_at, write_json, write_json_first};
use super::lock::{Attempt, Lock, TRY_AGAIN, is_at};

/// The file that says what a stage is made from, and whether it is complete.
const CARD: &str = "card.json";

/// A folder of the store.
#[derive(Debug, Clone)]
pub struct Stage {
    dir: PathBuf,
    fingerprint: String,
    /// Locked for sharing as long as the stage is in use: nobody discards it meanwhile.
    in_use: Arc<Option<File>>,
}

/// `card.json`: the fingerprint of everything that can change the content, and what it was.
#[derive(Debug, Serialize, Deserialize)]
struct Card<T> {
    fingerprint: String,
    deft: String,
    /// Whether every unit is there; until then the card has no content.
    #[serde(default = "complete")]
    complete: bool,
    #[serde(flatten)]
    content: T,
}

/// What a card means that does not say it: earlier ones were only written at the end.
fn complete() -> bool {
    true
}

impl Stage {
    pub(super) fn open(root: &Path, name: &str, fingerprint: &str) -> Result<Self> {
        let dir = root.join(format!("{name}-{fingerprint}"));
        let in_use = Arc::new(make_and_use(&dir)?);
        // The stage itself may be a link to another disk: its name is that of the link.
        let root = root.canonicalize().or_io("cannot resolve the store's folder", root)?;
        let dir = root.join(dir.file_name().unwrap_or_default());
        let stage = Self { dir, fingerprint: fingerprint.to_owned(), in_use };
        stage.claim()?;
        remove_stale(&stage.dir);
        // What a kill left of a stage that was being discarded.
        remove_stale(&root);
        Ok(stage)
    }

    /// The stage, if its folder is there and nobody is discarding it; nothing is changed.
    pub(super) fn peek(root: &Path, name: &str, fingerprint: &str) -> Option<Self> {
        let dir = root.canonicalize().ok()?.join(format!("{name}-{fingerprint}"));
        let folder = File::open(&dir).ok()?;
        let in_use = match folder.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => None,
            Ok(()) => Some(folder),
        };
        let fingerprint = fingerprint.to_owned();
        Some(Self { dir, fingerprint, in_use: Arc::new(in_use) })
    }

    /// The stage, whether it is there or not; nothing is changed.
    pub(super) fn unused(root: &Path, name: &str, fingerprint: &str) -> Result<Self> {
        let root = root.canonicalize().or_io("cannot resolve the store's folder", root)?;
        let dir = root.join(format!("{name}-{fingerprint}"));
        Ok(Self { dir, fingerprint: fingerprint.to_owned(), in_use: Arc::new(None) })
    }

    /// Says what the folder is for, before anything is in it; refuses one that was copied or renamed
    /// by hand.
    fn claim(&self) -> Result<()> {
        let path = self.dir.join(CARD);
        let Some(card) = read_json_at::<Card<serde::de::IgnoredAny>>(&path)? else {
            return self.begin_card(&path);
        };
        if card.fingerprint == self.fingerprint {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, "this folder of the store was made from something else")
            .with_context("folder", self.dir.display())
            .with_context("found", card.fingerprint)
            .with_context("wanted", &self.fingerprint)
            .with_hint("it was renamed or copied by hand: remove it, and it is made again"))
    }

    fn begin_card(&self, path: &Path) -> Result<()> {
        let card = self.new_card(false, Value::Object(Map::new()));
        // A damaged one is replaced; one that another process has just finished is not.
        if path.exists() { write_json(path, &card) } else { write_json_first(path, &card) }
    }

    fn new_card<T>(&self, complete: bool, content: T) -> Card<T> {
        let (fingerprint, deft) = (self.fingerprint.clone(), env!("CARGO_PKG_VERSION").to_owned());
        Card { fingerprint, deft, complete, content }
    }

    /// The stage's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder's name: what it holds, and the fingerprint.
    pub fn name(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
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

    /// The units of so many that are not done.
    pub fn units_left(&self, units: usize, suffix: &str) -> Vec<usize> {
        (0..units).filter(|&unit| !self.has_unit(unit, suffix)).collect()
    }

    /// Tries to take the lock of a unit, to be the only one who does it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the lock's file cannot be made.
    pub fn lock_unit(&self, unit: usize, suffix: &str) -> Result<Attempt> {
        Lock::try_take(&self.dir, &part_name(unit, suffix))
    }

    /// Takes the lock of the whole stage, once nobody else has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::Io`] when the lock's file cannot be made.
    pub fn lock(&self, doing: &str, ctx: &Context<'_>) -> Result<Lock> {
        let lock = Lock::wait(&self.dir, CARD, doing, ctx)?;
        lock.tell(doing);
        Ok(lock)
    }

    /// Runs `write` on a path beside a unit's and commits what it left there, unless another
    /// process has committed the unit meanwhile.
    ///
    /// # Errors
    ///
    /// What `write` returns; then nothing of it is left. [`ErrorKind::Io`] when the output cannot
    /// be synced or renamed.
    pub fn commit_unit(
        &self,
        unit: usize,
        suffix: &str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        commit_first(&self.unit(unit, suffix), write)
    }

    /// Like [`Stage::commit_unit`], but in place of what is there: the unit is there at any moment.
    ///
    /// # Errors
    ///
    /// Those of [`Stage::commit_unit`].
    pub fn replace_unit(
        &self,
        unit: usize,
        suffix: &str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        commit(&self.unit(unit, suffix), write)
    }

    /// The stage is not in use by this any more: it may be discarded.
    pub fn give_up(&mut self) {
        drop(std::mem::take(&mut self.in_use));
    }

    /// Removes the stage, unless somebody uses it or nobody can tell; gives the bytes that it had.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be removed.
    pub fn discard_if_unused(&self) -> Result<Option<u64>> {
        let Ok(folder) = File::open(&self.dir) else { return Ok(None) };
        if folder.try_lock().is_err() || !is_at(&folder, &self.dir) {
            return Ok(None);
        }
        let bytes = bytes_below(&self.dir);
        commit::discard(&self.dir).map(|()| Some(bytes))
    }

    /// The card, if the stage is complete; a damaged one counts as none, since it can be made again.
    pub fn card<T: DeserializeOwned>(&self) -> Option<T> {
        read_card(&self.dir)
    }

    /// Changes the card of a complete stage, with the stage locked: no other change is lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be written; [`ErrorKind::Cancelled`].
    pub fn amend_card(
        &self,
        doing: &str,
        ctx: &Context<'_>,
        amend: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<()> {
        let _lock = self.lock(doing, ctx)?;
        let path = self.dir.join(CARD);
        let is_complete = self.card::<serde::de::IgnoredAny>().is_some();
        let card = read_json_at::<Map<String, Value>>(&path)?.filter(|_| is_complete);
        let Some(mut card) = card else { return Ok(()) };
        amend(&mut card);
        write_json(&path, &card)
    }

    /// Marks the stage as complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be written.
    pub fn write_card(&self, content: &impl Serialize) -> Result<()> {
        write_json(&self.dir.join(CARD), &self.new_card(true, content))
    }
}

/// Makes a stage's folder, if it is missing, and keeps others from discarding it; `None` where the
/// file system has no locks.
fn make_and_use(dir: &Path) -> Result<Option<File>> {
    loop {
        make_dir(dir)?;
        let folder = match File::open(dir) {
            // Discarded between the two.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            folder => folder.or_io("cannot open the store's folder", dir)?,
        };
        match folder.try_lock_shared() {
            // Somebody is discarding it, or has: then there is another folder now.
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_AGAIN),
            Err(TryLockError::Error(_)) => return Ok(None),
            Ok(()) if is_at(&folder, dir) => return Ok(Some(folder)),
            Ok(()) => {}
        }
    }
}

fn read_card<T: DeserializeOwned>(dir: &Path) -> Option<T> {
    read_json::<Card<T>>(&dir.join(CARD)).filter(|card| card.complete).map(|card| card.content)
}

pub(super) fn discard(root: &Path, name: &str, fingerprint: &str, ctx: &Context<'_>) -> Result<()> {
    let dir = root.join(format!("{name}-{fingerprint}"));
    let mut told = false;
    // Opened once: what another run makes in this place meanwhile is another folder.
    let Ok(folder) = File::open(&dir) else { return Ok(()) };
    loop {
        if matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
            ctx.check()?;
            if !std::mem::replace(&mut told, true) {
                let dir = dir.display();
                log::info!("waiting: another run uses {dir}, which is to be made again");
            }
            std::thread::sleep(TRY_AGAIN);
        } else if is_at(&folder, &dir) {
            return commit::discard(&dir);
        } else {
            // Another run has discarded it meanwhile: what is there now is new.
            return Ok(());
        }
    }
}

pub(super) fn cards<T: DeserializeOwned>(root: &Path, name: &str) -> Vec<(String, T)> {
    let mut found = Vec::new();
    for dir in sorted_entries(root).unwrap_or_default() {
        let folder = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_other = folder.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        if let Some(card) = is_other.then(|| read_card(&dir)).flatten() {
            found.push((folder, card));
        }
    }
    found
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
