//! The same manifest and seed give the same bytes.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, assert_same_results};

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    for retriever in [RETRIEVER_DENSE, RETRIEVER_BM25] {
        let results: Vec<_> = ["1", "2"]
            .iter()
            .map(|threads| {
                let project = Project::new();
                project.manifest(&[retriever, TRAINER]);
                project.deft("run").arg("--threads").arg(threads).succeed();
                project.stable_results()
            })
            .collect();
        assert_same_results(&results[1], &results[0], "at two threads");
    }
}

#[test]
fn another_seed_draws_other_random_examples() {
    let selection = |seed: &str| {
        let project = Project::new();
        project.manifest(&[RETRIEVER_BM25]);
        project.deft("run").arg("--set").arg(seed).succeed();
        let path = project.path("runs/small/tasks/mood/random/selection.jsonl");
        std::fs::read_to_string(path).unwrap()
    };
    assert_ne!(selection("seed=1"), selection("seed=2"));
}
