//! What a user does wrong, and what plugins do wrong: one message, and the designed exit code.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, examples_dir};

/// Runs the manifest, which must fail with `code` and a message with all `parts`.
#[track_caller]
fn fails(project: &Project, args: &[&str], code: i32, parts: &[&str]) {
    let mut call = project.deft("run").arg("--plugin-dir").arg(examples_dir());
    for arg in args {
        call = call.arg(arg);
    }
    let output = call.run();
    for part in parts {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
    assert_eq!(output.code, code, "{}", output.stderr);
}

#[test]
fn an_unknown_option_two_levels_down_has_line_column_and_the_nearest_spelling() {
    let project = Project::new();
    let retriever = "\
retriever:
  use: dense
  encoder:
    use: t5
    model: model
    max_token: 64
  index: exact
";
    project.manifest(&[retriever]);
    let path = project.path("manifest.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line == "    max_token: 64").unwrap() + 1;
    let place = format!("{}:{line}:5", path.display());
    fails(
        &project,
        &[],
        2,
        &[
            "retriever.encoder.max_token: unknown option `max_token`",
            &place,
            "did you mean `max_tokens`?",
        ],
    );
}

#[test]
fn wrong_types_missing_children_and_unknown_keys_are_one_message_each() {
    let project = Project::new();
    for (block, says) in [
        (
            "retriever: { use: bm25, k1: lots }\n",
            "retriever.k1: invalid type: string \"lots\", expected a number",
        ),
        (
            "retriever: { use: dense, index: exact }\n",
            "needs `encoder`, a component of kind encoder",
        ),
        ("retriver: bm25\n", "did you mean `retriever`?"),
        ("retriever: bm52\n", "did you mean `bm25`?"),
        ("retriever: bm25\nretriever: bm25\n", "the key `retriever` is there twice"),
        ("retriever: bm25\nseeds: []\n", "seeds: needs at least one seed"),
    ] {
        project.manifest(&[block]);
        fails(&project, &[], 2, &[says, "manifest.yaml:"]);
        assert!(!project.path("runs").exists(), "nothing is written for {block}");
    }
}

#[test]
fn a_missing_plugin_is_named_with_the_places_searched() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let set = ["--set", "plugins=[p3, t5, exact, dense, bm52]"];
    fails(&project, &set, 2, &["plugin `bm52` is not found", "searched: ", "did you mean `bm25`?"]);
    let set = ["--set", "plugins=[p3, t5, exact, dense]"];
    fails(&project, &set, 2, &["no loaded plugin has the retriever `bm25`", "add it to `plugins`"]);
}

#[test]
fn a_library_that_is_no_plugin_is_refused_before_it_is_loaded() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let set = ["--set", "plugins=[p3, bm25, not-a-plugin]"];
    fails(&project, &set, 2, &["this library is no DEFT plugin", "libdeft_not_a_plugin.so"]);
    project.write("libdeft_text.so", "not even a library");
    let set = ["--set", "plugins=[p3, bm25, text]"];
    fails(&project, &set, 2, &["this file is no shared library", "libdeft_text.so"]);
}

#[test]
fn a_missing_source_is_named_before_anything_runs() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    fails(
        &project,
        &["--set", "pool[0].source=gone/*.jsonl"],
        2,
        &["nothing is at `gone/*.jsonl`"],
    );
}

#[test]
fn a_bad_data_line_is_named_by_file_and_line() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    project.write("pool.jsonl", "{\"input\": \"a\", \"target\": \"b\"}\n{\"input\": \n");
    fails(&project, &[], 1, &["pool.jsonl", "line: 2"]);
}

/// A block that panics in one method, and the kind that is blamed for it.
#[test]
fn a_panic_in_any_kind_of_component_names_plugin_component_and_place() {
    let plugins = "plugins=[p3, t5, exact, dense, bm25, panicky]";
    let dense = |encoder: &str, index: &str| {
        format!("retriever:\n  use: dense\n  encoder: {encoder}\n  index: {index}\n")
    };
    let t5 = "{ use: t5, model: model, init: random }";
    let panicky = |method: &str| format!("{{ use: panicky, panic_in: {method} }}");
    for (kind, retriever, trainer) in [
        ("encoder", dense(&panicky("encode"), "exact"), TRAINER.to_owned()),
        ("index", dense(t5, &panicky("search")), TRAINER.to_owned()),
        ("index", dense(t5, &panicky("finish")), TRAINER.to_owned()),
        ("retriever", format!("retriever: {}\n", panicky("run_unit")), TRAINER.to_owned()),
        ("retriever", format!("retriever: {}\n", panicky("new")), TRAINER.to_owned()),
        ("trainer", RETRIEVER_BM25.to_owned(), format!("trainer: {}\n", panicky("train"))),
        ("trainer", RETRIEVER_BM25.to_owned(), format!("trainer: {}\n", panicky("predict"))),
    ] {
        let project = Project::new();
        project.manifest(&[&retriever, &trainer]);
        let component = format!("component: {kind} panicky");
        let parts = ["the plugin panicked", &component, "plugin: panicky 0.1.0", ".rs:"];
        fails(&project, &["--set", plugins], 1, &parts);
    }
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let reader = format!("pool[0].reader={}", panicky("next_batch"));
    fails(
        &project,
        &["--set", plugins, "--set", &reader],
        1,
        &["the plugin panicked", "component: reader panicky", ".rs:"],
    );
}

#[test]
fn an_error_of_a_child_names_the_child_not_its_parent() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE]);
    let missing = ["--set", "retriever.encoder.model=nowhere"];
    fails(&project, &missing, 1, &["`nowhere` is not found", "component: encoder t5"]);
}
