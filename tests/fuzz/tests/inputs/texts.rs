//! Sources of JSON lines, plain and compressed.

use std::fs;
use std::io::Write;
use std::path::Path;

use deft_core::Reader;
use deft_fuzz::{Seed, fuzz};
use deft_lines::{Compression, JsonLines, Line};
use serde_json::{Value, json};

use crate::support::{handled, read_all, reader};

const POOL: &str = r#"{"input": "a premise\nand more", "target": "yes", "answer_choices": ["yes", "no"], "dataset": "super_glue", "template": "t", "idx": 3}
{"inputs_pretokenized": "\u00e9\ud83d\ude00", "targets_pretokenized": " no ", "extra": {"deep": [1, 2.5e-3, null]}}

{"input": "", "target": null, "answer_choices": null, "flag": true, "number": -12}
{"input": "last", "target": "4"}
"#;

const RTE: &str = r#"{"premise": "It rains.", "hypothesis": "It is wet.", "label": 0, "idx": 1}
{"premise": "p", "hypothesis": "h", "label": -1, "idx": {"a": [1]}}
{"premise": "", "hypothesis": "\u2028", "idx": null}
"#;

const WORDS: &[&str] = &[
    "\"input\":",
    "\"target\":",
    "\"answer_choices\":",
    "\"label\":",
    "\"premise\":",
    "[[[[[[[[",
    "{\"a\":",
    "\\u",
    "\\ud800",
    "\\",
    "null",
    "true",
    "1e400",
    "-0",
    "\u{feff}",
    "\u{2028}",
    "\n\n",
    "\r",
    "\u{0}",
    "{}\n",
    "[]\n",
    "\x1f",
    "\u{fffd}",
];

fn lines(path: &Path, compression: Compression) {
    let Some(mut lines) = handled(JsonLines::open(path, compression)) else { return };
    while let Some(Some(line)) = handled(lines.advance()) {
        if matches!(line, Line::Object(_)) {
            handled(lines.parse::<Value>());
        }
    }
}

fn readers() -> [std::sync::Arc<dyn Reader>; 3] {
    [
        reader("p3", "p3", &json!({})),
        reader("p3", "p3", &json!({"variant": "paper", "unlabelled": "keep", "keep_extra": true})),
        reader("t0", "t0/rte", &json!({})),
    ]
}

fn check(kind: &str, name: &str, compression: Compression, seeds: &[Seed]) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    let readers = readers();
    fuzz(kind, seeds, WORDS, |input| {
        fs::write(&path, input).expect("written");
        lines(&path, compression);
        for reader in &readers {
            read_all(&**reader, &path);
        }
    });
}

#[test]
fn mutated_lines_are_read_or_refused() {
    check("jsonl", "a.jsonl", Compression::None, &[Seed::new(POOL), Seed::new(RTE)]);
}

#[test]
fn damaged_gzip_is_read_or_refused() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).expect("compressed");
        encoder.finish().expect("compressed")
    };
    let seeds = [Seed::new(gzip(POOL)), Seed::new(gzip(&RTE.repeat(200))).hot(0..20)];
    check("gzip", "a.jsonl.gz", Compression::Gzip, &seeds);
}

#[test]
fn damaged_zstd_is_read_or_refused() {
    let zstd = |text: &str, level| zstd::encode_all(text.as_bytes(), level).expect("compressed");
    let seeds = [Seed::new(zstd(POOL, 1)), Seed::new(zstd(&RTE.repeat(200), 19)).hot(0..20)];
    check("zstd", "a.jsonl.zst", Compression::Zstd, &seeds);
}
