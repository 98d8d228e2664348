//! What a manifest may get wrong: one message with the place, what was found and what is allowed.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Project, RETRIEVER_BM25, fails};

/// Line and column of the first line that holds `text`, at `text`, in the manifest.
fn place(project: &Project, text: &str) -> String {
    let path = project.path("manifest.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let (line, column) = manifest
        .lines()
        .enumerate()
        .find_map(|(line, words)| Some((line + 1, words.find(text)? + 1)))
        .unwrap();
    format!("(at: {}:{line}:{column})", path.display())
}

#[test]
fn an_option_two_levels_down_has_line_column_and_the_nearest_spelling() {
    let project = Project::new();
    let retriever = |encoder: &str, rest: &str| {
        format!(
            "retriever:\n  use: dense\n  encoder:\n    use: t5\n    model: model\n{encoder}{rest}  index: exact\n"
        )
    };
    for (encoder, rest, key, says, hint) in [
        (
            "    max_token: 64\n",
            "",
            "max_token: 64",
            "retriever.encoder.max_token: unknown option `max_token`",
            "did you mean `max_tokens`? allowed: ",
        ),
        (
            "    max_tokens: many\n",
            "",
            "max_tokens: many",
            "retriever.encoder.max_tokens: invalid type: string \"many\", expected a whole number",
            "",
        ),
        (
            "    init: randon\n",
            "",
            "init: randon",
            "retriever.encoder.init: unknown value `randon`",
            "did you mean `random`? allowed: ",
        ),
        (
            "",
            "  vectors: f61\n",
            "vectors: f61",
            "retriever.vectors: unknown value `f61`",
            "did you mean `f16`? allowed: ",
        ),
    ] {
        project.manifest(&[&retriever(encoder, rest)]);
        fails(&project, &[], 2, &[says, &place(&project, key), hint]);
    }
}

#[test]
fn an_option_in_a_list_or_an_arm_has_its_place() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let path = project.path("manifest.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    for (from, to, says, key, hint) in [
        (
            "{ reader: p3, source: pool.jsonl }",
            "{ reader: { use: p3, variant: papre }, source: pool.jsonl }",
            "pool[0].reader.variant: unknown value `papre`",
            "variant",
            "did you mean `paper`?",
        ),
        (
            "same_as: retrieved",
            "same_as: retreived",
            "arms.random.selection.same_as: there is no arm `retreived`",
            "same_as",
            "did you mean `retrieved`?",
        ),
        (
            "  none: { trainer: none }",
            "  other: { retriever: { use: bm25, b1: 2 } }",
            "arms.other.retriever.b1: unknown option `b1`",
            "b1",
            "did you mean `b`? allowed: ",
        ),
    ] {
        assert!(manifest.contains(from));
        std::fs::write(&path, manifest.replace(from, to)).unwrap();
        fails(&project, &[], 2, &[says, &place(&project, key), hint]);
    }
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
        ("retriever: t5\n", "`t5` is a component of kind"),
        ("retriever: { use: dense, encoder: bm25, index: exact }\n", "is a component of kind"),
        ("retriever: bm25\nretriever: bm25\n", "the key `retriever` is there twice"),
        ("retriever: bm25\nseeds: []\n", "seeds: needs at least one seed"),
        ("retriever: bm25\nseeds: [1, 2, 1]\n", "seeds[2]: seed 1 comes twice"),
    ] {
        project.manifest(&[block]);
        fails(&project, &[], 2, &[says, "manifest.yaml:"]);
        assert!(!project.path("runs").exists(), "nothing is written for {block}");
    }
}

#[test]
fn nothing_to_take_and_no_arm_are_told() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    for (set, says) in [
        ("pool[0].limit=0", "pool[0].limit: must be at least 1"),
        ("arms={}", "arms: needs at least one arm"),
    ] {
        fails(
            &project,
            &["--set", set],
            2,
            &[says, &format!("--set {}", says.split(':').next().unwrap())],
        );
    }
}

#[test]
fn what_of_yaml_a_manifest_may_not_have_is_one_message_with_its_place_and_a_remedy() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let path = project.path("manifest.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    let merged = "arms:\n  base: &base {}\n  more: { <<: *base }";
    for (from, to, key, says, hint) in [
        (
            "queries: 8",
            "queries: 8, queries: 9",
            "queries: 9",
            "`queries` is there twice",
            "remove",
        ),
        ("arms:", merged, "<<", "merge keys (`<<`) are not supported", "write the block out"),
        ("source: pool.jsonl", "source: *pool", "*pool", "no YAML", "a block marked `&name`"),
        ("  - { reader", "\t- { reader", "\t- {", "no YAML", "indent with spaces, not tabs"),
    ] {
        assert!(good.contains(from));
        std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let place = place(&project, key);
        fails(&project, &[], 2, &[says, place.trim_start_matches('('), hint]);
    }
    let long = format!("{good}# {}\n", "x".repeat(10 << 20));
    for (text, parts) in [
        ("", ["the manifest is empty", "manifest.yaml:1:1)", "it begins with `version: 1`"]),
        (long.as_str(), ["the manifest is larger than 4 MiB", "manifest.yaml)", "by a glob"]),
    ] {
        std::fs::write(&path, text).unwrap();
        fails(&project, &[], 2, &parts);
    }
    assert!(!project.path("runs").exists(), "nothing is written");
}

#[test]
fn an_anchor_stands_for_its_block_wherever_its_alias_is() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let path = project.path("manifest.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    let with = good
        .replace("- { reader: p3,", "- { reader: &p3 { use: p3 },")
        .replace("name: mood, reader: p3,", "name: mood, reader: *p3 ,");
    assert!(with.contains("&p3") && with.contains("*p3"));
    std::fs::write(&path, with).unwrap();
    project.deft("check").succeed();
}

#[test]
fn a_missing_source_is_named_before_anything_runs() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    let set = ["--set", "pool[0].source=gone/*.jsonl"];
    fails(&project, &set, 2, &["nothing is at `gone/*.jsonl`"]);
    assert!(!project.path("runs").exists(), "nothing is written");
}

#[test]
fn a_bad_data_line_is_named_by_file_and_line() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_BM25]);
    project.write("pool.jsonl", "{\"input\": \"a\", \"target\": \"b\"}\n{\"input\": \n");
    fails(&project, &[], 1, &["pool.jsonl", "line: 2"]);
}

/// Tasks of Natural Instructions as a folder and as a file.
const NI: &str = "version: 1
name: two
seed: 1
plugins: [ni, bm25]
pool:
  - { reader: { use: ni, split: train }, source: ni }
  - { reader: { use: ni, split: train }, source: ni/tasks/task2.json }
retriever: bm25
tasks: [{ name: q, reader: ni, query_source: ni/tasks/task1.json }]
";

#[test]
fn of_two_readers_with_the_same_options_the_one_is_named_whose_source_is_at_fault() {
    let project = Project::new();
    let task = r#"{"Definition": ["Do it."], "Categories": ["Text Matching"],
        "Instances": [{"id": "i0", "input": "x", "output": ["yes"]}]}"#;
    for name in ["task1", "task2"] {
        project.write(&format!("ni/tasks/{name}.json"), task);
    }
    project.write("ni/splits/default/train_tasks.txt", "task1\n");
    project.write("ni/splits/default/test_tasks.txt", "task2\n");
    project.write("manifest.yaml", NI);
    let says = "error: pool[1].reader.split: `split` chooses among the tasks of a folder";
    fails(&project, &[], 2, &[says, "task2.json", "manifest.yaml:7:26)"]);
}
