//! Components that panic, lie or fail at work: the message names component, plugin and place.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, fails};

const PLUGINS: &str = "plugins=[p3, t5, exact, dense, bm25, panicky]";

/// A project whose component of one kind is `panicky` with an option, and what `--set` is left.
fn project_with(kind: &str, option: &str) -> (Project, Vec<String>) {
    let panicky = format!("{{ use: panicky, {option} }}");
    let dense = |encoder: &str, index: &str| {
        format!("retriever:\n  use: dense\n  encoder: {encoder}\n  index: {index}\n")
    };
    let t5 = "{ use: t5, model: model, init: random }";
    let mut set = vec!["--set".to_owned(), PLUGINS.to_owned()];
    let (mut retriever, mut trainer) = (RETRIEVER_BM25.to_owned(), TRAINER.to_owned());
    match kind {
        "encoder" => retriever = dense(&panicky, "exact"),
        "index" => retriever = dense(t5, &panicky),
        "retriever" => retriever = format!("retriever: {panicky}\n"),
        "trainer" => trainer = format!("trainer: {panicky}\n"),
        "reader of the pool" => {
            set.extend(["--set".to_owned(), format!("pool[0].reader={panicky}")]);
        }
        "reader of the task" => {
            set.extend(["--set".to_owned(), format!("tasks[0].reader={panicky}")]);
        }
        _ => unreachable!("no such kind"),
    }
    let project = Project::with_pool(300);
    project.manifest(&[&retriever, &trainer]);
    (project, set)
}

#[track_caller]
fn fails_with(kind: &str, option: &str, code: i32, parts: &[&str]) {
    let (project, set) = project_with(kind, option);
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    fails(&project, &set, code, parts);
}

#[test]
fn a_panic_in_any_method_names_component_plugin_and_place() {
    for (kind, methods) in [
        ("reader of the pool", "check new task open next_batch"),
        ("reader of the task", "score"),
        ("encoder", "check new info encode"),
        ("index", "check new info builder train add finish open search"),
        ("retriever", "check new phases run_unit open retrieve"),
        ("trainer", "check new info train open predict"),
    ] {
        for method in methods.split(' ') {
            let component = format!("component: {} panicky", kind.split(' ').next().unwrap());
            let told: String =
                method.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
            let parts = [
                &format!("the plugin panicked: told to panic in {told}"),
                component.as_str(),
                "plugin: panicky 0.1.0",
                "src/config.rs:",
            ];
            fails_with(kind, &format!("panic_in: {method}"), 1, &parts);
        }
    }
}

#[test]
fn nonsense_from_a_component_is_refused_and_never_used() {
    for (kind, lie, says) in [
        ("index", "id_beyond_the_end", "a search returned an id or a score that cannot be"),
        ("index", "score_that_is_no_number", "a search returned an id or a score that cannot be"),
        ("index", "same_id_twice", "a search returned hits out of order, or one twice"),
        ("retriever", "id_beyond_the_end", "a search returned an id or a score that cannot be"),
        ("retriever", "score_that_is_no_number", "a search returned an id or a score that cannot"),
        ("retriever", "same_id_twice", "a search returned hits out of order, or one twice"),
        ("retriever", "phase_outside_the_store", "an artefact's name cannot name a folder"),
        ("encoder", "no_dimension", "the encoder's vectors have no component"),
        ("trainer", "fewer_option_scores", "a prediction does not fit its example's options"),
        ("reader of the pool", "answer_that_is_no_option", "right answer is no option of it"),
        ("reader of the task", "fewer_scores", "the reader did not score every example"),
        ("trainer", "fewer_predictions", "not every example got a prediction"),
    ] {
        let component = format!("component: {} panicky", kind.split(' ').next().unwrap());
        fails_with(kind, &format!("lie: {lie}"), 2, &[says, &component, "plugin: panicky 0.1.0"]);
    }
}

#[test]
fn an_error_of_a_child_names_the_child_not_its_parent() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE]);
    let missing = ["--set", "retriever.encoder.model=nowhere"];
    let parts = ["`nowhere` is not found", "component: encoder t5", "plugin: t5 "];
    fails(&project, &missing, 1, &parts);
    project.write("model/tokenizer.json", "{}");
    fails(&project, &[], 1, &["tokenizer.json", "component: encoder t5", "plugin: t5 "]);
}
