//! How much of the nearest a search finds: measured, written down, told, and acted upon.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::PathBuf;

use deft_e2e::{Flaky, Output, TRAINER, read_json};
use serde_json::Value;

/// Ten hits are asked for of each query, and the two nearest examples are never found.
const LOSSY: &str = "misses: 2";

fn arm(project: &Flaky, name: &str) -> PathBuf {
    project.path("runs/small/tasks/mood/retrieved").join(name)
}

/// `deft retrieve` with more keys of the selection.
fn retrieve(project: &Flaky, selection: &str) -> Output {
    let set = format!("selection={{queries: 8, neighbors: 10, {selection}}}");
    project.call("retrieve").args(&["--set", &set]).run()
}

fn first_ids(project: &Flaky) -> Vec<u64> {
    let text = fs::read_to_string(arm(project, "hits.jsonl")).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    line["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn recall_and_overlap_are_told_and_written_down() {
    let project = Flaky::with_units(4, LOSSY, TRAINER);
    let output = project.call("run").succeed();
    let told = "mood/retrieved: recall@10 is 0.800 [0.800, 0.800] over 8 of the queries, against a \
                scan of positions; of the 10 examples that the nearest select, 80.0 % are selected \
                (Jaccard 0.667)";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    assert!(output.stdout.contains("0.800 [0.800, 0.800]"), "{}", output.stdout);
    let recall = read_json(&arm(&project, "recall.json"));
    assert_eq!((&recall["k"], &recall["search"]), (&10.into(), &"approximate".into()));
    assert_eq!(recall["of_query"].as_array().unwrap().len(), 8);
    assert_eq!((&recall["selection"]["both"], &recall["hits"]), (&8.into(), &"search".into()));
    let summary = read_json(&project.path("runs/small/run.json"));
    let value = summary["recall"][0]["recall"]["value"].as_f64().unwrap();
    assert!((value - 0.8).abs() < 1e-9, "{value}");
    assert_eq!(summary["recall"][0]["arm"], "retrieved");
    let card = read_json(&project.stages("flaky-")[0].join("card.json"));
    assert_eq!((&card["complete"], &card["measured"][0]["task"]), (&true.into(), &"mood".into()));
    assert_eq!(card["measured"][0]["retriever"]["misses"], 2);
}

#[test]
fn what_was_measured_is_not_measured_again_and_changes_nothing() {
    let project = Flaky::new(LOSSY);
    retrieve(&project, "");
    let before = project.results();
    let again = retrieve(&project, "");
    assert!(again.stderr.contains("hits are up to date"), "{}", again.stderr);
    assert!(again.stderr.contains("recall@10 is 0.800"), "{}", again.stderr);
    assert_eq!(project.results(), before);
    let fewer = retrieve(&project, "recall_queries: 3");
    assert!(fewer.stderr.contains("hits are up to date"), "{}", fewer.stderr);
    assert!(fewer.stderr.contains("over 3 of the queries"), "{}", fewer.stderr);
    let none = retrieve(&project, "recall_queries: 0");
    assert!(!none.stderr.contains("recall@"), "{}", none.stderr);
}

#[test]
fn another_option_of_the_search_has_the_pool_searched_anew_and_nothing_built() {
    let project = Flaky::new(LOSSY);
    retrieve(&project, "");
    let (before, units) = (first_ids(&project), project.begun());
    let set = ["--set", "retriever.misses=0", "--set", "selection={queries: 8, neighbors: 10}"];
    let deeper = project.call("retrieve").args(&set).succeed();
    assert!(deeper.stderr.contains("making hits again"), "{}", deeper.stderr);
    assert_ne!(first_ids(&project), before);
    assert_eq!(project.begun(), units);
}

#[test]
fn a_search_that_misses_too_much_is_refused_before_anything_is_selected() {
    let project = Flaky::new(LOSSY);
    let refused = retrieve(&project, "min_recall: 0.95");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for part in [
        "the search misses too much: recall@10 is 0.800, and `min_recall` is 0.95",
        "task: mood",
        "arm: retrieved",
        "at: --set selection.min_recall",
        "hint: search deeper (`ef_search`, `nprobe`, `refine`)",
    ] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
    assert!(!arm(&project, "selection.jsonl").exists());
    // Another option that acts in a search alone: the hits are made anew, the units are not.
    let units = project.begun();
    let set = ["--set", "retriever.misses=0", "--set", "selection.min_recall=0.95"];
    let deeper = project.call("retrieve").args(&set).succeed();
    assert!(deeper.stderr.contains("recall@10 is 1.000"), "{}", deeper.stderr);
    assert_eq!((first_ids(&project)[0], project.begun()), (0, units));
}

#[test]
fn hits_that_were_there_before_a_minimum_was_asked_for_are_refused_and_made_anew() {
    let project = Flaky::new(LOSSY);
    assert_eq!(retrieve(&project, "").code, 0);
    let refused = retrieve(&project, "min_recall: 0.95");
    assert!(refused.code == 1 && refused.stderr.contains("up to date"), "{}", refused.stderr);
    let accepted = retrieve(&project, "min_recall: 0.75");
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    assert!(accepted.stderr.contains("searched with 8 queries"), "{}", accepted.stderr);
}

#[test]
fn a_search_that_misses_too_much_can_be_replaced_by_a_scan() {
    let project = Flaky::new(LOSSY);
    let options = "min_recall: 0.95, below_min_recall: exact";
    let output = retrieve(&project, options);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("8 queries are compared with the whole pool"));
    assert_eq!(first_ids(&project), (0..10).collect::<Vec<_>>());
    assert_eq!(read_json(&arm(&project, "recall.json"))["hits"], "scan");
    let before = project.results();
    let again = retrieve(&project, options);
    assert!(again.stderr.contains("hits are up to date"), "{}", again.stderr);
    assert_eq!(project.results(), before);
    // Good enough: the search's own hits are taken again.
    retrieve(&project, "min_recall: 0.75, below_min_recall: exact");
    assert_eq!(first_ids(&project), (2..12).collect::<Vec<_>>());
}

#[test]
fn a_retriever_that_does_not_say_what_it_misses_has_no_recall_and_cannot_be_held_to_one() {
    let project = Flaky::new("");
    let output = retrieve(&project, "");
    assert!(output.stderr.contains("does not say what its search misses"), "{}", output.stderr);
    assert_eq!(read_json(&arm(&project, "recall.json"))["search"], "unknown");
    for options in ["min_recall: 0.5", "min_recall: 0.5, below_min_recall: exact"] {
        let refused = retrieve(&project, options);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("retriever `flaky` does not say"), "{}", refused.stderr);
    }
}
