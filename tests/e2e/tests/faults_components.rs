//! Components that panic, lie or fail at work: the message names component, plugin and place.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::process::Command;

use deft_core::{
    Children, Context, Error, ErrorKind, Handle, Kind, Matrix, NoServices, VectorStore, VectorType,
    part_name, write_vectors,
};
use deft_e2e::{
    Output, Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, examples_dir, fails, program_dir,
};
use deft_loader::Plugin;
use serde_json::json;

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
fn fails_with(kind: &str, option: &str, code: i32, parts: &[&str]) -> Output {
    let (project, set) = project_with(kind, option);
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    fails(&project, &set, code, parts)
}

/// How messages name `panicky` as a component of a kind.
fn component(kind: &str) -> String {
    format!("component: {} panicky", kind.split(' ').next().unwrap())
}

#[test]
fn a_panic_in_any_method_names_component_plugin_and_place() {
    for (kind, methods) in [
        ("reader of the pool", "check new task open next_batch"),
        ("reader of the task", "score"),
        ("encoder", "check new info encode"),
        ("index", "check new info builder train add finish open len search"),
        ("retriever", "check new phases run_unit open retrieve judge"),
        ("trainer", "check new info train open predict"),
    ] {
        for method in methods.split(' ') {
            let told: String =
                method.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
            let says = format!("the plugin panicked: told to panic in {told}");
            let parts =
                [says.as_str(), &component(kind), "plugin: panicky 0.1.0", "src/config.rs:"];
            fails_with(kind, &format!("panic_in: {method}"), 1, &parts);
        }
    }
}

/// A component of the built `panicky`, in this process: for what the program never calls.
fn built(kind: Kind, panic_in: &str) -> Handle {
    let plugin = Plugin::load(&examples_dir().join("libdeft_panicky.so")).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let options = plugin.complete(kind, "panicky", &json!({ "panic_in": panic_in })).unwrap();
    plugin.create(&ctx, kind, "panicky", "", &options, &Children::none()).unwrap()
}

#[track_caller]
fn check_panicked(error: &Error, told: &str, kind: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Panicked, "{text}");
    let told = format!("told to panic in {told}");
    for part in [told.as_str(), &component(kind), "plugin: panicky 0.1.0", "src/config.rs:"] {
        assert!(text.contains(part), "no «{part}» in: {text}");
    }
}

#[test]
fn a_panic_in_call_which_the_program_does_not_make_is_the_same() {
    for kind in [Kind::Reader, Kind::Encoder, Kind::Index, Kind::Retriever, Kind::Trainer] {
        let ctx = Context::new(&NoServices, 0, 1);
        let answer = match built(kind, "call") {
            Handle::Reader(it) => it.call(&ctx, "x", "{}"),
            Handle::Encoder(it) => it.call(&ctx, "x", "{}"),
            Handle::Index(it) => it.call(&ctx, "x", "{}"),
            Handle::Retriever(it) => it.call(&ctx, "x", "{}"),
            Handle::Trainer(it) => it.call(&ctx, "x", "{}"),
        };
        check_panicked(&answer.unwrap_err(), "Call", kind.as_str());
    }
}

#[test]
fn whether_an_index_is_empty_follows_from_its_length_and_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let rows = Matrix::new(&[1.0, 2.0], 1).unwrap();
    let part = dir.path().join(part_name(0, ".safetensors"));
    write_vectors(&part, rows, VectorType::F32, 0, "e").unwrap();
    let open = |panic_in: &str| {
        let Handle::Index(factory) = built(Kind::Index, panic_in) else { unreachable!() };
        let vectors = VectorStore::open(dir.path()).unwrap();
        factory.open(&Context::new(&NoServices, 0, 1), dir.path(), Some(vectors))
    };
    let index = open("is_empty").unwrap();
    assert_eq!((index.len(), index.is_empty()), (2, false));
    check_panicked(&open("len").err().unwrap(), "Len", "index");
}

#[test]
fn a_panic_in_what_a_type_says_of_itself_names_the_component() {
    for (told, kind) in [("capabilities", "encoder"), ("schema", "reader")] {
        let mut inspect = Command::new(program_dir().join("deft"));
        inspect.args(["plugin", "inspect", "panicky", "--plugin-dir"]).arg(examples_dir());
        let output = Output::from(inspect.env("DEFT_PANICKY", told).output().unwrap());
        assert_eq!(output.code, 1, "{}", output.stderr);
        let says = format!("error: the plugin panicked: told to panic in {told} (code: src/");
        for part in [says.as_str(), &component(kind), "plugin: panicky 0.1.0", "_panicky.so"] {
            assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
        }
    }
}

#[test]
fn a_panic_while_something_is_dropped_is_told_and_the_run_goes_on() {
    for (kind, options) in [
        ("reader of the pool", "drop drop_made"),
        ("encoder", "drop"),
        ("index", "drop drop_made"),
        ("retriever", "drop drop_made"),
        ("trainer", "drop drop_made"),
    ] {
        for option in options.split(' ') {
            let (project, set) = project_with(kind, &format!("panic_in: {option}"));
            let run = project.deft("run").arg("--plugin-dir").arg(examples_dir());
            let set: Vec<&str> = set.iter().map(String::as_str).collect();
            let stderr = run.args(&set).succeed().stderr;
            let told = if option == "drop" { "Drop" } else { "DropMade" };
            let says = format!("error: the plugin panicked: told to panic in {told} (code: src/");
            let line = stderr.lines().find(|line| line.starts_with(&says)).unwrap_or(&stderr);
            for part in [says.as_str(), &component(kind), "plugin: panicky 0.1.0"] {
                assert!(line.contains(part), "{kind}, {option}: no «{part}» in:\n{line}");
            }
            assert!(!stderr.contains("thread '"), "{stderr}");
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
        ("retriever", "other_hits_judged", "a search was judged by other hits than it had found"),
        ("retriever", "phase_outside_the_store", "an artefact's name cannot name a folder"),
        ("encoder", "no_dimension", "the encoder's vectors have no component"),
        ("trainer", "fewer_option_scores", "a prediction does not fit its example's options"),
        ("reader of the pool", "answer_that_is_no_option", "right answer is no option of it"),
        ("reader of the task", "fewer_scores", "the reader did not score every example"),
        ("trainer", "fewer_predictions", "not every example got a prediction"),
    ] {
        let parts = [says, &component(kind), "plugin: panicky 0.1.0"];
        fails_with(kind, &format!("lie: {lie}"), 2, &parts);
    }
}

#[test]
fn an_error_of_a_child_at_work_names_the_child_and_the_phase_and_unit_of_its_parent() {
    for (option, says) in [
        ("fail_in: encode", "error: told to fail in Encode ("),
        ("panic_in: encode", "error: the plugin panicked: told to panic in Encode ("),
    ] {
        let parts =
            [says, &component("encoder"), "plugin: panicky 0.1.0", "phase: encode", "unit: 0"];
        let output = fails_with("encoder", option, 1, &parts);
        assert!(!output.stderr.contains("retriever dense"), "{}", output.stderr);
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
