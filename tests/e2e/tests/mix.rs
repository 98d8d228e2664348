//! What an arm trains on: selections, a task's own examples, and both; and what a stopped training
//! goes on from.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::PathBuf;

use deft_e2e::{Deft, Project, examples_dir, fails};
use serde_json::Value;

/// Nothing of it is searched: no retriever, no queries.
const SUPERVISED: &str = "\
version: 1
name: mixed
plugins: [p3, t5]
pool:
  - { reader: p3, source: pool.jsonl }
trainer: { use: t5, model: model, init: random, steps: 4, batch_size: 2 }
tasks:
  - name: mood
    reader: p3
    training_source: training.jsonl
    evaluation_source: evaluation.jsonl
arms:
  supervised: { train_on: [task] }
";

/// A selection, and the same with the task's own examples among it.
const MULTITASK: &str = "\
version: 1
name: mixed
plugins: [p3, t5, bm25]
pool:
  - { reader: p3, source: pool.jsonl }
retriever: bm25
selection: { queries: 4, neighbors: 5 }
trainer: { use: t5, model: model, init: random, steps: 4, batch_size: 2 }
tasks:
  - name: mood
    reader: p3
    query_source: queries.jsonl
    training_source: training.jsonl
    evaluation_source: evaluation.jsonl
arms:
  retrieved: {}
  both: { train_on: [{ selection: retrieved }, { task: mood, weight: 2 }] }
";

/// Examples in `training.jsonl`.
const OWN: usize = 12;

fn project(manifest: &str) -> Project {
    let project = Project::with_pool(300);
    let pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    let own: Vec<&str> = pool.lines().take(OWN).collect();
    project.write("training.jsonl", &(own.join("\n") + "\n"));
    project.write("manifest.yaml", manifest);
    project
}

/// The folder of an arm's results.
fn arm(project: &Project, arm: &str) -> PathBuf {
    project.path("runs/mixed/tasks/mood").join(arm)
}

fn metrics(project: &Project, name: &str) -> Value {
    let path = arm(project, name).join("seed-1/metrics.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The names of scratch folders that an arm's training left.
fn scratch(project: &Project, name: &str) -> Vec<String> {
    let entries = fs::read_dir(arm(project, name).join("seed-1")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("scratch-")).collect()
}

#[test]
fn a_supervised_arm_needs_no_retriever_and_makes_no_selection() {
    let project = project(SUPERVISED);
    let output = project.deft("run").succeed();
    assert!(output.stderr.contains("train mood/supervised seed 1: 12 examples"), "{output:?}");
    assert_eq!(metrics(&project, "supervised")["trained_on"], OWN);
    for name in ["hits.jsonl", "selection.jsonl"] {
        assert!(!arm(&project, "supervised").join(name).exists(), "{name}");
    }
    assert!(arm(&project, "supervised").join("seed-1/logs").is_dir());
    assert_eq!(scratch(&project, "supervised"), [""; 0]);
    let status = project.deft("status").succeed();
    assert!(!status.stdout.contains("selection"), "{}", status.stdout);
    assert!(status.stdout.contains("model: 1 of 1"), "{}", status.stdout);
}

#[test]
fn a_multitask_arm_trains_on_what_another_selected_and_on_the_tasks_own_examples() {
    let project = project(MULTITASK);
    let output = project.deft("run").succeed();
    let selection = fs::read_to_string(arm(&project, "retrieved").join("selection.jsonl")).unwrap();
    let selected = selection.lines().count();
    assert_eq!(metrics(&project, "retrieved")["trained_on"], selected);
    assert_eq!(metrics(&project, "both")["trained_on"], selected + 2 * OWN);
    assert!(!arm(&project, "both").join("selection.jsonl").exists());
    let told = format!(
        "train mood/both seed 1: {} examples ({selected} of the selection of `retrieved`, 24 of \
         the training_source of `mood`)",
        selected + 2 * OWN
    );
    assert!(output.stderr.contains(&told), "no «{told}» in:\n{}", output.stderr);
}

#[test]
fn a_changed_part_trains_again_and_nothing_else_does() {
    let project = project(MULTITASK);
    project.deft("run").succeed();
    let before = project.results();
    let again = project.deft("run").succeed();
    assert!(!again.stderr.contains("train mood"), "{}", again.stderr);
    assert_eq!(project.results(), before);
    let trains_again = |set: &str| {
        let run = project.deft("run").arg("--set").arg(set).succeed();
        assert!(!run.stderr.contains("train mood/retrieved"), "{set}: {}", run.stderr);
        run.stderr.contains("train mood/both")
    };
    assert!(trains_again("arms.both.train_on[1].weight=2.5"));
    assert!(!trains_again("arms.both.train_on[1].weight=2.5"));
    assert!(trains_again("arms.both.train_on[1].limit=5"));
    assert!(trains_again("arms.both.train_on=[{task: mood, weight: 2}, {selection: retrieved}]"));
    let text = fs::read_to_string(project.path("training.jsonl")).unwrap();
    project.write("training.jsonl", &text.replacen("say", "count", 1));
    assert!(trains_again("arms.both.train_on[1].weight=2.5"), "another content");
}

#[test]
fn validation_examples_are_part_of_what_a_model_is_made_from_and_not_trained_on() {
    let project = project(SUPERVISED);
    project.deft("run").succeed();
    let set = "tasks[0].validation_source=queries.jsonl";
    let watched = project.deft("run").arg("--set").arg(set).succeed();
    assert!(watched.stderr.contains("train mood/supervised"), "{}", watched.stderr);
    assert_eq!(metrics(&project, "supervised")["trained_on"], OWN);
    let again = project.deft("run").arg("--set").arg(set).succeed();
    assert!(!again.stderr.contains("train mood"), "{}", again.stderr);
}

#[test]
fn a_labelled_source_is_looked_for_and_opened_before_anything_runs() {
    let project = project(SUPERVISED);
    project.write("notes.txt", "none of a form that p3 knows\n");
    for name in ["training_source", "validation_source"] {
        let set = format!("tasks[0].{name}=gone.jsonl");
        let says = format!("tasks[0].{name}: nothing is at `gone.jsonl`");
        fails(&project, &["--set", &set], 2, &[&says, "at: --set"]);
        let check = project.deft("check").arg("--set").arg(&set).run();
        assert!(check.code == 2 && check.stderr.contains(&says), "{check:?}");
    }
    project.write("manifest.yaml", &SUPERVISED.replace("training.jsonl", "notes.txt"));
    let check = project.deft("check").run();
    assert_eq!(check.code, 1, "{}", check.stderr);
    for part in ["does not end in a known form", "notes.txt", "manifest.yaml:10:5"] {
        assert!(check.stderr.contains(part), "no «{part}» in:\n{}", check.stderr);
    }
    assert!(!project.path("runs").exists(), "nothing is written");
}

#[test]
fn an_own_example_without_target_is_named_before_anything_is_trained() {
    let project = project(
        &MULTITASK.replace("    reader: p3\n", "    reader: { use: p3, unlabelled: keep }\n"),
    );
    let text = fs::read_to_string(project.path("training.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"input\": \"say nothing\"}";
    project.write("training.jsonl", &lines.join("\n"));
    let says = [
        "an example has no target",
        "position: 2",
        "input: say nothing",
        "training_source: training.jsonl",
    ];
    let output = fails(&project, &[], 1, &says);
    assert!(!output.stderr.contains("train mood"), "{}", output.stderr);
}

#[test]
fn a_pool_example_that_cannot_be_trained_on_is_named_by_its_index_id() {
    let project = project(SUPERVISED);
    let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().take(20).collect();
    lines[7] = "{\"input\": \"say nothing\"}";
    project.write("pool.jsonl", &lines.join("\n"));
    let args = [
        "--set",
        "pool[0].reader={use: p3, unlabelled: keep}",
        "--set",
        "arms={all: {selection: {policy: all}}}",
        "--set",
        "trainer={use: t5, model: model, init: random, epochs: 1, batch_size: 2}",
    ];
    fails(&project, &args, 1, &["examples: index_id 7 of the selection of `all`"]);
}

/// A project whose trainer is `panicky`, which uses no scratch folder.
fn with_panicky() -> Project {
    let trainer = "trainer: { use: t5, model: model, init: random, steps: 4, batch_size: 2 }";
    let manifest = SUPERVISED.replace(trainer, "trainer: panicky");
    project(&manifest.replace("[p3, t5]", "[p3, panicky]"))
}

fn run_panicky(project: &Project) -> Deft {
    project.deft("run").arg("--plugin-dir").arg(examples_dir())
}

#[test]
fn scratch_folders_last_until_their_model_is_there_and_no_longer() {
    let project = with_panicky();
    run_panicky(&project).succeed();
    let seed = arm(&project, "supervised").join("seed-1");
    let card: Value = serde_json::from_slice(&fs::read(seed.join("card.json")).unwrap()).unwrap();
    let own = seed.join(format!("scratch-{}", card["model"].as_str().unwrap()));
    let leave = |dir: &PathBuf| {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("checkpoint"), "").unwrap();
    };
    let goes_on = "goes on from where it was stopped";

    // Killed after the model was there.
    leave(&own);
    let current = run_panicky(&project).succeed();
    assert!(!current.stderr.contains("train mood"), "{}", current.stderr);
    assert_eq!(scratch(&project, "supervised"), [""; 0]);

    // Killed before; and an older training of something else was, too.
    fs::remove_dir_all(seed.join("model")).unwrap();
    leave(&own);
    leave(&seed.join("scratch-0123456789abcdef"));
    let continued = run_panicky(&project).succeed();
    assert!(continued.stderr.contains(goes_on), "{}", continued.stderr);
    assert_eq!(scratch(&project, "supervised"), [""; 0]);

    // Made again from the beginning.
    leave(&own);
    let rebuilt = run_panicky(&project).arg("--rebuild").arg("model").succeed();
    assert!(rebuilt.stderr.contains("train mood"), "{}", rebuilt.stderr);
    assert!(!rebuilt.stderr.contains(goes_on), "{}", rebuilt.stderr);
}

#[test]
fn a_training_that_fails_leaves_what_it_can_go_on_from_and_no_empty_folder() {
    let project = with_panicky();
    let broken = ["--set", "trainer={use: panicky, panic_in: train}"];
    fails(&project, &broken, 1, &["told to panic in Train"]);
    assert_eq!(scratch(&project, "supervised"), [""; 0]);
    assert!(!arm(&project, "supervised").join("seed-1/model").exists());
}
