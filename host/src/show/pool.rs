//! The pool that a run tells of.

use std::path::{Path, PathBuf};

use deft_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::lines::read_whole;
use crate::pool::StoredPool;

/// Opens the pool that the run tells of, in the store that was given or else in its own; a note, where
/// that cannot be done.
pub(super) fn open(
    run: &Path,
    store: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<Option<StoredPool>> {
    let Some(told) = told(run)? else {
        notes.push(
            "neither run.json nor stages.json of the run tells its pool: shares of the pool are left \
             out; the next `deft run` writes both"
                .to_owned(),
        );
        return Ok(None);
    };
    let Some(store) = store else {
        let pool = StoredPool::peek(&told)?;
        if pool.is_none() {
            let what = if told.is_dir() { "not whole" } else { "not there any more" };
            notes.push(format!(
                "the pool {} is {what}: shares of the pool are left out; if its store is elsewhere \
                 now, name that with --store",
                told.display()
            ));
        }
        return Ok(pool);
    };
    let name = told.file_name().unwrap_or_default();
    StoredPool::peek(&store.join(name))?.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Options, "the run's pool is not in this store, or is not whole there")
            .with_context("store", store.display())
            .with_context("pool", name.display())
            .with_hint(
                "the store is the folder that has this one in it; without --store the run is shown \
                 without shares of the pool",
            )
    })
}

/// The pool's folder, as the run has it.
fn told(run: &Path) -> Result<Option<PathBuf>> {
    // `run.json` is there at the end of a run, `stages.json` from its beginning.
    for name in ["run.json", "stages.json"] {
        let summary: Option<Value> = read_whole(&run.join(name))?;
        let dir = summary.as_ref().and_then(|summary| summary["pool"].as_str());
        if let Some(dir) = dir.filter(|dir| !dir.is_empty()) {
            return Ok(Some(PathBuf::from(dir)));
        }
    }
    Ok(None)
}
