//! Single components at work, and a run done piece by piece.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use deft_e2e::{Deft, Project, RETRIEVER_BM25, RETRIEVER_DENSE, read_npy, shared, skipped};
use serde_json::Value;

/// The tensor `pooled_mean` of a golden file.
fn pooled_mean(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |i: usize| {
        let offset = header["pooled_mean"]["data_offsets"][i].as_u64().unwrap();
        8 + length + usize::try_from(offset).unwrap()
    };
    let data = &bytes[offset(0)..offset(1)];
    data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

#[test]
fn encode_gives_the_vectors_of_the_reference_in_input_order() {
    let Some(shared) = shared() else { return skipped("no shared data") };
    let Ok(models) = std::fs::read_dir(shared.join("parity/t5")) else {
        return skipped("no golden T5 models");
    };
    for model in models.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("vectors.npy");
        let encoder = format!("{{use: t5, model: {}}}", model.display());
        Deft::new(&["encode", "--encoder", &encoder, "--input"])
            .arg(model.join("examples.jsonl"))
            .arg("--output")
            .arg(&output)
            .succeed();
        let (rows, vectors) = read_npy(&output);
        let expected = pooled_mean(&model.join("goldens.safetensors"));
        let examples = std::fs::read_to_string(model.join("examples.jsonl")).unwrap();
        assert_eq!(rows, examples.lines().count());
        assert_eq!(vectors.len(), expected.len());
        for (found, wanted) in vectors.iter().zip(&expected) {
            assert!((found - wanted).abs() <= 1e-4, "{found} is not {wanted}");
        }
    }
}

#[test]
fn plain_lines_and_safetensors_give_the_same_vectors_as_jsonl_and_npy() {
    let project = Project::new();
    project.write("texts.txt", "say the film was good\nsay no\n");
    project
        .write("texts.jsonl", "{\"input\": \"say the film was good\"}\n{\"input\": \"say no\"}\n");
    let encode = |input: &str, output: &str| {
        let encoder =
            format!("{{use: t5, model: {}, init: random}}", project.path("model").display());
        Deft::new(&["encode", "--encoder", &encoder, "--input"])
            .arg(project.path(input))
            .arg("--output")
            .arg(project.path(output))
            .succeed();
        std::fs::read(project.path(output)).unwrap()
    };
    let npy = encode("texts.txt", "a.npy");
    assert_eq!(npy, encode("texts.jsonl", "b.npy"));
    let safetensors = encode("texts.jsonl", "c.safetensors");
    let numbers = &npy[npy.len() - 2 * 16 * 4..];
    assert_eq!(&safetensors[safetensors.len() - numbers.len()..], numbers);
}

#[test]
fn units_done_one_by_one_equal_an_index_made_at_once() {
    let at_once = Project::new();
    at_once.manifest(&[RETRIEVER_DENSE]);
    at_once.deft("index").succeed();

    let by_unit = Project::new();
    by_unit.manifest(&[RETRIEVER_DENSE]);
    let unit = |phase: &str, unit: &str| {
        by_unit.deft("unit").arg("--phase").arg(phase).arg("--unit").arg(unit)
    };
    let early = unit("index", "0").run();
    assert_eq!(early.code, 1);
    assert!(early.stderr.contains("phase `encode` must be complete first"), "{}", early.stderr);
    for number in ["3", "1", "0", "2"] {
        unit("encode", number).succeed();
    }
    for number in ["1", "0", "2", "3"] {
        unit("index", number).succeed();
    }
    let missing = unit("encode", "4").run();
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("has no unit 4"), "{}", missing.stderr);
    by_unit.deft("index").succeed();
    assert_eq!(by_unit.results(), at_once.results());
}

#[test]
fn search_finds_a_pool_example_by_its_own_text() {
    let project = Project::new();
    for retriever in [RETRIEVER_BM25, RETRIEVER_DENSE] {
        project.manifest(&[retriever]);
        let pool = std::fs::read_to_string(project.path("pool.jsonl")).unwrap();
        let wanted: Value = serde_json::from_str(pool.lines().nth(17).unwrap()).unwrap();
        let query = wanted["input"].as_str().unwrap();
        let search = project.deft("search").arg("--query").arg(query).arg("-k").arg("5");
        let found = search.arg("--json").succeed().stdout;
        assert_eq!(found.lines().count(), 5);
        let first: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
        assert_eq!(first["rank"], 1);
        assert_eq!(first["example"]["input"], wanted["input"], "{first}");
    }
}

#[test]
fn check_accepts_the_manifests_of_the_repository_where_their_data_is() {
    if shared().is_none() {
        return skipped("no shared data");
    }
    for name in ["rte-bm25.yaml", "rte-dense.yaml", "rte-fusion.yaml"] {
        let path = deft_e2e::program_dir().join("../../manifests").join(name);
        let output = Deft::new(&["check"]).arg(path).succeed();
        assert!(output.stdout.contains("fine"), "{}", output.stdout);
    }
}
