//! The pool on disk: sources read once into Parquet parts, and read back by position.

mod ingest;
mod list;
mod parquet;
mod paths;
mod rows;
mod sources;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deft_core::{Error, ErrorKind, Example, Examples, Provenance, Result, ResultExt};
use serde::{Deserialize, Serialize};

pub(crate) use ingest::NAME;
pub use ingest::{WantedPool, ensure};
pub(crate) use list::{each_named, each_source, expand_list};
pub use paths::{SourcePaths, expand_source};
pub(crate) use paths::{WILD, is_of_hub, is_there, known_source, needs_download, relative_to};
pub use rows::Rows;
pub(crate) use rows::{Glimpse, glimpse, spread};
pub use sources::{ReadSource, read_examples};
pub(crate) use sources::{Skipped, read_and_tell, read_paths};

use self::parquet::PartReader;
pub(crate) use self::parquet::ROWS_PER_GROUP;
use crate::store::{Stage, Store};

/// Writes a few examples as a part of a pool is written; returns its bytes.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be written.
pub(crate) fn write_sample(path: &Path, examples: Vec<Example>) -> Result<u64> {
    parquet::write_part(path, std::iter::once(Ok(examples)), 1)?;
    Ok(std::fs::metadata(path).or_io("cannot look at the part", path)?.len())
}

/// Examples by data set and template.
pub(crate) type Sources = BTreeMap<String, BTreeMap<String, usize>>;

/// What is known of a finished pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolCard {
    /// Examples in it.
    pub rows: usize,
    /// Rows of each part but the last.
    pub rows_per_part: usize,
    /// Rows that the readers left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// What it was read from.
    pub sources: serde_json::Value,
}

/// The pool's examples, read by position; memory holds a few row groups.
#[derive(Debug)]
pub struct StoredPool {
    stage: Stage,
    card: PoolCard,
    examples: GroupCache<Example>,
    inputs: GroupCache<String>,
}

/// Row groups kept: 32 × 2,048 rows.
const CACHED_GROUPS: usize = 32;

/// The row groups read last, by number.
#[derive(Debug)]
struct GroupCache<T>(Mutex<VecDeque<(usize, Arc<Vec<T>>)>>);

impl<T> GroupCache<T> {
    fn get_or(&self, group: usize, read: impl FnOnce() -> Result<Vec<T>>) -> Result<Arc<Vec<T>>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found =
            lock().iter().find(|(number, _)| *number == group).map(|(_, rows)| Arc::clone(rows));
        if let Some(rows) = found {
            return Ok(rows);
        }
        let rows = Arc::new(read()?);
        let mut groups = lock();
        if groups.len() == CACHED_GROUPS {
            groups.pop_front();
        }
        groups.push_back((group, Arc::clone(&rows)));
        Ok(rows)
    }
}

impl StoredPool {
    fn new(stage: Stage, card: PoolCard) -> Self {
        let (examples, inputs) = (GroupCache(Mutex::default()), GroupCache(Mutex::default()));
        Self { stage, card, examples, inputs }
    }

    /// The pool in a stage, if it is complete and as its card says.
    fn open(stage: &Stage) -> Result<Option<Self>> {
        let Some(card) = stage.card::<PoolCard>() else { return Ok(None) };
        if card.rows == 0 || card.rows_per_part == 0 {
            return Ok(None);
        }
        if is_whole(stage, &card)? {
            return Ok(Some(Self::new(stage.clone(), card)));
        }
        log::warn!("{}: parts are missing or damaged: they are read again", stage.dir().display());
        Ok(None)
    }

    /// The pool in a folder of some store, if it is there and complete; nothing is changed.
    pub(crate) fn peek(dir: &Path) -> Result<Option<Self>> {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fingerprint = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-'));
        let Some((root, fingerprint)) = dir.parent().zip(fingerprint) else { return Ok(None) };
        let Some(stage) = Store::new(root).peek(NAME, fingerprint) else { return Ok(None) };
        let Some(card) = stage.card::<PoolCard>() else { return Ok(None) };
        let is_whole = card.rows > 0 && card.rows_per_part > 0 && is_whole(&stage, &card)?;
        Ok(is_whole.then(|| Self::new(stage, card)))
    }

    /// How many examples each template of each data set has; no other column is read.
    pub(crate) fn sources(&self) -> Result<Sources> {
        let mut sources = Sources::new();
        self.each_provenance(|_, Provenance { dataset, template }| {
            *sources.entry(dataset).or_default().entry(template).or_default() += 1;
            Ok(())
        })?;
        Ok(sources)
    }

    /// Calls `each` with the position of every example, in order, and where it comes from; no other
    /// column is read.
    pub(crate) fn each_provenance(
        &self,
        mut each: impl FnMut(u64, Provenance) -> Result<()>,
    ) -> Result<()> {
        let mut position = 0;
        for part in 0..self.card.rows.div_ceil(self.card.rows_per_part) {
            let path = self.stage.unit(part, parquet::SUFFIX);
            let rows = PartReader::open(&path)?.rows();
            for group in 0..rows.div_ceil(ROWS_PER_GROUP) {
                for provenance in PartReader::open(&path)?.read_provenances(group)? {
                    each(position, provenance)?;
                    position += 1;
                }
            }
        }
        Ok(())
    }

    /// Fingerprint of the pool's content.
    pub fn fingerprint(&self) -> &str {
        self.stage.fingerprint()
    }

    /// What is known of it.
    pub fn card(&self) -> &PoolCard {
        &self.card
    }

    /// The pool's folder in the store.
    pub fn dir(&self) -> &Path {
        self.stage.dir()
    }

    /// The pool as a retriever sees it.
    pub fn view(&self) -> deft_core::Pool<'_> {
        deft_core::Pool { examples: self, rows_per_part: self.card.rows_per_part }
    }

    /// Groups do not span parts: a group's number counts those of whole parts before it.
    fn group_of(&self, row: usize) -> (usize, usize) {
        let (part, in_part) = (row / self.card.rows_per_part, row % self.card.rows_per_part);
        (part * self.groups_per_part() + in_part / ROWS_PER_GROUP, in_part % ROWS_PER_GROUP)
    }

    fn groups_per_part(&self) -> usize {
        self.card.rows_per_part.div_ceil(ROWS_PER_GROUP)
    }

    /// Rows in the form that `read_group` gives them.
    fn rows<T: Clone>(
        &self,
        positions: &[usize],
        cache: &GroupCache<T>,
        read_group: fn(PartReader, usize) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut current: Option<(usize, Arc<Vec<T>>)> = None;
        let mut found = Vec::with_capacity(positions.len());
        for &position in positions {
            let (group, row) = self.group_of(position);
            let rows = match current.take() {
                Some((number, rows)) if number == group => rows,
                _ => cache.get_or(group, || {
                    let part = self.stage.unit(group / self.groups_per_part(), parquet::SUFFIX);
                    read_group(PartReader::open(&part)?, group % self.groups_per_part())
                })?,
            };
            let one = rows.get(row).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "the pool has no such row")
                    .with_context("row", position)
                    .with_context("rows", self.card.rows)
            })?;
            found.push(one.clone());
            current = Some((group, rows));
        }
        Ok(found)
    }
}

/// Whether every part is there, and the last one, which is looked at first, has its rows.
fn is_whole(stage: &Stage, card: &PoolCard) -> Result<bool> {
    let last = (card.rows - 1) / card.rows_per_part;
    if !stage.has_unit(last, parquet::SUFFIX) {
        return Ok(false);
    }
    let part = PartReader::open_whole(&stage.unit(last, parquet::SUFFIX))?;
    let rows = card.rows - last * card.rows_per_part;
    Ok(part.is_some_and(|part| part.rows() == rows)
        && stage.units_left(last, parquet::SUFFIX).is_empty())
}

impl Examples for StoredPool {
    fn len(&self) -> usize {
        self.card.rows
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        self.rows(positions, &self.examples, PartReader::read_group)
    }

    fn inputs(&self, positions: &[usize]) -> Result<Vec<String>> {
        self.rows(positions, &self.inputs, PartReader::read_inputs)
    }
}
