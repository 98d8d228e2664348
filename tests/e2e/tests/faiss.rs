//! The index `faiss` in a manifest: from the pool to a selection, and what goes wrong on the way.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deft_e2e::{Deft, Project, Texts, assert_same_results, examples_dir, fails, large_manifest};
use serde_json::Value;

/// Two units of the index.
const ROWS: usize = 3000;

const RETRIEVER: &str = "{ use: dense, rows_per_unit: 1500, encoder: { use: hash, dimension: 64 }, \
                         index: { use: faiss, factory: auto } }";

const REMEDY: &str = "hint: remove the index's folder: the next run builds it again";

fn project() -> Project {
    let project = Project::with_pool(0);
    write_pool(&project, 1);
    Texts::Generated.write(&project.path("queries.jsonl"), ROWS..ROWS + 20, 1);
    let manifest = large_manifest(RETRIEVER, 500).replace("neighbors: 500", "neighbors: 10");
    project.write("manifest.yaml", &manifest);
    project
}

fn write_pool(project: &Project, seed: u64) {
    Texts::Generated.write(&project.path("pool.jsonl"), 0..ROWS, seed);
}

fn call(project: &Project, command: &str) -> Deft {
    project.deft(command).arg("--plugin-dir").arg(examples_dir())
}

/// The folders of index units in the store; the codec's has another name.
fn indexes(project: &Project) -> Vec<PathBuf> {
    let is_codec = |path: &PathBuf| path.to_string_lossy().contains("/faiss-codec-");
    let mut found = project.stages("faiss-");
    found.retain(|path| !is_codec(path));
    found
}

fn arm(project: &Project, run: &str) -> PathBuf {
    project.path("runs").join(run).join("tasks/mood/retrieved")
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn selected(project: &Project, run: &str) -> BTreeSet<u64> {
    let lines = json_lines(&arm(project, run).join("selection.jsonl"));
    lines.iter().map(|line| line["index_id"].as_u64().unwrap()).collect()
}

fn recall(project: &Project, run: &str) -> Value {
    serde_json::from_slice(&fs::read(arm(project, run).join("recall.json")).unwrap()).unwrap()
}

#[test]
fn a_pool_is_indexed_in_units_searched_and_held_against_a_scan() {
    let project = project();
    let output = call(&project, "run").succeed();
    for part in [
        "train (faiss-codec-",
        "2 of 2 units to do",
        "faiss: factory `PQ32x4fs`: 1500 rows of 64 components",
        "mood/retrieved: recall@10 is ",
        "over 20 of the queries, against a scan of f16 vectors; of the ",
        " % are selected (Jaccard ",
    ] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
    let recall = recall(&project, "small");
    assert_eq!((&recall["search"], &recall["k"]), (&"approximate".into(), &10.into()));
    assert!(recall["recall"]["value"].as_f64().unwrap() > 0.8, "{recall}");
    let first = &json_lines(&arm(&project, "small").join("hits.jsonl"))[0];
    assert_eq!(first["ids"].as_array().unwrap().len(), 10);
    assert!(selected(&project, "small").len() > 10);
}

#[test]
fn the_overlap_that_is_told_is_that_with_the_selection_of_the_exact_index() {
    let project = project();
    call(&project, "run").succeed();
    let other = project.path("runs/exact");
    let exact = call(&project, "run").args(&["--set", "retriever.index=exact", "--run"]).arg(other);
    let stderr = exact.succeed().stderr;
    assert!(stderr.contains("the search is exact: it misses nothing"), "{stderr}");
    assert!(!stderr.contains("encode ("), "the vectors are those of before:\n{stderr}");
    let (found, nearest) = (selected(&project, "small"), selected(&project, "exact"));
    // All queries were measured, so that the overlap is that of the whole selections.
    let told = &recall(&project, "small")["selection"];
    assert_eq!(told["selected"], found.len());
    assert_eq!(told["nearest"], nearest.len());
    assert_eq!(told["both"], found.intersection(&nearest).count());
}

#[test]
fn threads_and_workers_change_no_byte() {
    let left = [["--threads", "1"], ["--threads", "2"], ["--workers", "2"]].map(|arguments| {
        let project = project();
        call(&project, "run").args(&arguments).succeed();
        project.stable_results()
    });
    for other in &left[1..] {
        assert_same_results(other, &left[0], "otherwise divided");
    }
}

#[test]
fn more_neighbors_than_there_are_rows_are_all_rows() {
    let project = project();
    call(&project, "run").args(&["--set", "selection.neighbors=5000"]).succeed();
    for line in json_lines(&arm(&project, "small").join("hits.jsonl")) {
        let ids: BTreeSet<_> = line["ids"].as_array().unwrap().iter().map(Value::as_u64).collect();
        assert_eq!(ids.len(), ROWS);
    }
    assert_eq!(selected(&project, "small").len(), ROWS);
}

/// What may lie in the place of an index file, and what is said of it.
fn damages(whole: &[u8], other: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        "4d7a2146".repeat(8),
        whole.len()
    );
    let mut numpy =
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (90, 64), }\n"
            .to_vec();
    numpy.resize(whole.len(), 0);
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    let (cut, damaged) = ("the index file is not whole", "the index file is damaged: its checksum");
    vec![
        ("cut short", whole[..whole.len() / 2].to_vec(), cut),
        ("empty", Vec::new(), cut),
        ("a pointer of Git LFS", pointer.into_bytes(), "is a Git LFS pointer"),
        ("a file of NumPy", numpy, "is a NumPy array"),
        ("one bit", flipped, damaged),
        ("the other unit's index", other.to_vec(), damaged),
    ]
}

#[test]
fn a_damaged_index_file_is_named_with_the_remedy_and_nothing_else_is_lost() {
    let undisturbed = project();
    call(&undisturbed, "run").succeed();
    let expected = undisturbed.stable_results();

    let project = project();
    call(&project, "index").succeed();
    let index = indexes(&project).remove(0);
    let file = |unit: &str| index.join(unit).join("index.faiss");
    let whole = fs::read(file("part-00000")).unwrap();
    let other = fs::read(file("part-00001")).unwrap();
    for (what, bytes, says) in damages(&whole, &other) {
        fs::write(file("part-00000"), bytes).unwrap();
        let place = "part-00000/index.faiss";
        fails(&project, &[], 1, &[says, place, "component: index faiss", REMEDY]);
        fs::remove_dir_all(&index).unwrap();
        let again = call(&project, "run").succeed();
        assert!(!again.stderr.contains("encode ("), "{what}:\n{}", again.stderr);
        assert_same_results(&project.stable_results(), &expected, what);
        fs::remove_dir_all(project.path("runs/small")).unwrap();
    }
}

/// Puts one unit's files in another's place.
fn copy_unit(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_unit_that_was_copied_from_elsewhere_is_refused() {
    let project = project();
    call(&project, "index").succeed();
    let first = indexes(&project).remove(0);
    write_pool(&project, 2);
    call(&project, "index").succeed();
    let second = indexes(&project).into_iter().find(|path| *path != first).unwrap();
    let says = ["the index was built from other vectors", "rows: 0..1500", REMEDY];
    // Of another pool with as many rows, and of other rows of this one.
    for from in [first.join("part-00000"), second.join("part-00001")] {
        copy_unit(&from, &second.join("part-00000"));
        fails(&project, &[], 1, &says);
    }
    fs::remove_dir_all(&second).unwrap();
    call(&project, "run").succeed();
}

#[test]
fn a_factory_with_a_typo_is_shown_with_what_faiss_says_and_costs_no_vectors() {
    let project = project();
    for (factory, says) in [
        ("HSNW32,PQ8", "FAISS says: could not parse index string"),
        ("PQ7", "should be a multiple of the number of subquantizers"),
    ] {
        let set = format!("retriever.index.factory={factory}");
        let named = format!("factory: {factory}");
        let parts =
            ["FAISS cannot make this index", named.as_str(), says, "hint: look at the spelling"];
        fails(&project, &["--set", &set], 2, &parts);
    }
    let misspelt = ["unknown option `factroy`", "did you mean `factory`?"];
    fails(&project, &["--set", "retriever.index.factroy=Flat"], 2, &misspelt);
    // All of this was seen before anything was encoded.
    let output = call(&project, "run").succeed();
    let encodes = output.stderr.lines().find(|line| line.starts_with("encode ("));
    assert!(encodes.is_some_and(|line| line.ends_with("6 of 6 units to do")), "{}", output.stderr);
}
