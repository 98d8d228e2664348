//! Mistakes that are found before anything runs: in the manifest, and about plugins.

use deft_e2e::{copy_with_descriptor, program_dir};
use serde_json::json;

use super::{Mistake, mistake, on_command_line, replace};

pub(crate) fn manifest() -> Vec<Mistake> {
    vec![
        on_command_line("The manifest is in another folder.", &["run", "quickstart.yaml"]),
        mistake("A key is misspelt.", |project| {
            replace(project, "selection:", "selektion:");
        }),
        mistake("A line is indented with a tab.", |project| {
            replace(project, "  - { reader", "\t- { reader");
        }),
        mistake("A text with a colon and a space has no quotes.", |project| {
            replace(project, "name: small\n", "name: small\nnote: second try: more neighbors\n");
        }),
        mistake("A list is written as one word.", |project| {
            replace(project, "plugins: [p3, t5, exact, dense, bm25]", "plugins: bm25");
        }),
        mistake("A number is written as a word.", |project| {
            replace(project, "neighbors: 10", "neighbors: ten");
        }),
        mistake("Hits per query are 0.", |project| {
            replace(project, "neighbors: 10", "neighbors: 0");
        }),
        mistake("The list of seeds is empty.", |project| {
            replace(project, "seed: 5", "seed: 5\nseeds: []");
        }),
        mistake("An option of a component is misspelt.", |project| {
            replace(project, "retriever: bm25", "retriever: { use: bm25, k_1: 1.2 }");
        }),
        mistake("An arm refers to one that is not there.", |project| {
            replace(project, "same_as: retrieved", "same_as: retreived");
        }),
        mistake("Two tasks have one name.", |project| {
            replace(
                project,
                "arms:",
                "  - { name: mood, reader: p3, query_source: queries.jsonl }\narms:",
            );
        }),
        mistake("A task has no `query_source`.", |project| {
            replace(project, "query_source: queries.jsonl, ", "");
        }),
        mistake("A variable of the environment is not set.", |project| {
            replace(project, "source: pool.jsonl", "source: \"${DATA}/pool.jsonl\"");
        }),
        on_command_line(
            "`--set` names a key that is not there.",
            &["run", "manifest.yaml", "--set", "selection.neighbours=50"],
        ),
        on_command_line("`--set` has no value.", &["run", "manifest.yaml", "--set", "seed"]),
    ]
}

pub(crate) fn plugins() -> Vec<Mistake> {
    vec![
        mistake("A plugin's name is misspelt.", |project| {
            replace(project, "dense, bm25]", "dense, bm52]");
        }),
        mistake("A component is used whose plugin is not in `plugins`.", |project| {
            replace(project, "dense, bm25]", "dense]");
        }),
        mistake("A component is listed in place of its plugin.", |project| {
            replace(project, "plugins: [p3,", "plugins: [p3, t0/rte,");
        }),
        mistake("A component's name is misspelt.", |project| {
            replace(project, "retriever: bm25", "retriever: bm-25");
        }),
        mistake("A component stands where one of another kind belongs.", |project| {
            replace(
                project,
                "retriever: bm25",
                "retriever: { use: dense, encoder: exact, index: exact }",
            );
        }),
        mistake("A plugin was not built again after an update of DEFT.", |project| {
            let from = program_dir().join("libdeft_bm25.so");
            copy_with_descriptor(&from, &project.path("libdeft_bm25.so"), |descriptor| {
                descriptor["core"] = json!("0.0.9");
            });
        }),
        mistake("A plugin was copied only in part.", |project| {
            let bytes = std::fs::read(program_dir().join("libdeft_exact.so")).unwrap();
            std::fs::write(project.path("libdeft_exact.so"), &bytes[..1 << 20]).unwrap();
        }),
    ]
}
