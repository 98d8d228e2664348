//! The pool on disk: sources read once into Parquet parts, and read back by position.

mod ingest;
mod parquet;
mod sources;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deft_core::{Error, ErrorKind, Example, Examples, Result};
use serde::{Deserialize, Serialize};

pub use ingest::ensure;
pub use sources::{ReadSource, expand_source, read_examples};
pub(crate) use sources::{Skipped, read_paths, relative_to};

use self::parquet::{PartReader, ROWS_PER_GROUP};
use crate::store::Stage;

/// What is known of a finished pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolCard {
    /// Examples in it.
    pub rows: usize,
    /// Rows of each part but the last.
    pub rows_per_part: usize,
    /// Rows that the readers left out, by reason.
    pub skipped: std::collections::BTreeMap<String, u64>,
    /// What it was read from.
    pub sources: serde_json::Value,
}

/// The pool's examples, read by position; memory holds a few row groups.
#[derive(Debug)]
pub struct StoredPool {
    stage: Stage,
    card: PoolCard,
    cache: Mutex<VecDeque<(usize, Arc<Vec<Example>>)>>,
}

/// Row groups kept: 32 × 2,048 rows.
const CACHED_GROUPS: usize = 32;

impl StoredPool {
    fn new(stage: Stage, card: PoolCard) -> Self {
        Self { stage, card, cache: Mutex::default() }
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
        let groups_per_part = self.card.rows_per_part.div_ceil(ROWS_PER_GROUP);
        let (part, in_part) = (row / self.card.rows_per_part, row % self.card.rows_per_part);
        (part * groups_per_part + in_part / ROWS_PER_GROUP, in_part % ROWS_PER_GROUP)
    }

    fn group(&self, group: usize) -> Result<Arc<Vec<Example>>> {
        let find = |cache: &VecDeque<(usize, Arc<Vec<Example>>)>| {
            cache.iter().find(|(number, _)| *number == group).map(|(_, rows)| Arc::clone(rows))
        };
        if let Some(rows) = find(&self.cache.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(rows);
        }
        let groups_per_part = self.card.rows_per_part.div_ceil(ROWS_PER_GROUP);
        let path = self.part_path(group / groups_per_part);
        let rows = Arc::new(PartReader::open(&path)?.read_group(group % groups_per_part)?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() == CACHED_GROUPS {
            cache.pop_front();
        }
        cache.push_back((group, Arc::clone(&rows)));
        Ok(rows)
    }

    fn part_path(&self, part: usize) -> PathBuf {
        self.stage.unit(part, parquet::SUFFIX)
    }
}

impl Examples for StoredPool {
    fn len(&self) -> usize {
        self.card.rows
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let mut current: Option<(usize, Arc<Vec<Example>>)> = None;
        let mut examples = Vec::with_capacity(positions.len());
        for &position in positions {
            let (group, row) = self.group_of(position);
            let rows = match &current {
                Some((number, rows)) if *number == group => Arc::clone(rows),
                _ => self.group(group)?,
            };
            let example = rows.as_slice().get(row).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "the pool has no such row")
                    .with_context("row", position)
                    .with_context("rows", self.card.rows)
            })?;
            examples.push(example.clone());
            current = Some((group, rows));
        }
        Ok(examples)
    }
}
