//! Manifests and `--set`.

use std::fs;

use deft_core::{Error, ErrorKind, Result};
use deft_fuzz::{Seed, fuzz};
use deft_host::manifest::{Document, Manifest};

const WHOLE: &str = r#"version: 1
name: rte-dense
note: "with a \"note\""
seed: 42
plugins: [p3, t0, t5, exact, dense]
store: ${DEFT_SURELY_UNSET:-runs}/.store
rows_per_part: 5000
pool:
  - { reader: p3, source: data/p3/*.jsonl.zst }
  - reader: &reader
      use: p3
      variant: paper
    source: data/more
    limit: 10
  - { reader: *reader, source: "third" }
retriever:
  use: dense
  encoder: { use: t5, model: google/t5-xl-lm-adapt, device: cuda, max_tokens: 512 }
  index: { use: faiss, factory: "OPQ8_512,HNSW512,PQ8", ef_search: 128 }
selection: { policy: union, queries: 1000, neighbors: 500 }
trainer: { use: t5, model: m, epochs: 5, learning_rate: 5.0e-5 }
tasks:
  - name: rte
    reader: { use: t0/rte, variant: paper }
    query_source: data/rte/train.jsonl
    training_source: data/rte/few.jsonl
    validation_source: data/rte/more.jsonl
    evaluation_source: data/rte/validation.jsonl
    related: [super_glue, 'anli*']
  - { name: cb, reader: t0/cb, query_source: q }
seeds: [1, 2, 3]
arms:
  retrieved: {}
  random: { selection: { policy: random, same_as: retrieved } }
  all: { selection: { policy: all } }
  both:
    train_on: [{ selection: random, limit: 100 }, selection, { task: rte, weight: 2.5 }]
  none: { trainer: none }
"#;

const SMALL: &str = "version: 1\nname: x\nplugins: []\npool: [{reader: p3, source: a}]\n\
                     tasks: []\nretriever: bm25\n";

const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "- ",
    "? ",
    ": ",
    "\t",
    "  ",
    "&a ",
    "*a",
    "<<: *reader",
    "!tag ",
    "!!int ",
    "!!binary ",
    "|\n",
    ">-\n",
    "# ",
    "%YAML 1.2\n",
    "%",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "~",
    "null",
    "true",
    ".nan",
    "-.inf",
    "1e400",
    "0x10",
    "0o7",
    "1_000",
    "${",
    "}",
    "$${",
    "${A:-",
    "same_as: random",
    "train_on: [task]",
    "selection: both",
    "weight: ",
    "policy: ",
    "use: ",
    "none",
    "arms:",
    "\u{85}",
    "\u{feff}",
    "a: a: a",
];

/// What every refused manifest tells: one line that says where, and it is the user's to mend.
fn check_refusal(error: &Error) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Options, "{text}");
    let place = error.context("at");
    assert!(place.is_some_and(|at| at.contains("m.yaml") || at.starts_with("--set ")), "{text}");
    assert!(!text.contains('\n') && text.len() < 2000, "{text:?}");
}

fn check(loaded: Result<(Manifest, Document)>) {
    let (manifest, document) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return check_refusal(&error),
    };
    let order = manifest.arm_order().expect("checked");
    assert_eq!(order.len(), manifest.arms.len());
    for arm in order {
        manifest.retriever_of(arm);
        manifest.trainer_of(arm);
    }
    for option in ["", "name", "pool[0].reader", "pool[99].x", "arms.random.selection.size", "[["] {
        check_refusal(&document.locate(Error::option_at(option, "wrong")));
    }
}

#[test]
fn mutated_manifests_are_read_or_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    let seeds = [Seed::new(WHOLE), Seed::new(SMALL), Seed::new(WHOLE.replace('\n', "\r\n"))];
    fuzz("manifest", &seeds, WORDS, |input| {
        fs::write(&path, input).expect("written");
        check(Manifest::load(&path, &[]));
        check(Manifest::load(&path, &["retriever.index.ef_search=512".to_owned()]));
    });
}

#[test]
fn mutated_overrides_are_set_or_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    fs::write(&path, WHOLE).expect("written");
    let seeds = [
        "retriever.index.ef_search=512",
        "pool[1].reader.variant=fixed",
        "arms.random.selection={policy: random, size: 5}",
        "seeds=[1, 2]",
        "name=${HOME:-x}",
        "trainer=none\nseed=1\npool[0].limit=3\nretriever=bm25",
    ];
    fuzz("override", &seeds.map(Seed::new), WORDS, |input| {
        let sets: Vec<String> =
            String::from_utf8_lossy(input).split('\n').map(str::to_owned).collect();
        check(Manifest::load(&path, &sets));
    });
}

#[test]
fn manifests_of_a_single_sign_are_refused_in_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.yaml");
    let signs = [
        "[",
        "{",
        "]",
        "- ",
        "? ",
        "a: ",
        "- - ",
        "*",
        "&a ",
        "!",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "%",
        "\n",
        "\r",
        " ",
        "\t",
        "a\n",
        "a: b\n",
        "- a\n",
        "a: |\n",
        "\u{0}",
        "{a: ",
        "[a, ",
        ",",
        ": ",
        "--- \n",
        "---\n...\n",
        "a:\n ",
        "[]",
        "\\",
        "\u{feff}",
        "`",
        "@",
    ];
    for sign in signs {
        let text = sign.repeat((1 << 20) / sign.len());
        let start = std::time::Instant::now();
        fs::write(&path, text).expect("written");
        let error = Manifest::load(&path, &[]).expect_err(sign);
        check_refusal(&error);
        let took = start.elapsed();
        assert!(took < std::time::Duration::from_secs(5), "{sign:?}: {took:?}");
    }
}
