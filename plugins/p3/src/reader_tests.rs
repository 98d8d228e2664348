//! Tests of the whole reader: made-up files, the golden cases, and the real pool where it is there.

use super::*;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::config::{Unlabelled, Variant};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use deft_core::NoServices;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

const FIXED: P3Config =
    P3Config { variant: Variant::Fixed, unlabelled: Unlabelled::Skip, keep_extra: false };
const PAPER: P3Config = P3Config { variant: Variant::Paper, ..FIXED };

/// Everything in a source, read in batches of `max` rows.
fn read_by(source: &Path, config: P3Config, max: usize) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let mut stream = P3Reader { config }.open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() + batch.skipped.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// Everything in a file of this content.
fn read(content: &str, config: P3Config) -> Result<Batch> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, content).unwrap();
    read_by(&path, config, 1000)
}

fn example(input: &str, target: &str) -> Example {
    Example { input: input.to_owned(), target: Some(target.to_owned()), ..Example::default() }
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

#[test]
fn both_worlds_of_field_names_are_understood() {
    let content = r#"{"input": "a", "target": "b", "dataset": "d", "template": "t", "id": 1}
{"inputs_pretokenized": "a", "targets_pretokenized": "\nb", "answer_choices": null, "inputs": [1]}
{"input": null, "inputs_pretokenized": "a", "target": "b", "answer_choices": []}
"#;
    let batch = read(content, FIXED).unwrap();
    let provenance = Provenance { dataset: "d".to_owned(), template: "t".to_owned() };
    let plain = example("a", "b");
    let first = Example { provenance, ..plain.clone() };
    assert_eq!(batch.examples, [first, plain.clone(), plain]);
    assert_eq!(batch.skipped, []);
}

#[test]
fn rows_of_a_configuration_of_p3_are_known_by_its_folder_and_not_by_what_links_lead_to() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("imdb_Reviewer_Enjoyment/train");
    fs::create_dir_all(&folder).unwrap();
    let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let columns = [("inputs_pretokenized", column("i")), ("targets_pretokenized", column("t"))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let blob = dir.path().join("blob");
    let file = fs::File::create(&blob).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    symlink(&blob, folder.join("0000.parquet")).unwrap();
    let provenance =
        Provenance { dataset: "imdb".to_owned(), template: "Reviewer_Enjoyment".to_owned() };
    for source in [folder.join("0000.parquet"), dir.path().join("imdb_Reviewer_Enjoyment")] {
        let batch = read_by(&source, FIXED, 10).unwrap();
        assert_eq!(
            batch.examples,
            [Example { provenance: provenance.clone(), ..example("i", "t") }]
        );
    }
}

#[test]
fn rows_without_input_or_target_are_left_out_with_line_and_reason() {
    let content = r#"{"target": "b"}
{"input": "a"}

{"input": "a", "target": 3}
{"input": "a", "target": ["b"]}
{"input": "a", "target": ""}

"#;
    let batch = read(content, FIXED).unwrap();
    assert_eq!(batch.examples, [example("a", "")]);
    let skipped: Vec<_> = batch.skipped.iter().map(|s| (s.row, s.reason.as_str())).collect();
    let expected = [
        (1, "input missing"),
        (2, "target missing"),
        (3, "empty line"),
        (4, "target is not a string"),
        (5, "target is not a string"),
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn a_file_without_any_input_is_refused_with_the_fields_that_it_has() {
    let content =
        "\n{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": 0}\n{\"target\": \"b\"}\n";
    for config in [FIXED, PAPER, P3Config { unlabelled: Unlabelled::Keep, ..FIXED }] {
        let error = read(content, config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.message(), "no row of the file has `input` or `inputs_pretokenized`");
        assert_eq!(error.context("line"), Some("2"));
        assert_eq!(error.context("found"), Some("the fields premise, hypothesis, label"));
        assert!(error.context("file").is_some_and(|file| file.ends_with("a.jsonl")));
        assert!(error.hint().is_some_and(|hint| hint.contains("of another task?")), "{error}");
    }
}

#[test]
fn a_file_without_any_input_is_refused_also_where_others_of_the_folder_have_some() {
    let dir = tempfile::tempdir().unwrap();
    let (good, foreign) = (r#"{"input": "a", "target": "b"}"#, r#"{"premise": "p"}"#);
    // A row without target has an input, and so the file is this reader's.
    let unlabelled = r#"{"input": "a"}"#;
    for (name, lines) in [("a", [good, foreign]), ("b", [foreign, unlabelled])] {
        let path = dir.path().join(name).with_extension("jsonl");
        fs::write(path, lines.join("\n")).unwrap();
    }
    let batch = read_by(dir.path(), FIXED, 10).unwrap();
    assert_eq!((batch.examples.len(), batch.skipped.len()), (1, 3));
    fs::write(dir.path().join("c.jsonl"), foreign).unwrap();
    for max in [1, 4, 10] {
        let error = read_by(dir.path(), FIXED, max).unwrap_err();
        assert!(error.context("file").is_some_and(|file| file.ends_with("c.jsonl")), "{error}");
    }
}

#[test]
fn other_scalars_are_kept_on_request() {
    let content =
        r#"{"input": "a", "target": "b", "id": 1, "x": "é", "y": true, "z": null, "l": []}"#;
    assert!(read(content, FIXED).unwrap().examples[0].extra.is_empty());
    let batch = read(content, P3Config { keep_extra: true, ..FIXED }).unwrap();
    let extra = Value::from(batch.examples[0].extra.clone());
    assert_eq!(extra, json!({"id": 1, "x": "é", "y": true}));
}

#[test]
fn a_known_field_of_a_wrong_type_is_an_error() {
    let check = |field: &str, message: &str, found: &str| {
        let content = format!("\n{{\"target\": \"b\", {field}}}");
        let error = read(&content, FIXED).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.message(), message);
        assert_eq!((error.context("line"), error.context("found")), (Some("2"), Some(found)));
        assert!(error.context("file").is_some_and(|file| file.ends_with("a.jsonl")));
    };
    check(r#""input": 1.5"#, "`input` must be a string", "a number");
    check(r#""dataset": {"a": 1}"#, "`dataset` must be a string", "an object");
    let rule = "`answer_choices` must be a list of strings";
    check(r#""answer_choices": "a""#, rule, "a string");
    check(r#""answer_choices": ["a", null]"#, rule, "a list with null");
    check(r#""answer_choices": [true]"#, rule, "a list with a boolean");
}

#[test]
fn batches_and_compression_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let row = |i| json!({"input": format!("input\n{i}"), "target": "é \"quoted\""});
    let line = |i| if i % 7 == 3 { "\n\n".to_owned() } else { format!("{}\n", row(i)) };
    let content = (0..50).map(line).collect::<Vec<_>>().concat();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let plain = write("a.jsonl", content.as_bytes());
    // Two members, as `cat a.gz b.gz` makes them.
    let (start, end) = content.as_bytes().split_at(content.len() / 2);
    let gzip = [start, end].map(|part| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    });
    let zstd = [start, end].map(|part| zstd::encode_all(part, 1).unwrap());
    let expected = read_by(&plain, FIXED, 1000).unwrap();
    assert_eq!(expected.examples.len() + expected.skipped.len() / 2, 50);
    for path in [plain, write("b.json.gz", &gzip.concat()), write("c.jsonl.zst", &zstd.concat())] {
        for max in [1, 7, 1000] {
            let batch = read_by(&path, FIXED, max).unwrap();
            assert_eq!(batch.examples, expected.examples, "{}", path.display());
            assert_eq!(batch.skipped, expected.skipped, "{}", path.display());
        }
    }
}

#[test]
fn a_folder_gives_the_rows_of_its_files_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.jsonl", "a.jsonl", "c.jsonl"] {
        let row = json!({"input": name, "target": ""});
        let content = if name.starts_with('b') { String::new() } else { format!("{row}\n\n") };
        fs::write(dir.path().join(name), content).unwrap();
    }
    let batch = read_by(dir.path(), FIXED, 1000).unwrap();
    assert_eq!(batch.examples, [example("a.jsonl", ""), example("c.jsonl", "")]);
}

#[test]
fn the_paper_variant_does_what_the_original_reader_did() {
    let Some(path) = shared("parity/prompts.jsonl") else { return };
    let cases = fs::read_to_string(path).unwrap();
    let cases = cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for case in cases.filter(|case| case["reader"] == "p3_jsonl") {
        let batch = read(&case["raw"].to_string(), PAPER).unwrap();
        let found: Vec<_> = batch
            .examples
            .iter()
            .map(|e| json!({"input": e.input, "options": e.options, "gold": e.gold}))
            .collect();
        assert_eq!(Value::from(found), case["expected"], "{}", case["raw"]);
    }
}

#[test]
fn the_real_pool_reads_alike_from_json_gzip_and_parquet() {
    let paths = ["p3_sample_1k.jsonl", "p3_sample.jsonl.gz", "p3_sample_2k.parquet"];
    let [Some(lines), Some(gzip), Some(parquet)] =
        paths.map(|name| shared(&format!("data/pool/{name}")))
    else {
        return;
    };
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&gzip).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let whole = read_by(&gzip, FIXED, 5000).unwrap();
    assert_eq!(whole.examples.len(), bytes.split(|&byte| byte == b'\n').count() - 1);
    assert_eq!(whole.skipped, []);
    assert!(whole.examples.iter().all(|e| !e.provenance.dataset.is_empty() && e.gold.is_none()));

    // The two others are its first rows.
    let lines = read_by(&lines, FIXED, 100).unwrap();
    assert_eq!(lines.examples, whole.examples[..lines.examples.len()]);
    let parquet = read_by(&parquet, FIXED, 300).unwrap();
    assert_eq!(parquet.skipped, []);
    assert!(!parquet.examples.is_empty());
    for (found, expected) in parquet.examples.iter().zip(&whole.examples) {
        assert_eq!((&found.input, &found.target), (&expected.input, &expected.target));
        assert_eq!(found.gold.is_some(), !found.options.is_empty());
    }
}

#[test]
fn few_shot_files_are_examples_with_options_and_gold() {
    let Some(folder) = shared("data/few_shot/rte") else { return };
    let batch = read_by(&folder, FIXED, 1000).unwrap();
    assert!(!batch.examples.is_empty());
    for example in &batch.examples {
        let gold = example.gold.map(|gold| &example.options[gold]);
        assert_eq!(gold, example.target.as_ref());
    }
}
