//! What the tests of the readers share.

use std::fs;
use std::path::{Path, PathBuf};

use deft_core::NoServices;
use deft_core::prelude::*;
use serde_json::Value;

use crate::config::{T0Config, Variant};
use crate::reader::T0Reader;
use crate::tasks::Task;

/// Everything in a source, read in batches of `max` rows.
pub(crate) fn read_by<T: Task>(source: &Path, variant: Variant, max: usize) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = T0Reader::<T>::new(&ctx, T0Config { variant }, Children::none())?;
    let mut stream = reader.open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() + batch.skipped.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// What a source of one record is read as, or the error with the file's path shortened to its name.
pub(crate) fn read_one<T: Task>(record: &Value, variant: Variant) -> Result<Batch, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, record.to_string()).unwrap();
    read_by::<T>(&path, variant, 10).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Data);
        error.to_string().replace(&path.display().to_string(), "a.jsonl")
    })
}

/// A path of the shared files, if they are here.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}
