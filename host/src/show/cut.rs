//! How many texts an arm's encoder did not read to their end.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use deft_core::{ErrorKind, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::lines::read_whole;
use crate::truncation::{OF_QUERIES, OF_UNIT, Truncation};

/// What cannot be done with a stage's folder.
const FAILED: &str = "cannot list the stage's folder";

/// Texts that an arm's encoder cut. What is not known is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Of the queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<Truncation>,
    /// Of the pool's inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Truncation>,
}

/// `stages.json`, as far as it is looked at.
#[derive(Default, Deserialize)]
struct Stages {
    #[serde(default)]
    arms: BTreeMap<String, Vec<StagePlace>>,
}

/// A phase of an arm, and the folder of its stage.
#[derive(Deserialize)]
struct StagePlace {
    phase: String,
    dir: PathBuf,
}

impl Cut {
    /// What is known of an arm with this folder, beside what is known of its pool.
    pub(super) fn of_arm(dir: &Path, pool: Option<Truncation>) -> Result<Option<Self>> {
        let queries = read(&dir.join(OF_QUERIES), "until `--rebuild hits` searches again")?;
        Ok((queries.is_some() || pool.is_some()).then_some(Self { queries, pool }))
    }

    /// `3 of 250 queries (32 tokens), 812 of 50185 pool inputs (128 tokens)`.
    pub(super) fn words(&self) -> String {
        let queries = self.queries.map(|cut| words_of("queries", cut));
        let pool = self.pool.map(|cut| words_of("pool inputs", cut));
        queries.into_iter().chain(pool).collect::<Vec<_>>().join(", ")
    }
}

fn words_of(what: &str, cut: Truncation) -> String {
    let Truncation { texts, truncated, limit } = cut;
    let limit = limit.map_or(String::new(), |tokens| format!(" ({tokens} tokens)"));
    format!("{truncated} of {texts} {what}{limit}")
}

/// What was cut of the pool, for each arm of which that is known: what lies in its stages, in the store
/// that was given or else where the run has had them.
pub(super) fn of_pool(run: &Path, store: Option<&Path>) -> Result<BTreeMap<String, Truncation>> {
    let stages: Stages = read_whole(&run.join("stages.json"))?.unwrap_or_default();
    let mut found = BTreeMap::new();
    for (arm, places) in stages.arms {
        // Two retrievers of an arm may share a stage.
        let phases: BTreeMap<PathBuf, String> =
            places.into_iter().map(|place| (place.dir, place.phase)).collect();
        let mut known = None;
        for (told, phase) in phases {
            let moved = |store: &Path| store.join(told.file_name().unwrap_or_default());
            add_stage(&store.map_or_else(|| told.clone(), moved), &phase, &mut known)?;
        }
        if let Some(known) = known {
            found.insert(arm, known);
        }
    }
    Ok(found)
}

/// Adds what the units of a stage have counted: nothing, where the stage is gone.
fn add_stage(dir: &Path, phase: &str, known: &mut Option<Truncation>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
        entries => entries.or_io(FAILED, dir)?,
    };
    for entry in entries {
        let path = entry.or_io(FAILED, dir)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("part-") && name.ends_with(OF_UNIT) {
            let until = format!("until `--rebuild {phase}` makes the stage again");
            if let Some(counted) = read(&path, &until)? {
                counted.add_to(known);
            }
        }
    }
    Ok(())
}

/// Reads what was counted. A damaged file is not made again by itself: `until` says by what.
fn read(path: &Path, until: &str) -> Result<Option<Truncation>> {
    read_whole(path).map_err(|error| {
        if error.kind() != ErrorKind::Data {
            return error;
        }
        error.with_hint(format!("remove the file: what it counts is left out, {until}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A run with an arm of these stages, which lie in a store beside it.
    fn run(stages: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let place = |name: &&str| json!({"phase": "encode", "units": 2, "dir": store.join(name)});
        let places: Vec<_> = stages.iter().map(place).collect();
        let told = json!({"pool": store.join("pool-1"), "arms": {"retrieved": places}});
        fs::write(dir.path().join("stages.json"), told.to_string()).unwrap();
        (dir, store)
    }

    fn write(store: &Path, name: &str, truncation: &Truncation) {
        let path = store.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string(truncation).unwrap()).unwrap();
    }

    fn of(texts: u64, truncated: u64, limit: u64) -> Truncation {
        Truncation { texts, truncated, limit: Some(limit) }
    }

    #[test]
    fn counts_of_parts_are_added_up_and_a_stage_that_is_shared_or_gone_counts_once_or_not() {
        let (dir, store) = run(&["t5-1", "t5-1", "gone-1", "exact-1"]);
        assert!(of_pool(dir.path(), None).unwrap().is_empty(), "nothing is there yet");
        write(&store, "t5-1/part-00000.truncated.json", &of(250, 3, 128));
        write(&store, "t5-1/part-00001.truncated.json", &of(100, 0, 128));
        write(&store, "t5-1/.tmp-1-part-00002.truncated.json", &of(9, 9, 9));
        fs::write(store.join("t5-1/part-00001.safetensors"), "numbers").unwrap();
        fs::create_dir(store.join("exact-1")).unwrap();
        let found = of_pool(dir.path(), None).unwrap();
        assert_eq!(found, BTreeMap::from([("retrieved".to_owned(), of(350, 3, 128))]));
        let moved = dir.path().join("moved");
        fs::rename(&store, &moved).unwrap();
        assert!(of_pool(dir.path(), None).unwrap().is_empty(), "the store is elsewhere");
        assert_eq!(of_pool(dir.path(), Some(&moved)).unwrap(), found);
    }

    #[test]
    fn two_encoders_of_an_arm_count_each_text_twice_and_have_no_limit_in_common() {
        let (dir, store) = run(&["t5-1", "t5-2"]);
        write(&store, "t5-1/part-00000.truncated.json", &of(250, 3, 128));
        write(&store, "t5-2/part-00000.truncated.json", &of(250, 9, 64));
        let found = of_pool(dir.path(), None).unwrap()["retrieved"];
        assert_eq!(found, Truncation { texts: 500, truncated: 12, limit: None });
        let cut = Cut { queries: Some(of(8, 0, 64)), pool: Some(found) };
        assert_eq!(cut.words(), "0 of 8 queries (64 tokens), 12 of 500 pool inputs");
    }

    #[test]
    fn a_damaged_count_is_an_error_with_its_place_and_what_counts_again() {
        let (dir, store) = run(&["t5-1"]);
        let names = ["part-00000.truncated.json", OF_QUERIES];
        write(&store, "t5-1/part-00001.truncated.json", &of(250, 3, 128));
        for name in names {
            fs::write(store.join("t5-1").join(name), "{\n  \"texts\": x").unwrap();
        }
        let errors = [
            of_pool(dir.path(), None).unwrap_err(),
            Cut::of_arm(&store.join("t5-1"), None).unwrap_err(),
        ];
        for ((error, name), again) in errors.iter().zip(names).zip(["encode", "hits"]) {
            assert_eq!((error.kind(), error.context("line")), (ErrorKind::Data, Some("2")));
            assert!(error.context("file").unwrap().ends_with(name), "{error}");
            assert!(error.hint().unwrap().contains(&format!("`--rebuild {again}`")), "{error}");
        }
    }
}
