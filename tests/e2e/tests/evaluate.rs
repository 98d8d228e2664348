//! Evaluation: parts of sources, models alone, and arms held against each other.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use deft_e2e::{Deft, Output, Project, RETRIEVER_BM25, TRAINER, fails, read_json, shared, skipped};
use serde_json::Value;

/// Examples in `evaluation.jsonl` of a project.
const EVALUATED: usize = 24;

fn project() -> Project {
    let project = Project::with_pool(300);
    project.manifest(&[RETRIEVER_BM25, TRAINER]);
    project
}

/// A field of every line of a file.
fn numbers(path: &Path, field: &str) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()[field].as_u64().unwrap();
    text.lines().map(number).collect()
}

fn run_with(project: &Project, sets: &[&str]) -> Output {
    sets.iter().fold(project.deft("run"), |call, set| call.arg("--set").arg(set)).succeed()
}

const QUERIES: &str = "tasks[0].query_source={source: evaluation.jsonl, shuffle: 42, take: 10}";
const REST: &str = "tasks[0].evaluation_source={source: evaluation.jsonl, shuffle: 42, skip: 10}";

#[test]
fn one_file_is_split_into_queries_and_evaluation_examples_as_numpy_shuffles() {
    let project = project();
    let output = run_with(&project, &[QUERIES, REST, "selection.queries=10"]);
    for told in [
        "mood: 10 of 24 examples as queries (the first 10, shuffled by numpy's generator, seed 42)",
        "mood: 14 of 24 examples as evaluation examples (without the first 10, shuffled by numpy's",
    ] {
        assert!(output.stderr.contains(told), "no «{told}» in:\n{}", output.stderr);
    }
    let arm = project.path("runs/small/tasks/mood/retrieved");
    let queries = numbers(&arm.join("hits.jsonl"), "query");
    let evaluated = numbers(&arm.join("seed-1/predictions.jsonl"), "id");
    assert_eq!((queries.len(), evaluated.len()), (10, 14));
    let both: BTreeSet<u64> = queries.iter().chain(&evaluated).copied().collect();
    assert_eq!(both.len(), EVALUATED, "none is in both");
    assert_ne!(queries, (0..10).collect::<Vec<u64>>(), "they are shuffled");
    assert_eq!(read_json(&project.path("runs/small/run.json"))["splits"][0]["taken"], 10);
    assert_eq!(read_json(&arm.join("seed-1/metrics.json"))["evaluated"], 14);

    let again = run_with(&project, &[QUERIES, REST, "selection.queries=10"]);
    assert!(again.stderr.contains("hits are up to date"), "{}", again.stderr);
    let other = QUERIES.replace("take: 10", "take: 9");
    let changed = run_with(&project, &[&other, REST, "selection.queries=10"]);
    assert!(!changed.stderr.contains("hits are up to date"), "{}", changed.stderr);
}

#[test]
fn queries_are_evaluated_on_only_where_the_task_says_so() {
    let project = project();
    let says = "examples are evaluated on that are queries, too";
    let same = "tasks[0].query_source=evaluation.jsonl";
    let output = fails(&project, &["--set", same], 2, &[says, "tasks[0].evaluation_source"]);
    assert!(output.stderr.contains("`evaluate_on_queries: true`"), "{}", output.stderr);
    assert!(!project.path("runs").exists(), "known before anything is written");
    let check = project.deft("check").arg("--set").arg(same).run();
    assert!(check.code == 2 && check.stderr.contains(says), "{check:?}");
    let found = ["in both: 10 of 24", says];
    fails(&project, &["--set", QUERIES], 2, &found);
    assert!(!project.path("runs/small/tasks").exists(), "known before anything is searched");
    run_with(&project, &[same, "tasks[0].evaluate_on_queries=true"]);
    run_with(&project, &[QUERIES, REST]);
}

#[test]
fn a_part_that_leaves_nothing_is_refused_with_the_number_of_examples() {
    let project = project();
    let set = "tasks[0].query_source={source: queries.jsonl, skip: 20}";
    let says = ["tasks[0].query_source.skip: leaves nothing of the 20 examples (skip: 20)"];
    let output = fails(&project, &["--set", set], 2, &says);
    assert!(!output.stderr.contains("searched with"), "{}", output.stderr);
    let set = "tasks[0].query_source={source: queries.jsonl, tak: 3}";
    fails(&project, &["--set", set], 2, &["unknown option `tak`", "did you mean `take`?"]);
}

#[test]
fn unlabelled_evaluation_examples_are_refused_before_anything_is_trained() {
    let project = project();
    let text = fs::read_to_string(project.path("evaluation.jsonl")).unwrap();
    let without_label = |(at, line): (usize, &str)| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        if at == 4 {
            row.as_object_mut().unwrap().remove("target");
        }
        row.to_string() + "\n"
    };
    let rows: String = text.lines().enumerate().map(without_label).collect();
    fs::write(project.path("evaluation.jsonl"), rows).unwrap();
    let set = "tasks[0].reader={use: p3, unlabelled: keep}";
    let says = [
        "the example has no right answer to be scored against",
        "position: 4",
        "source: evaluation.jsonl",
        "take the validation split; positions count from 0",
    ];
    fails(&project, &["--set", set], 1, &says);
    let seed = project.path("runs/small/tasks/mood/retrieved/seed-1");
    assert!(!seed.join("model").exists(), "known before anything is trained");
}

#[test]
fn a_model_alone_comes_to_what_it_came_to_in_its_run_and_needs_no_pool() {
    let project = project();
    project.deft("run").succeed();
    fs::remove_file(project.path("pool.jsonl")).unwrap();
    fs::remove_dir_all(project.path("runs/.store")).unwrap();
    let seed = project.path("runs/small/tasks/mood/retrieved/seed-1");
    let out = project.path("out");
    let call = project.deft("evaluate").arg("--model").arg(seed.join("model"));
    let output = call.arg("--output").arg(&out).succeed();
    let (alone, in_run) =
        (read_json(&out.join("mood/metrics.json")), read_json(&seed.join("metrics.json")));
    assert_eq!(alone["metrics"], in_run["metrics"]);
    assert_eq!(alone["predicted"], in_run["predicted"]);
    let predictions = |dir: &Path| fs::read_to_string(dir.join("predictions.jsonl")).unwrap();
    assert_eq!(predictions(&out.join("mood")), predictions(&seed));
    let value = in_run["metrics"][0]["value"].as_f64().unwrap();
    for part in ["accuracy_sum".to_owned(), format!("{value:.3} ["), "24".to_owned()] {
        assert!(output.stdout.contains(&part), "no «{part}» in:\n{}", output.stdout);
    }
    assert!(!output.stdout.contains("accuracy means nothing"), "these weights are trained");
    assert!(!project.path("runs/.store").exists(), "nothing is stored");

    // The folder is all that a trainer without a model needs.
    let evaluation = project.path("evaluation.jsonl");
    let task = format!("{{name: mood, reader: p3, evaluation_source: {}}}", evaluation.display());
    let call = Deft::new(&["evaluate", "--trainer", "t5", "--task", &task, "--model"]);
    let again = call.arg(seed.join("model")).succeed();
    assert!(again.stdout.contains(&format!("{value:.3}")), "{}", again.stdout);
}

/// A trainer and a task for the command line.
fn trainer(project: &Project) -> String {
    format!("{{use: t5, model: {}, init: random}}", project.path("model").display())
}

#[test]
fn a_task_whose_source_is_missing_is_an_error_or_left_out_by_name() {
    let project = project();
    let task = |name: &str, file: &str| {
        let file = project.path(file);
        format!("{{name: {name}, reader: p3, evaluation_source: {}}}", file.display())
    };
    let call = || {
        let call = Deft::new(&["evaluate", "--trainer", &trainer(&project), "--markdown"]);
        call.args(&["--task", &task("mood", "evaluation.jsonl"), "--task"])
            .arg(task("gone", "gone.jsonl"))
    };
    let refused = call().run();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for part in ["evaluation_source: nothing is at", "--task {name: gone", "`--skip-missing`"] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
    assert_eq!(refused.stdout, "");
    let output = call().arg("--skip-missing").succeed();
    for part in [
        "| task | examples | metric | t5 | chance | majority |\n|---|",
        "| mood | 24 | accuracy_sum | ",
        "accuracy means nothing",
        "not available: gone\n",
    ] {
        assert!(output.stdout.contains(part), "no «{part}» in:\n{}", output.stdout);
    }
    let gone = task("gone", "gone.jsonl");
    let none =
        Deft::new(&["evaluate", "--trainer", &trainer(&project), "--skip-missing", "--task"]);
    let none = none.arg(gone).run();
    assert_eq!(none.code, 1, "{}", none.stderr);
    assert!(none.stderr.contains("no task can be evaluated (not available: gone)"), "{none:?}");
}

#[test]
fn what_an_evaluation_lacks_or_cannot_use_is_said() {
    let project = project();
    let task = "{name: mood, reader: p3, evaluation_source: evaluation.jsonl}";
    let says = |call: Deft, part: &str| {
        let output = call.run();
        assert!(output.code == 2 && output.stderr.contains(part), "no «{part}» in {output:?}");
    };
    says(Deft::new(&["evaluate"]), "MANIFEST");
    says(Deft::new(&["evaluate", "--task", task]), "nothing says what opens the model");
    let misspelt = task.replace("reader", "raeder");
    let call = Deft::new(&["evaluate", "--trainer", "t5", "--task", &misspelt]);
    says(call, "unknown option `raeder`");
    says(project.deft("evaluate").arg("--skip-missing"), "is for the evaluation of a model");
    says(project.deft("evaluate").args(&["--model", "model", "--workers", "2"]), "--workers");
}

#[test]
fn arms_are_compared_by_example_over_seeds_and_printed_for_papers() {
    let project = project();
    let output = run_with(&project, &["seeds=[1, 2]"]);
    for part in ["against retrieved", "] (2 seeds)"] {
        assert!(output.stdout.contains(part), "no «{part}» in:\n{}", output.stdout);
    }
    let mean = |arm: &str| {
        let dir = project.path("runs/small/tasks/mood").join(arm);
        let value = |seed: u32| {
            let metrics = read_json(&dir.join(format!("seed-{seed}/metrics.json")));
            metrics["metrics"][0]["value"].as_f64().unwrap()
        };
        f64::midpoint(value(1), value(2))
    };
    let arms = read_json(&project.path("runs/small/run.json"))["arms"].clone();
    let names: Vec<&str> =
        arms.as_array().unwrap().iter().map(|one| one["arm"].as_str().unwrap()).collect();
    assert_eq!(names, ["retrieved", "random", "none"]);
    assert!(arms[0]["difference"].is_null());
    for (i, name) in ["random", "none"].into_iter().enumerate() {
        let one = &arms[i + 1];
        let difference = &one["difference"];
        assert_eq!((&difference["from"], &one["seeds"]), (&"retrieved".into(), &2.into()));
        let value = difference["value"].as_f64().unwrap();
        assert!((value - (mean(name) - mean("retrieved"))).abs() < 1e-9, "{one}");
        let over_seeds = &one["over_seeds"][0];
        assert_eq!(over_seeds["name"], "accuracy_sum");
        assert!((over_seeds["value"].as_f64().unwrap() - mean(name)).abs() < 1e-9, "{one}");
    }
    let markdown = project.deft("run").args(&["--set", "seeds=[1, 2]", "--markdown"]).succeed();
    let header = "| task | examples | metric | retrieved | random | none | chance | majority |\n";
    assert!(markdown.stdout.starts_with(header), "{}", markdown.stdout);
    assert!(markdown.stdout.contains("| mood | 24 | accuracy_sum | "), "{}", markdown.stdout);
}

#[test]
fn the_tasks_of_the_paper_that_are_here_are_evaluated_in_one_call_and_the_others_named() {
    let Some(shared) = shared() else { return skipped("no shared data") };
    let project = project();
    let mut text = String::from("tasks:\n");
    let mut there = Vec::new();
    let mut missing = Vec::new();
    for (name, reader, file) in [
        ("rte", "t0/rte", "validation.jsonl"),
        ("cb", "t0/cb", "validation.jsonl"),
        ("copa", "t0/copa", "validation.jsonl"),
        ("wic", "t0/wic", "validation.jsonl"),
        ("wsc", "t0/wsc", "validation.jsonl"),
        ("sciq", "sciq", "validation.jsonl"),
        ("drop", "drop", "validation.jsonl"),
        ("casehold", "casehold", "train.jsonl"),
    ] {
        let path = shared.join("data/tasks").join(name).join(file);
        let list = if path.exists() { &mut there } else { &mut missing };
        list.push(name);
        let source = format!("{{ source: {}, take: 8 }}", path.display());
        writeln!(text, "  - {{ name: {name}, reader: {reader}, evaluation_source: {source} }}")
            .unwrap();
    }
    if there.is_empty() {
        return skipped("no data of tasks");
    }
    project.write("tasks.yaml", &text);
    let call = Deft::new(&["evaluate"]).arg(project.path("tasks.yaml"));
    let output = call.args(&["--skip-missing", "--trainer", &trainer(&project)]).succeed();
    let line_of =
        |name: &str| output.stdout.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(there.iter().all(|&name| line_of(name)), "{}", output.stdout);
    assert!(missing.iter().all(|&name| !line_of(name)), "{}", output.stdout);
    let told = format!("not available: {}\n", missing.join(", "));
    assert!(missing.is_empty() || output.stdout.ends_with(&told), "{}", output.stdout);
}
