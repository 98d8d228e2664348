//! `deft show`: what a run selected, and from what.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::HashSet;
use std::fs;

use deft_e2e::{Deft, Project, RETRIEVER_BM25};
use serde_json::{Value, json};

fn show(project: &Project) -> Deft {
    Deft::new(&["show"]).arg(project.path("runs/small"))
}

fn show_json(project: &Project) -> Value {
    let text = show(project).arg("--json").succeed().stdout;
    serde_json::from_str(&text).unwrap()
}

/// The lines of a file of the run.
fn lines(project: &Project, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(project.path("runs/small/tasks/mood").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A retriever whose encoder reads few tokens.
const RETRIEVER_CUT: &str = "\
retriever:
  use: dense
  encoder: { use: t5, model: model, init: random, max_tokens: 8, max_query_tokens: 7 }
  index: exact
";

/// Of lines with inputs, how many have more tokens than this: a word is one here, and the text's end.
fn longer<'a>(lines: impl Iterator<Item = &'a str>, limit: usize) -> usize {
    let tokens = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["input"].as_str().unwrap().split_whitespace().count() + 1
    };
    lines.filter(|line| tokens(line) > limit).count()
}

fn retrieved() -> Project {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    project.deft("retrieve").succeed();
    project
}

#[test]
fn show_counts_what_the_run_has_written() {
    let project = retrieved();
    let shown = show_json(&project);
    assert_eq!(shown["pool"]["examples"], 1000);
    assert_eq!(shown["pool"]["datasets"]["mood"], 500);
    let task = &shown["tasks"][0];
    assert_eq!(task["task"], "mood");
    let names: Vec<&Value> =
        task["arms"].as_array().unwrap().iter().map(|arm| &arm["arm"]).collect();
    assert_eq!(names, ["retrieved", "random", "none"]);
    let mut ids: Vec<HashSet<u64>> = Vec::new();
    for (arm, name) in ["retrieved", "random"].into_iter().enumerate() {
        let selected = lines(&project, &format!("{name}/selection.jsonl"));
        let mix = &task["arms"][arm]["selection"];
        assert_eq!(mix["examples"], selected.len());
        let inputs: HashSet<&str> =
            selected.iter().map(|line| line["input"].as_str().unwrap()).collect();
        assert_eq!(mix["repeated_inputs"], selected.len() - inputs.len());
        for dataset in mix["datasets"].as_array().unwrap() {
            let of = |line: &&Value| line["dataset"] == dataset["dataset"];
            let count = selected.iter().filter(of).count();
            assert_eq!(dataset["examples"], count);
            assert_eq!(dataset["pool_share"], 0.5);
            let ratio = 2.0 * count as f64 / selected.len() as f64;
            assert!((dataset["ratio"].as_f64().unwrap() - ratio).abs() < 1e-12, "{dataset}");
        }
        ids.push(selected.iter().map(|line| line["index_id"].as_u64().unwrap()).collect());
    }
    let (both, either) = (ids[0].intersection(&ids[1]).count(), ids[0].union(&ids[1]).count());
    assert_eq!(task["overlap"][0]["both"], both);
    assert_eq!(task["overlap"][0]["jaccard"], both as f64 / either as f64);
    assert_eq!(task["arms"][0]["queries"]["queries"], 8);
    let most = &task["arms"][0]["selection"]["most_selected"][0];
    let frequencies = lines(&project, "retrieved/selection.jsonl");
    let frequencies = frequencies.iter().map(|line| line["attribution_frequency"].as_u64());
    assert_eq!(most["attribution_frequency"].as_u64(), frequencies.max().unwrap());
    assert_eq!(task["arms"][2].get("selection"), None, "an arm that trains on nothing");
}

#[test]
fn the_tables_name_tasks_arms_and_data_sets_and_nothing_is_changed() {
    let project = retrieved();
    let before = project.results();
    let text = show(&project).succeed().stdout;
    for part in
        ["pool of 1000 examples, data sets: 2", "\ntask mood\n", "overlap of the selections"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let header = text.lines().find(|line| line.starts_with("data set ")).unwrap();
    assert!(header.contains("pool") && header.contains("ratio"), "{text}");
    deft_e2e::assert_same_results(&project.results(), &before, "after `deft show`");
}

#[test]
fn without_its_store_a_run_is_shown_without_shares_of_the_pool() {
    let project = retrieved();
    fs::remove_dir_all(project.path("runs/.store")).unwrap();
    let shown = show_json(&project);
    assert_eq!(shown.get("pool"), None);
    assert!(shown["notes"][0].as_str().unwrap().contains("shares of the pool are left out"));
    let text = show(&project).succeed().stdout;
    let header: Vec<&str> = text.lines().take(2).collect();
    assert!(header[0].ends_with("a pool that is not known here"), "{text}");
    assert!(header[1].starts_with("note: ") && header[1].contains("--store"), "{text}");
    let dataset = &shown["tasks"][0]["arms"][0]["selection"]["datasets"][0];
    assert!(dataset["share"].is_f64() && dataset.get("ratio").is_none(), "{dataset}");
}

#[test]
fn a_store_that_was_moved_is_named_and_has_the_shares_of_the_pool() {
    let project = retrieved();
    let before = show(&project).succeed().stdout;
    fs::rename(project.path("runs/.store"), project.path("moved")).unwrap();
    let moved = show(&project).arg("--store").arg(project.path("moved"));
    assert_eq!(moved.succeed().stdout, before);
    let wrong = show(&project).arg("--store").arg(project.path("runs")).run();
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    assert!(wrong.stderr.contains("the run's pool is not in this store"), "{}", wrong.stderr);
}

#[test]
fn a_damaged_summary_of_a_selection_is_told_with_file_and_place_and_made_again() {
    let project = retrieved();
    let path = project.path("runs/small/tasks/mood/retrieved/selection.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let damaged = show(&project).run();
    assert_eq!((damaged.code, damaged.stdout.as_str()), (1, ""));
    for part in ["the file is damaged: ", "retrieved/selection.json, line: ", "hint: remove"] {
        assert!(damaged.stderr.contains(part), "no «{part}» in:\n{}", damaged.stderr);
    }
    fs::remove_file(&path).unwrap();
    project.deft("retrieve").succeed();
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    show(&project).succeed();
}

#[test]
fn what_the_encoder_cut_of_queries_and_pool_is_told_and_kept_by_reruns() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_CUT]);
    project.deft("retrieve").args(&["--workers", "2"]).succeed();
    let [pool, queries] =
        ["pool.jsonl", "queries.jsonl"].map(|name| fs::read_to_string(project.path(name)).unwrap());
    let queries: Vec<&str> = queries.lines().collect();
    let hits = lines(&project, "retrieved/hits.jsonl");
    let number = |hits: &Value| usize::try_from(hits["query"].as_u64().unwrap()).unwrap();
    let of_queries = longer(hits.iter().map(|hits| queries[number(hits)]), 7);
    let of_pool = longer(pool.lines(), 8);
    assert!(of_queries > 0 && (1..1000).contains(&of_pool), "{of_queries} and {of_pool} are cut");

    let wanted = json!({
        "queries": {"texts": 8, "truncated": of_queries, "limit": 7},
        "pool": {"texts": 1000, "truncated": of_pool, "limit": 8},
    });
    let truncation = || show_json(&project)["tasks"][0]["arms"][0]["truncation"].clone();
    assert_eq!(truncation(), wanted);
    let text = show(&project).succeed().stdout;
    let line = format!(
        "\nretrieved: cut: {of_queries} of 8 queries (7 tokens), {of_pool} of 1000 pool inputs \
         (8 tokens)\n"
    );
    assert!(text.contains(&line), "no «{line}» in:\n{text}");
    let reruns: [&[&str]; 3] = [&[], &["--set", "selection.neighbors=5"], &["--rebuild", "encode"]];
    for again in reruns {
        project.deft("retrieve").args(again).succeed();
        assert_eq!(truncation(), wanted, "{again:?}");
    }

    fs::rename(project.path("runs/.store"), project.path("moved")).unwrap();
    assert_eq!(truncation(), json!({"queries": wanted["queries"]}));
    let moved = show(&project).arg("--store").arg(project.path("moved")).succeed().stdout;
    assert!(moved.contains(&line), "no «{line}» in:\n{moved}");
}

#[test]
fn another_search_leaves_no_count_of_the_queries_before_it() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_CUT]);
    project.deft("retrieve").succeed();
    let counted = project.path("runs/small/tasks/mood/retrieved/queries.json");
    assert!(counted.exists());
    // It has no encoder: nobody counts.
    project.deft("retrieve").args(&["--set", "retriever={use: bm25}"]).succeed();
    assert!(!counted.exists());
    assert_eq!(show_json(&project)["tasks"][0]["arms"][0].get("truncation"), None);
}

#[test]
fn what_cannot_be_shown_is_told_with_the_remedy() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let output = Deft::new(&["show"]).arg(project.path("manifest.yaml")).run();
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("this is no folder of a run"), "{}", output.stderr);
    assert!(output.stderr.contains("hint: a run's folder is"), "{}", output.stderr);
    // The manifest of the user is none of a run: it may lack `arms`.
    project.write("other/manifest.yaml", "tasks: [{name: mood}]\n");
    let output = Deft::new(&["show"]).arg(project.path("other")).run();
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("no manifest.yaml of a run"), "{}", output.stderr);
    assert!(output.stderr.contains("found: no `arms`"), "{}", output.stderr);
    project.deft("index").succeed();
    let output = show(&project).run();
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("nothing has been selected"), "{}", output.stderr);
    project.deft("retrieve").succeed();
    let path = project.path("runs/small/tasks/mood/retrieved/hits.jsonl");
    let hits = fs::read_to_string(&path).unwrap();
    fs::write(&path, &hits[..hits.len() - 5]).unwrap();
    let output = show(&project).run();
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("hits.jsonl, line: 8"), "{}", output.stderr);
}
