//! Which examples are selected: policies, sizes, what is left out, and what is told of it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE};
use serde_json::Value;

/// Arms of every policy, each of 20 examples. The pool is of few words: most inputs come twice.
const ARMS: &str = "\
arms:
  union: { selection: { queries: 8, neighbors: 10, size: 20, contamination: keep } }
  turns: { selection: { policy: round_robin, queries: 8, neighbors: 10, size: 20, contamination: keep } }
  frequency: { selection: { policy: frequency, queries: 8, neighbors: 10, same_as: turns, contamination: keep } }
  score: { selection: { policy: top_score, queries: 8, neighbors: 10, same_as: turns, contamination: keep } }
  random: { selection: { policy: random, same_as: turns } }
  balanced: { selection: { policy: balanced, share: 0.02 } }
";

const HEAD: &str = "\
version: 1
name: chosen
seed: 5
plugins: [p3, t5, exact, dense, bm25]
pool:
  - { reader: p3, source: pool.jsonl }
tasks:
  - { name: mood, reader: p3, query_source: queries.jsonl, evaluation_source: evaluation.jsonl }
";

fn project(blocks: &[&str]) -> Project {
    let project = Project::new();
    project.write("manifest.yaml", &format!("{HEAD}{}", blocks.concat()));
    project
}

fn arm(project: &Project, arm: &str) -> PathBuf {
    project.path("runs/chosen/tasks/mood").join(arm)
}

fn lines(project: &Project, name: &str, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(arm(project, name).join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(project: &Project, name: &str) -> Vec<u64> {
    let lines = lines(project, name, "selection.jsonl");
    lines.iter().map(|line| line["index_id"].as_u64().unwrap()).collect()
}

fn summary(project: &Project, name: &str) -> Value {
    serde_json::from_slice(&fs::read(arm(project, name).join("selection.json")).unwrap()).unwrap()
}

/// The hits of every query: ids with their scores, best first.
fn hits(project: &Project, name: &str) -> Vec<Vec<(u64, f64)>> {
    let of_line = |line: &Value| {
        let numbers = |key: &str| line[key].as_array().unwrap().clone();
        let pairs = numbers("ids").into_iter().zip(numbers("scores"));
        pairs.map(|(id, score)| (id.as_u64().unwrap(), score.as_f64().unwrap())).collect()
    };
    lines(project, name, "hits.jsonl").iter().map(of_line).collect()
}

#[test]
fn policies_select_by_their_rules_and_arms_are_of_equal_size() {
    let project = project(&[RETRIEVER_BM25, ARMS]);
    project.deft("retrieve").succeed();
    for name in ["turns", "frequency", "score", "random", "balanced"] {
        let ids = ids(&project, name);
        assert_eq!(ids.len(), 20, "{name}");
        assert!(ids.is_sorted(), "{name} is in pool order");
        assert_eq!(summary(&project, name)["size"], 20);
        let text = fs::read_to_string(arm(&project, name).join("selection.ids")).unwrap();
        let plain: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(plain, ids, "{name}");
    }
    assert!(ids(&project, "union").len() <= 20);
    // Those of the best scores, counted again from the hits.
    let mut best: BTreeMap<u64, f64> = BTreeMap::new();
    for (id, score) in hits(&project, "score").into_iter().flatten() {
        let known = best.entry(id).or_insert(score);
        *known = known.max(score);
    }
    let mut order: Vec<(u64, f64)> = best.into_iter().collect();
    order.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
    let wanted: BTreeSet<u64> = order.iter().take(20).map(|(id, _)| *id).collect();
    assert_eq!(ids(&project, "score").into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn fewer_neighbors_are_taken_from_the_hits_that_are_there() {
    let project = project(&[
        RETRIEVER_BM25,
        "selection: { queries: 8, neighbors: 10, contamination: keep }\n",
    ]);
    project.deft("retrieve").succeed();
    let ten = ids(&project, "retrieved");
    let fewer = project.deft("retrieve").args(&["--set", "selection.neighbors=3"]).succeed();
    assert!(fewer.stderr.contains("hits are up to date"), "{}", fewer.stderr);
    let three: BTreeSet<u64> =
        hits(&project, "retrieved").iter().flat_map(|hits| &hits[..3]).map(|hit| hit.0).collect();
    assert_eq!(ids(&project, "retrieved").into_iter().collect::<BTreeSet<_>>(), three);
    let more = project.deft("retrieve").args(&["--set", "selection.neighbors=12"]).succeed();
    assert!(!more.stderr.contains("hits are up to date"), "{}", more.stderr);
    assert!(ids(&project, "retrieved").len() > ten.len());
}

#[test]
fn a_coreset_is_drawn_of_vectors_and_refused_without() {
    let arms =
        "arms: { far: { selection: { policy: coreset, queries: 8, neighbors: 10, size: 7 } } }\n";
    let project = self::project(&[RETRIEVER_DENSE, arms]);
    project.deft("retrieve").succeed();
    let drawn = ids(&project, "far");
    let found: BTreeSet<u64> =
        hits(&project, "far").into_iter().flatten().map(|hit| hit.0).collect();
    assert_eq!(drawn.len(), 7);
    assert!(drawn.iter().all(|id| found.contains(id)));
    let project = self::project(&[RETRIEVER_BM25, arms]);
    let none = RETRIEVER_DENSE.replace("use: dense\n", "use: dense\n  vectors: none\n");
    let no_vectors = self::project(&[&none, arms]);
    for project in [project, no_vectors] {
        for command in ["check", "retrieve"] {
            let refused = project.deft(command).run();
            assert_eq!(refused.code, 2, "{}", refused.stderr);
            for part in
                ["policy `coreset` needs vectors", "manifest.yaml:", "hint: take retriever `dense`"]
            {
                assert!(refused.stderr.contains(part), "no «{part}» in {}", refused.stderr);
            }
        }
    }
}

#[test]
fn a_list_of_ids_that_is_none_is_found_before_anything_runs() {
    let arms = "arms: { given: { selection: { policy: ids, ids: 'mine.ids' } } }\n";
    let project = project(&[arms]);
    for (text, parts) in [
        ("3\nfour\n", ["this is no id", "line: 2", "manifest.yaml:"]),
        ("3\n3\n", ["this id comes twice", "line: 2", "manifest.yaml:"]),
        ("", ["there is no id in the file", "mine.ids", "hint: "]),
    ] {
        project.write("mine.ids", text);
        let refused = project.deft("check").run();
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        for part in parts {
            assert!(refused.stderr.contains(part), "no «{part}» in {}", refused.stderr);
        }
    }
}

#[test]
fn a_list_of_ids_of_one_run_is_the_selection_of_another() {
    let project = project(&[RETRIEVER_BM25, ARMS]);
    project.deft("retrieve").succeed();
    let wanted = ids(&project, "turns");
    for file in ["selection.ids", "selection.jsonl"] {
        let path = arm(&project, "turns").join(file);
        let arms = format!(
            "arms: {{ given: {{ selection: {{ policy: ids, ids: '{}', contamination: keep }} }} }}\n",
            path.display()
        );
        project.write("other.yaml", &format!("{HEAD}{arms}"));
        let set = ["--set", "name=other"];
        deft_e2e::Deft::new(&["retrieve"]).arg(project.path("other.yaml")).args(&set).succeed();
        let text = fs::read_to_string(project.path("runs/other/tasks/mood/given/selection.ids"));
        let found: Vec<u64> = text.unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(found, wanted, "{file}");
    }
    project.write("wrong.ids", "3\n1000\n");
    let arms = "arms: { given: { selection: { policy: ids, ids: wrong.ids } } }\n";
    project.write("manifest.yaml", &format!("{HEAD}{arms}"));
    let refused = project.deft("retrieve").run();
    for part in ["the pool has no such row", "wrong.ids", "line: 2", "found: 1000", "rows: 1000"] {
        assert!(refused.stderr.contains(part), "no «{part}» in {}", refused.stderr);
    }
}

#[test]
fn data_sets_give_no_more_than_they_may_and_no_input_is_taken_twice() {
    let project = project(&[
        RETRIEVER_BM25,
        "arms: { all: { selection: { policy: all, duplicates: exact } } }\n",
    ]);
    let pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    let (first, second) = pool.split_at(pool.match_indices('\n').nth(49).unwrap().0 + 1);
    project.write("pool.jsonl", &format!("{first}{first}{second}"));
    project.deft("retrieve").succeed();
    let told = summary(&project, "all");
    let (dropped, size) = (&told["dropped"]["exact_duplicate"], told["size"].as_u64().unwrap());
    assert!(dropped.as_u64().unwrap() >= 50, "{told}");
    assert_eq!(
        size + dropped.as_u64().unwrap() + told["dropped"]["contaminated"].as_u64().unwrap(),
        1050
    );
    let capped = ["--set", "arms.all.selection.max_per_dataset=5"];
    let output = project.deft("retrieve").args(&capped).succeed();
    assert!(output.stderr.contains("beyond `max_per_dataset`"), "{}", output.stderr);
    for templates in summary(&project, "all")["mix"].as_object().unwrap().values() {
        let count: u64 = templates.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert!(count <= 5, "{templates}");
    }
}

/// An evaluation input that lies in the pool under another prompt.
const LEAK: &str = "the heron waited beside the frozen canal until the last barge had gone";

#[test]
fn examples_that_contain_an_evaluation_input_are_left_out_kept_or_the_end() {
    let arms = "arms: { all: { selection: { policy: all } } }\n";
    let project = project(&[RETRIEVER_BM25, arms]);
    let line = |input: &str| {
        format!(
            "{{\"input\": \"{input}\", \"target\": \"good\", \"answer_choices\": [\"good\", \"bad\"]}}\n"
        )
    };
    let mut pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    pool += &line(&format!("Tell me how this sounds: {LEAK}. Is it calm?"));
    project.write("pool.jsonl", &pool);
    let mut evaluation = fs::read_to_string(project.path("evaluation.jsonl")).unwrap();
    evaluation += &line(&format!("Review: {LEAK}"));
    project.write("evaluation.jsonl", &evaluation);
    let position = evaluation.lines().count() - 1;

    let dropped = project.deft("retrieve").succeed();
    assert!(dropped.stderr.contains("with an evaluation input"), "{}", dropped.stderr);
    assert!(!ids(&project, "all").contains(&1000));
    let found = lines(&project, "all", "contamination.jsonl");
    let leak = found.iter().find(|one| one["id"] == 1000).unwrap();
    assert_eq!(leak["evaluation"], position);
    assert!(leak["span"].as_str().unwrap().contains("frozen canal"), "{leak}");
    let told = summary(&project, "all");
    assert_eq!(told["contamination"]["action"], "drop");
    assert_eq!(told["contamination"]["found"], found.len());

    let keep = ["--set", "arms.all.selection.contamination=keep"];
    let kept = project.deft("retrieve").args(&keep).succeed();
    assert!(kept.stderr.contains("contain an evaluation input"), "{}", kept.stderr);
    assert!(ids(&project, "all").contains(&1000));

    let fail = ["--set", "arms.all.selection.contamination=fail"];
    let failed = project.deft("retrieve").args(&fail).run();
    assert_eq!(failed.code, 2, "{}", failed.stderr);
    for part in
        ["contain an evaluation input of the task", "pool rows: ", "hint: `contamination: drop`"]
    {
        assert!(failed.stderr.contains(part), "no «{part}» in {}", failed.stderr);
    }
    let refused = lines(&project, "all", "contamination-refused.jsonl");
    assert!(refused.iter().any(|one| one["id"] == 1000), "{refused:?}");
    // What was selected before is left as it was.
    assert!(ids(&project, "all").contains(&1000));
    let again = project.deft("retrieve").args(&keep).succeed();
    assert!(again.stderr.contains("mood/all: selection of "), "{}", again.stderr);
    assert!(again.stderr.contains("contain an evaluation input"), "{}", again.stderr);
    project.deft("retrieve").succeed();
    assert!(!arm(&project, "all").join("contamination-refused.jsonl").exists());
}

/// Going through a pool of a hundred million takes hours: a run that goes on must not do it again.
#[test]
fn a_selection_is_made_again_only_if_something_it_follows_from_has_changed() {
    let project = project(&[RETRIEVER_BM25, ARMS]);
    project.deft("retrieve").succeed();
    let made = |args: &[&str]| {
        let output = project.deft("retrieve").args(args).succeed();
        let of_arm = |line: &str| {
            let (_, rest) = line.split_once("mood/")?;
            let (arm, told) = rest.split_once(": ")?;
            told.contains("examples selected").then(|| arm.to_owned())
        };
        output.stderr.lines().filter_map(of_arm).collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    assert_eq!(made(&[]), nothing);
    assert_eq!(made(&["--set", "arms.random.selection.max_per_dataset=15"]), ["random"]);
    assert_eq!(made(&[]), ["random"]);
    // Its size is that of another arm.
    let smaller = ["--set", "arms.turns.selection.size=12"];
    assert_eq!(made(&smaller), ["turns", "frequency", "score", "random"]);
    assert_eq!(made(&[]), ["turns", "frequency", "score", "random"]);
    // What is left of it is not what it was.
    let path = arm(&project, "balanced").join("selection.ids");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.split_once('\n').unwrap().1).unwrap();
    assert_eq!(made(&[]), ["balanced"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let path = arm(&project, "union").join("selection.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.split_once('\n').unwrap().1).unwrap();
    assert_eq!(made(&[]), ["union"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    let evaluation = fs::read_to_string(project.path("evaluation.jsonl")).unwrap();
    let (_, but_the_first) = evaluation.split_once('\n').unwrap();
    project.write("evaluation.jsonl", but_the_first);
    assert_eq!(made(&[]).len(), 6, "all are compared with it");
}

#[test]
fn a_size_larger_than_the_hits_selects_them_all_and_says_so() {
    let arms = "arms: { many: { selection: { policy: top_score, queries: 2, neighbors: 3, size: 500 } } }\n";
    let project = project(&[RETRIEVER_BM25, arms]);
    let output = project.deft("retrieve").succeed();
    let count = ids(&project, "many").len();
    let told = format!("`size: 500` is wanted, and there are {count} examples to select");
    assert!(output.stderr.contains(&told), "{}", output.stderr);
}

#[test]
fn a_selection_of_another_pool_is_refused_by_its_first_line() {
    let project = project(&[RETRIEVER_BM25, ARMS]);
    project.deft("retrieve").succeed();
    let path = arm(&project, "turns").join("selection.jsonl");
    let pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    let reversed: Vec<&str> = pool.lines().rev().collect();
    project.write("pool.jsonl", &(reversed.join("\n") + "\n"));
    let rule = format!("policy: ids, ids: '{}', contamination: keep", path.display());
    let arms = format!("arms: {{ given: {{ selection: {{ {rule} }} }} }}\n");
    project.write("manifest.yaml", &format!("{HEAD}{arms}"));
    let refused = project.deft("retrieve").run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for part in ["this is a selection of another pool", "line: ", "in the pool: ", "manifest.yaml:"]
    {
        assert!(refused.stderr.contains(part), "no «{part}» in {}", refused.stderr);
    }
}

/// The size that an error tells is the least with which a union has something, whatever is left out.
#[test]
fn a_union_that_is_too_small_says_what_it_needs_of_what_is_admitted() {
    let rule = "queries: 8, neighbors: 10, max_per_dataset: 3, contamination: keep";
    let with = |size: usize| {
        let arms = format!("arms: {{ a: {{ selection: {{ {rule}, size: {size} }} }} }}\n");
        let project = self::project(&[RETRIEVER_BM25, &arms]);
        (project.deft("retrieve").run(), project)
    };
    let (refused, _) = with(1);
    assert_ne!(refused.code, 0, "{}", refused.stderr);
    assert!(refused.stderr.contains("task: mood"), "{}", refused.stderr);
    let (_, hint) = refused.stderr.split_once("hint: ").unwrap();
    let needed: usize = hint.split_whitespace().next().unwrap().parse().unwrap();
    assert!(needed > 1, "{hint}");
    let (selected, project) = with(needed);
    assert_eq!(selected.code, 0, "{}", selected.stderr);
    assert_eq!(ids(&project, "a").len(), needed);
    assert_ne!(with(needed - 1).0.code, 0);
}

/// What is searched with is not always what is evaluated: an instruction may come in front of the latter.
#[test]
fn queries_may_have_a_reader_of_their_own() {
    let hits_with = |of_task: &str| {
        let project = project(&[RETRIEVER_BM25]);
        let head = HEAD
            .replace("bm25]", "bm25, jsonl]")
            .replace("mood, reader: p3,", &format!("mood, {of_task}"));
        project.write("manifest.yaml", &format!("{head}{RETRIEVER_BM25}"));
        let output = project.deft("retrieve").run();
        assert_eq!(output.code, 0, "{}", output.stderr);
        hits(&project, "retrieved")
    };
    let own = hits_with("reader: p3, query_reader: { use: jsonl, input: '{{ input }}' },");
    assert_eq!(own, hits_with("reader: p3,"));
    let one = hits_with("reader: p3, query_reader: { use: jsonl, input: 'say' },");
    assert!(
        one.len() > 1 && one.iter().all(|hits| *hits == one[0]),
        "every query is the same text"
    );
    let project = project(&[RETRIEVER_BM25]);
    let wrong = HEAD
        .replace("mood, reader: p3,", "mood, reader: p3, query_reader: { use: p3, varant: x },");
    project.write("manifest.yaml", &format!("{wrong}{RETRIEVER_BM25}"));
    let refused = project.deft("check").run();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("tasks[0].query_reader.varant"), "{}", refused.stderr);
}
