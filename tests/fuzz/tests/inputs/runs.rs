//! What a run leaves and reads again: cards of phases and outputs, `stages.json`, notes of failures,
//! locks.

use std::fs::{self, File};
use std::path::PathBuf;

use deft_fuzz::{Seed, fuzz, fuzz_some};
use deft_host::pipeline::status::{Status, status};
use deft_host::pipeline::{Run, RunOptions, Stage};
use deft_host::store::Store;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{handled, library};

/// Mutations where each is a run or two.
const RUNS: u32 = 100;

const MANIFEST: &str = "\
version: 1
name: r
plugins: [faulty]
rows_per_part: 4
pool: [{ reader: faulty, source: pool.txt }]
retriever: faulty
selection: { queries: 3, neighbors: 2 }
tasks: [{ name: t, reader: faulty, query_source: queries.txt }]
";

const WORDS: &[&str] = &[
    "\"fingerprint\":",
    "\"complete\":false,",
    "\"units\":",
    "18446744073709551615",
    "\"dir\":",
    "\"suffix\":",
    "\"retriever\":",
    "\"phase\":{",
    "\"hits\":",
    "\"selection\":",
    "\"error\":{",
    "\"kind\":\"cancelled\"",
    "\"context\":[[",
    "\"pid\":",
    "\"since\":",
    "\"progress\":[{",
    "\\u0000",
    "../",
    "/",
    "null",
    "[[[[",
    "{\"a\":",
    "1e400",
];

/// A run that is done, with three units, of components that need no time.
struct SmallRun(TempDir);

impl SmallRun {
    fn new() -> Self {
        let small = Self(tempfile::tempdir().expect("a folder"));
        let pool: Vec<String> = (0..10).map(|row| format!("text {row} of the pool\tyes")).collect();
        let (pool, queries) = (pool.join("\n"), "text 3\tno\npool 7\tno");
        for (name, text) in [("m.yaml", MANIFEST), ("pool.txt", &pool), ("queries.txt", queries)] {
            fs::write(small.path(name), text).expect("written");
        }
        assert!(small.run(), "the run is good");
        small
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Does what is missing; whether all went well.
    fn run(&self) -> bool {
        let plugins = library("faulty").parent().expect("a folder").to_owned();
        let options = RunOptions { plugin_dirs: vec![plugins], threads: 1, ..Default::default() };
        handled(Run::open(&self.path("m.yaml"), &[], &options))
            .and_then(|mut run| handled(run.execute(Stage::Retrieve)))
            .is_some()
    }

    /// How far the run is, as `deft status` says.
    fn status(&self) -> Status {
        let status = status(&self.path("m.yaml"), &[], None).expect("the manifest is good");
        serde_json::to_string(&status).expect("JSON");
        status
    }

    fn store(&self) -> PathBuf {
        self.path("runs/.store")
    }

    /// The stage with the three units.
    fn stage(&self) -> PathBuf {
        let entries = fs::read_dir(self.store()).expect("a store");
        let mut stages = entries.map(|entry| entry.expect("an entry").path());
        stages.find(|stage| stage.join("part-00002.json").is_file()).expect("a stage")
    }
}

fn name(stage: &std::path::Path) -> String {
    stage.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn mutated_cards_of_phases_are_believed_made_again_or_refused() {
    let small = SmallRun::new();
    let (stage, other) = (small.stage(), small.store().join("faulty-0000000000000000"));
    let card = stage.join("card.json");
    fs::create_dir(&other).expect("made");
    let seed = Seed::new(fs::read(&card).expect("a card"));
    fuzz_some(RUNS, "phase-card", &[seed], WORDS, |input| {
        fs::write(&card, input).expect("written");
        small.run();
        // As that of a stage that does not serve: it is compared with what is wanted now.
        fs::write(other.join("card.json"), input).expect("written");
        fs::remove_dir_all(&stage).expect("removed");
        assert!(small.run(), "what is not there is made");
    });
}

#[test]
fn mutated_cards_of_outputs_are_believed_or_outputs_made_again() {
    let small = SmallRun::new();
    let card = small.path("runs/r/tasks/t/retrieved/card.json");
    let seed = Seed::new(fs::read(&card).expect("a card"));
    fuzz_some(RUNS, "run-card", &[seed], WORDS, |input| {
        fs::write(&card, input).expect("written");
        assert!(small.run(), "what no card tells of is made again");
    });
}

#[test]
fn mutated_lists_of_stages_are_told_of_as_far_as_they_are_understood() {
    let small = SmallRun::new();
    let path = small.path("runs/r/stages.json");
    assert_eq!(small.status().phases.len(), 2);
    let seed = Seed::new(fs::read(&path).expect("a list"));
    fuzz("stages", &[seed], WORDS, |input| {
        fs::write(&path, input).expect("written");
        small.status();
    });
}

#[test]
fn mutated_notes_of_failures_are_told_of_or_left_out() {
    let small = SmallRun::new();
    let stage = small.stage();
    fs::remove_file(stage.join("part-00001.json")).expect("removed");
    fs::create_dir(small.path("runs/r/failed")).expect("made");
    let path = small.path("runs/r/failed").join(format!("{}-00001.json", name(&stage)));
    let note = json!({
        "stage": name(&stage), "unit": 1, "attempts": 3,
        "error": {
            "kind": "io", "message": "disk full", "context": [["path", "/x"], ["unit", "1"]],
            "causes": ["no space"], "option": null, "hint": "make room",
        },
    });
    fs::write(&path, note.to_string()).expect("written");
    assert_eq!(small.status().phases[0].failed.len(), 1);
    fuzz("failure", &[Seed::new(note.to_string())], WORDS, |input| {
        fs::write(&path, input).expect("written");
        assert!(small.status().phases[0].failed.len() <= 1);
    });
}

#[test]
fn mutated_locks_keep_nobody_out_and_are_told_of_as_far_as_they_are_understood() {
    let small = SmallRun::new();
    let (store, stage) = (Store::new(&small.store()), small.stage());
    let held = [small.path("runs/r/.lock-run"), stage.join(".lock-part-00001.json")];
    let lock = |path: &PathBuf| {
        let file = File::create(path).expect("made");
        file.lock().expect("nobody has it");
        file
    };
    let _locks = held.each_ref().map(lock);
    let holder = json!({
        "host": "h", "pid": 1, "doing": "parts", "since": 5,
        "progress": [{"label": "parts", "done": 1, "total": 3, "unit": "rows"}],
    });
    let write = |input: &[u8]| {
        for path in &held {
            fs::write(path, input).expect("written");
        }
    };
    write(holder.to_string().as_bytes());
    let seen = small.status();
    assert!(seen.working.is_some() && seen.phases[0].running.len() == 1, "{seen:?}");
    let free = stage.join(".lock-part-00002.json");
    fuzz("lock", &[Seed::new(holder.to_string())], WORDS, |input| {
        write(input);
        small.status();
        // Nobody holds this one: opening the stage removes it.
        fs::write(&free, input).expect("written");
        handled(store.stage("faulty", &name(&stage)["faulty-".len()..])).expect("a good stage");
        assert!(!free.exists());
    });
}
