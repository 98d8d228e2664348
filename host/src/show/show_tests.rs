use serde_json::json;

use super::*;

const MANIFEST: &str = "\
# As run.
version: 1
tasks:
  - { name: rte, reader: { use: p3 } }
arms:
  retrieved: {}
  random: { selection: { policy: random } }
  none: { trainer: none }
";

/// A run's folder with two selections, as a run leaves it, but for its pool.
fn run() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "manifest.yaml", MANIFEST);
    write(&dir, "run.json", "{\"pool\": \"/nowhere/pool-0123456789abcdef\"}");
    let line = |id: u64, dataset: &str, frequency: Option<u32>| {
        let input = format!("say {}", id % 3);
        json!({
            "input": input, "target": "yes", "dataset": dataset, "template": "t",
            "index_id": id, "attribution_frequency": frequency, "score": 0.5, "rank": 1,
        })
    };
    let retrieved = [line(1, "a", Some(2)), line(4, "a", Some(9)), line(5, "b", Some(1))];
    write(&dir, "tasks/rte/retrieved/selection.jsonl", &lines(&retrieved));
    write(
        &dir,
        "tasks/rte/random/selection.jsonl",
        &lines(&[line(4, "a", None), line(8, "c", None)]),
    );
    let hits = json!({"query": 3, "ids": [4, 1], "scores": [0.5, 0.25]});
    let none = json!({"query": 0, "ids": [], "scores": []});
    write(&dir, "tasks/rte/retrieved/hits.jsonl", &lines(&[hits, none]));
    dir
}

fn write(dir: &tempfile::TempDir, name: &str, content: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn lines(values: &[Value]) -> String {
    values.iter().flat_map(|value| [value.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn arms_come_in_the_manifests_order_with_what_they_left() {
    let dir = run();
    let shown = show(dir.path(), None).unwrap();
    let [task] = &shown.tasks[..] else { panic!("{shown:?}") };
    let arms: Vec<&str> = task.arms.iter().map(|arm| arm.arm.as_str()).collect();
    assert_eq!(arms, ["retrieved", "random", "none"]);
    let mix = task.arms[0].selection.as_ref().unwrap();
    assert_eq!((mix.examples, mix.repeated_inputs), (3, 1));
    assert_eq!((mix.datasets[0].dataset.as_str(), mix.datasets[0].part.examples), ("a", 2));
    assert_eq!(mix.most_selected[0].index_id, 4);
    assert_eq!(task.overlap.len(), 1);
    assert_eq!(task.overlap[0].jaccard, 0.25);
    assert_eq!(task.arms[0].queries.as_ref().unwrap().without_near[0].query, 0);
    assert!(task.arms[2].selection.is_none() && task.arms[1].queries.is_none());
}

#[test]
fn without_its_pool_a_run_is_shown_without_shares_and_says_so() {
    let dir = run();
    let shown = show(dir.path(), None).unwrap();
    assert_eq!(shown.pool, None);
    assert_eq!(shown.tasks[0].arms[0].selection.as_ref().unwrap().datasets[0].part.ratio, None);
    assert!(shown.notes[0].contains("pool-0123456789abcdef"), "{:?}", shown.notes);
    let text = describe(&shown);
    let lines: Vec<&str> = text.lines().take(2).collect();
    assert!(lines[0].ends_with(": selected from a pool that is not known here"), "{text}");
    let pool = "note: the pool /nowhere/pool-0123456789abcdef is not there any more";
    assert!(lines[1].starts_with(pool) && lines[1].contains("--store"), "{text}");
    assert_eq!(text.matches("note: ").count(), 1, "once:\n{text}");
    assert!(!text.contains("ratio"), "a column that nothing is in:\n{text}");
    fs::remove_file(dir.path().join("run.json")).unwrap();
    let notes = show(dir.path(), None).unwrap().notes;
    assert!(notes[0].starts_with("neither run.json nor stages.json"), "{notes:?}");
}

#[test]
fn a_store_without_the_runs_pool_is_refused_with_the_pools_name() {
    let (dir, store) = (run(), tempfile::tempdir().unwrap());
    let error = show(dir.path(), Some(store.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert_eq!(error.context("pool"), Some("pool-0123456789abcdef"));
    assert!(error.hint().unwrap().contains("without --store"), "{error}");
}

#[test]
fn a_damaged_file_beside_a_selection_is_an_error_and_not_as_if_it_were_missing() {
    for name in [
        "run.json",
        "tasks/rte/retrieved/selection.json",
        "tasks/rte/retrieved/recall.json",
        "tasks/rte/random/seed-1/metrics.json",
    ] {
        let dir = run();
        write(&dir, name, "{\n  \"policy\": ");
        let error = show(dir.path(), None).unwrap_err();
        assert_eq!((error.kind(), error.context("line")), (ErrorKind::Data, Some("2")), "{name}");
        assert!(error.message().starts_with("the file is damaged: EOF"), "{error}");
        assert!(error.context("file").unwrap().ends_with(name), "{error}");
        assert_eq!(error.hint(), Some("remove the file: the next `deft run` makes it again"));
    }
    let dir = run();
    write(&dir, "tasks/rte/retrieved/selection.json", "3");
    assert!(show(dir.path(), None).unwrap_err().message().contains("expected a map"));
}

#[test]
fn what_columns_mean_is_told_once_before_the_first_of_them() {
    let text = describe(&show(run().path(), None).unwrap());
    for meaning in ["repeated: examples whose input", "far: queries without near neighbours\n"] {
        assert_eq!(text.matches(meaning).count(), 1, "{meaning}\n{text}");
        assert!(text.find(meaning) < text.find("task rte"), "{text}");
    }
    assert!(!text.contains("recall"), "what is not there needs no meaning:\n{text}");
}

#[test]
fn the_bound_of_low_scores_is_told_where_a_score_is_low() {
    let dir = run();
    let hits = |query: usize, score: f64| json!({"query": query, "ids": [4], "scores": [score]});
    let mut found: Vec<Value> = (0..9_u8).map(|i| hits(i.into(), 20.0 + f64::from(i))).collect();
    let path = "tasks/rte/retrieved/hits.jsonl";
    write(&dir, path, &lines(&found));
    assert!(!describe(&show(dir.path(), None).unwrap()).contains("is low"), "all are near");
    found.push(hits(9, 0.5));
    write(&dir, path, &lines(&found));
    let text = describe(&show(dir.path(), None).unwrap());
    let line = "retrieved: queries without near neighbours (1); a best score below ";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("9      1     0.500       low score"), "{text}");
}

#[test]
fn what_selection_found_is_counted_and_told() {
    let dir = run();
    let summary = json!({"policy": "union", "size": 3, "dropped": {"near_duplicate": 5, "cap": 0}});
    write(&dir, "tasks/rte/retrieved/selection.json", &summary.to_string());
    let found = |evaluation: usize, kind: &str| {
        json!({
            "id": 7, "dataset": "a", "template": "t", "evaluation": evaluation, "kind": kind,
            "share": 0.75, "span": "some words",
        })
    };
    let found = [found(3, "exact"), found(3, "ngram"), found(1, "ngram")];
    write(&dir, "tasks/rte/retrieved/contamination.jsonl", &lines(&found));
    let metrics = json!({
        "task": "rte", "seed": 2, "trained_on": 3,
        "metrics": [{"name": "accuracy_sum", "value": 0.5, "low": 0.4, "high": 0.6}],
    });
    write(&dir, "tasks/rte/retrieved/seed-2/metrics.json", &metrics.to_string());
    let shown = show(dir.path(), None).unwrap();
    let counted = shown.tasks[0].arms[0].contamination.clone().unwrap();
    assert_eq!((counted.examples, counted.exact, counted.ngram), (3, 1, 2));
    assert_eq!((counted.evaluations, counted.datasets["a"]), (2, 3));
    let text = describe(&shown);
    let row = text.lines().find(|line| line.starts_with("retrieved ")).unwrap();
    let cells: Vec<&str> = row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    let wanted = [
        "retrieved",
        "union",
        "3",
        "2",
        "2",
        "1",
        "near duplicate 5",
        "3 (1 exact)",
        "2",
        "1",
        "0.500",
    ];
    assert_eq!(cells, wanted, "{text}");
}

#[test]
fn what_was_cut_is_told_of_the_arms_of_which_it_is_known() {
    let dir = run();
    let shown = show(dir.path(), None).unwrap();
    assert!(shown.tasks[0].arms.iter().all(|arm| arm.truncation.is_none()));
    assert!(!describe(&shown).contains("cut: "), "{shown:?}");
    let counted = |texts: u64, truncated: u64, limit: Option<u64>| {
        json!({"queries": 8, "texts": texts, "truncated": truncated, "limit": limit}).to_string()
    };
    write(&dir, "tasks/rte/retrieved/queries.json", &counted(8, 3, None));
    write(&dir, "t5-1/part-00000.truncated.json", &counted(250, 0, Some(128)));
    let place = json!({"phase": "encode", "dir": dir.path().join("t5-1")});
    write(&dir, "stages.json", &json!({"arms": {"retrieved": [place]}}).to_string());
    let shown = show(dir.path(), None).unwrap();
    let arms = serde_json::to_value(&shown).unwrap()["tasks"][0]["arms"].clone();
    let wanted = json!({
        "queries": {"texts": 8, "truncated": 3, "limit": null},
        "pool": {"texts": 250, "truncated": 0, "limit": 128},
    });
    assert_eq!(arms[0]["truncation"], wanted);
    assert_eq!(arms[1].get("truncation"), None);
    let text = describe(&shown);
    let line = "\nretrieved: cut: 3 of 8 queries, 0 of 250 pool inputs (128 tokens)\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn folders_of_arms_that_the_manifest_has_no_more_are_left_out() {
    let dir = run();
    write(&dir, "tasks/rte/older/selection.jsonl", "");
    let shown = show(dir.path(), None).unwrap();
    assert_eq!(shown.tasks[0].arms.len(), 3);
    assert!(shown.notes.iter().any(|note| note.starts_with("older in ")), "{:?}", shown.notes);
}

#[test]
fn what_is_no_run_or_has_no_selection_or_is_damaged_is_told_with_the_remedy() {
    let dir = run();
    let error = show(&dir.path().join("tasks"), None).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Options, "this is no folder of a run"));
    assert!(error.hint().unwrap().contains("runs/NAME"));
    write(&dir, "tasks/rte/random/selection.jsonl", "{\"input\": \"a\"}\n");
    let error = show(dir.path(), None).unwrap_err();
    assert_eq!((error.kind(), error.context("line")), (ErrorKind::Data, Some("1")));
    assert!(error.to_string().contains("missing field `index_id`"), "{error}");
    fs::remove_dir_all(dir.path().join("tasks")).unwrap();
    let error = show(dir.path(), None).unwrap_err();
    assert_eq!(error.message(), "nothing has been selected in this run yet");
    write(&dir, "manifest.yaml", "tasks: 3");
    let error = show(dir.path(), None).unwrap_err();
    assert!(error.message().starts_with("this is no manifest.yaml of a run"), "{error}");
}

#[test]
fn the_matrix_has_every_arm_by_every_arm() {
    let pair = |one: &str, other: &str, jaccard: f64| ArmOverlap {
        arms: [one.to_owned(), other.to_owned()],
        both: 1,
        jaccard,
    };
    let mut shown = show(run().path(), None).unwrap();
    shown.tasks[0].overlap = vec![pair("a", "b", 0.5), pair("a", "c", 0.25), pair("b", "c", 0.125)];
    let text = describe(&shown);
    let wanted =
        "   a      b      c\na  1      0.500  0.250\nb  0.500  1      0.125\nc  0.250  0.125  1\n";
    assert!(text.contains(wanted), "{text}");
}
