//! Tests of the readers: the golden cases, made-up records, and the real data where they are there.

use super::*;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::tasks::{Cb, Copa, Rte};
use deft_core::NoServices;
use serde_json::{Value, json};

/// Everything in a source, read in batches of `max` rows.
fn read_by<T: Task>(source: &Path, variant: Variant, max: usize) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = T0Reader::<T>::new(&ctx, T0Config { variant }, Children::none())?;
    let mut stream = reader.open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() + batch.skipped.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// The example of a record, or the error with the file's path shortened to its name.
fn read<T: Task>(record: &Value, variant: Variant) -> Result<Example, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, record.to_string()).unwrap();
    match read_by::<T>(&path, variant, 10) {
        Ok(batch) => Ok(batch.examples.into_iter().next().unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data);
            Err(error.to_string().replace(&path.display().to_string(), "a.jsonl"))
        }
    }
}

fn copa(question: &str) -> Value {
    json!({"premise": "It rained.", "choice1": "a", "choice2": "b", "question": question, "label": 1})
}

/// A path of the shared files, if they are here.
fn shared(path: &str) -> Option<PathBuf> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

/// The golden cases of one of the original's readers, in the variant `paper`.
fn check_golden_cases<T: Task>(reader: &str) {
    let Some(path) = shared("parity/prompts.jsonl") else { return };
    let cases = fs::read_to_string(path).unwrap();
    let cases = cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for case in cases.filter(|case| case["reader"] == reader) {
        let example = read::<T>(&case["raw"], Variant::Paper).unwrap();
        let found =
            json!([{"input": example.input, "options": example.options, "gold": example.gold}]);
        assert_eq!(found, case["expected"]);
        assert_eq!(example.target.as_ref(), example.gold.map(|gold| &example.options[gold]));
    }
}

#[test]
fn prompts_of_the_paper_are_the_originals_to_the_letter() {
    check_golden_cases::<Rte>("rte_reader");
    check_golden_cases::<Cb>("cb_reader");
    check_golden_cases::<Copa>("copa_reader");
}

#[test]
fn the_variants_differ_only_in_copa_records_that_ask_for_the_cause() {
    let rte = json!({"premise": "p", "hypothesis": "h", "label": 0});
    assert_eq!(read::<Rte>(&rte, Variant::Fixed), read::<Rte>(&rte, Variant::Paper));
    assert_eq!(read::<Cb>(&rte, Variant::Fixed), read::<Cb>(&rte, Variant::Paper));
    let effect = copa("effect");
    assert_eq!(read::<Copa>(&effect, Variant::Fixed), read::<Copa>(&effect, Variant::Paper));
    assert_eq!(
        read::<Copa>(&copa("cause"), Variant::Fixed).unwrap().input,
        "It rained.  This happened because... \nHelp me pick the more plausible option:\n- a\n- b"
    );
    assert_eq!(
        read::<Copa>(&copa("cause"), Variant::Paper).unwrap().input,
        "It rained.  As a consequence... \nHelp me pick the more plausible option:\n- a\n- b"
    );
}

#[test]
fn provenance_names_data_set_and_task_and_idx_is_kept() {
    let record = json!({"premise": "p", "hypothesis": "h", "label": 1, "idx": 7});
    let example = read::<Rte>(&record, Variant::Fixed).unwrap();
    assert_eq!(example.provenance.dataset, "super_glue");
    assert_eq!(example.provenance.template, "rte");
    assert_eq!(Value::from(example.extra), json!({"idx": 7}));
    assert_eq!((example.target.as_deref(), example.gold), (Some("no"), Some(1)));
}

#[test]
fn a_record_without_label_is_an_example_without_target() {
    for label in [json!({"label": null}), json!({"label": -1}), json!({})] {
        let mut record = json!({"premise": "p", "hypothesis": "h"});
        record.as_object_mut().unwrap().extend(label.as_object().unwrap().clone());
        let example = read::<Cb>(&record, Variant::Fixed).unwrap();
        assert_eq!((example.target, example.gold), (None, None));
        assert_eq!(example.options, ["true", "false", "neither"]);
        assert!(example.extra.is_empty());
    }
}

#[test]
fn wrong_records_are_named_by_file_line_and_field() {
    let error = |record: Value| read::<Rte>(&record, Variant::Fixed).unwrap_err();
    assert_eq!(
        error(json!({"premise": "p", "question": "q"})),
        "a field is missing (file: a.jsonl, line: 1, field: hypothesis, found: the fields \
         premise question, allowed: a string)"
    );
    assert_eq!(
        error(json!({"premise": 3, "hypothesis": "h"})),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, field: premise, \
         found: 3, allowed: a string)"
    );
    for (label, found) in [(json!("entailment"), "\"entailment\""), (json!(2), "2")] {
        assert_eq!(
            error(json!({"premise": "p", "hypothesis": "h", "label": label})),
            format!(
                "a field has a value that is not allowed (file: a.jsonl, line: 1, field: label, \
                 found: {found}, allowed: 0, 1, -1 or null without label)"
            )
        );
    }
    assert_eq!(
        read::<Copa>(&copa("why"), Variant::Fixed).unwrap_err(),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, field: question, \
         found: \"why\", allowed: cause, effect)"
    );
}

#[test]
fn batches_and_compression_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let record =
        |i| json!({"premise": format!("p\n{i}"), "hypothesis": "é", "label": i % 2}).to_string();
    let line = |i| if i % 7 == 3 { "\n\n".to_owned() } else { record(i) + "\n" };
    let content = (0..50).map(line).collect::<Vec<_>>().concat();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    let files = [
        ("a.jsonl", content.clone().into_bytes()),
        ("a.jsonl.gz", encoder.finish().unwrap()),
        ("a.jsonl.zst", zstd::encode_all(content.as_bytes(), 1).unwrap()),
    ];
    let mut first: Option<Batch> = None;
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        for max in [1, 7, 1000] {
            let batch = read_by::<Rte>(&path, Variant::Fixed, max).unwrap();
            let expected = first.get_or_insert_with(|| batch.clone());
            assert_eq!(batch.examples, expected.examples, "{name}");
            assert_eq!(batch.skipped, expected.skipped, "{name}");
        }
    }
    let skipped = first.unwrap().skipped;
    assert_eq!(skipped[..2], [4, 5].map(|row| SkippedRow { row, reason: EMPTY_LINE.to_owned() }));
}

#[test]
fn an_error_far_into_the_file_has_the_right_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let good = json!({"premise": "p", "hypothesis": "h"});
    fs::write(&path, format!("{}\n{{\"premise\": }}\n", format!("{good}\n").repeat(30))).unwrap();
    let error = read_by::<Rte>(&path, Variant::Fixed, 7).unwrap_err();
    assert_eq!(error.message(), "malformed JSON: expected value");
    // Line 31 is empty.
    assert_eq!((error.context("line"), error.context("column")), (Some("32"), Some("13")));
}

#[test]
fn the_real_sets_are_read_whole() {
    fn check<T: Task>() {
        for split in ["train", "validation"] {
            let Some(path) = shared(&format!("data/tasks/{}/{split}.jsonl", T::task())) else {
                return;
            };
            for variant in [Variant::Fixed, Variant::Paper] {
                let batch = read_by::<T>(&path, variant, 100).unwrap();
                assert_eq!(
                    batch.examples.len(),
                    fs::read_to_string(&path).unwrap().lines().count()
                );
                assert!(batch.examples.iter().all(|e| e.gold.is_some()));
            }
        }
    }
    check::<Rte>();
    check::<Cb>();
    check::<Copa>();
}
