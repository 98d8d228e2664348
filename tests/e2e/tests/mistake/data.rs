//! Mistakes about data, models, and the order of commands.

use std::fs;

use deft_e2e::Project;

use super::{Mistake, mistake, on_command_line, replace};

pub(crate) fn data() -> Vec<Mistake> {
    vec![
        mistake("The pool's file is not there.", |project| {
            replace(project, "source: pool.jsonl", "source: pools.jsonl");
        }),
        mistake("A path is written as seen from the shell, not from the manifest.", |project| {
            replace(project, "source: pool.jsonl", "source: project/data/*.jsonl");
        }),
        mistake("The reader does not fit the file.", |project| {
            replace(project, "plugins: [p3,", "plugins: [p3, t0,");
            replace(project, "{ reader: p3, source", "{ reader: t0/rte, source");
        }),
        mistake("A `.json` file with one list is given as JSON lines.", |project| {
            let lines = fs::read_to_string(project.path("pool.jsonl")).unwrap();
            let rows: Vec<&str> = lines.lines().collect();
            project.write("pool.jsonl", &format!("[\n{}\n]\n", rows.join(",\n")));
        }),
        mistake("A download was interrupted.", |project| {
            fs::write(project.path("pool.jsonl.gz"), cut_off(project)).unwrap();
            replace(project, "source: pool.jsonl", "source: pool.jsonl.gz");
        }),
        mistake("A web page was downloaded in place of the file.", |project| {
            project.write("pool.jsonl.gz", "<!DOCTYPE html>\n<html>\n");
            replace(project, "source: pool.jsonl", "source: pool.jsonl.gz");
        }),
        mistake("The pool's file is empty.", |project| project.write("pool.jsonl", "")),
        mistake("Evaluation examples have no answer choices.", |project| {
            let lines = fs::read_to_string(project.path("evaluation.jsonl")).unwrap();
            let without = lines.replace("\"answer_choices\":[\"yes\",\"no\"],", "");
            assert!(without.len() < lines.len());
            project.write("evaluation.jsonl", &without);
        }),
        mistake("Evaluation examples have no labels.", |project| {
            let lines = fs::read_to_string(project.path("evaluation.jsonl")).unwrap();
            let without = lines.replace("\"target\":\"yes\",", "");
            assert!(without.len() < lines.len());
            project.write("evaluation.jsonl", &without);
            let keeping = "mood, reader: { use: p3, unlabelled: keep }";
            replace(project, "mood, reader: p3", keeping);
        }),
    ]
}

/// The start of a gzip file whose one block is longer than what is there.
fn cut_off(project: &Project) -> Vec<u8> {
    let content = fs::read(project.path("pool.jsonl")).unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // A block that is stored as it is: its length, and the length's complement.
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let block = [&[1], &length.to_le_bytes()[..], &(!length).to_le_bytes()[..]].concat();
    [&header[..], &block, &content[..2000]].concat()
}

pub(crate) fn models() -> Vec<Mistake> {
    vec![
        mistake("The model is not in the cache, and HF_HUB_OFFLINE is set.", |project| {
            replace(project, "model: model, init: random", "model: google/t5-small-lm-adapt");
        }),
        mistake("The model's folder has no weights.", |project| {
            replace(project, "model: model, init: random", "model: model");
        }),
        mistake("The model's folder has no tokenizer.", |project| {
            fs::remove_file(project.path("model/tokenizer.json")).unwrap();
        }),
        mistake("The model is none of T5's kind.", |project| {
            project.write("model/config.json", "{\"model_type\": \"bert\", \"hidden_size\": 8}");
        }),
        mistake("A GPU is asked for that this build cannot use.", |project| {
            replace(project, "init: random", "init: random, device: cuda");
        }),
    ]
}

pub(crate) fn running() -> Vec<Mistake> {
    vec![
        on_command_line(
            "A unit is asked for before the phase that it needs.",
            &["unit", "manifest.yaml", "--phase", "merge", "--unit", "0"],
        ),
        on_command_line(
            "A phase is asked for that the retriever does not have.",
            &["unit", "manifest.yaml", "--phase", "encode", "--unit", "0"],
        ),
        mistake("The store cannot be made where the manifest says.", |project| {
            replace(project, "seed: 5", "seed: 5\nstore: pool.jsonl/store");
        }),
        mistake("The run's folder cannot be made.", |project| project.write("runs", "a file")),
    ]
}
