//! Equality with numpy, `datasets` and Python, by `parity/metrics/hf_splits.json` of the shared
//! folder.

use std::path::PathBuf;

use serde_json::Value;

use crate::{Held, PythonRandom, shuffle, train_test_split};

/// The golden cases under a key; none where the shared folder is absent.
fn cases(key: &str) -> Vec<Value> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = shared.join("parity/metrics/hf_splits.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return Vec::new();
    };
    let all: Value = serde_json::from_str(&text).unwrap();
    all[key].as_array().cloned().unwrap_or_default()
}

fn number(case: &Value, key: &str) -> Option<usize> {
    case[key].as_u64().map(|number| usize::try_from(number).unwrap())
}

/// Compares as many rows as a case lists.
fn check_start(rows: &[usize], case: &Value, key: &str) {
    let wanted: Vec<usize> = serde_json::from_value(case[key].clone()).unwrap();
    assert_eq!(rows[..wanted.len()], wanted, "{case}");
}

#[test]
fn parity_of_shuffles() {
    for case in cases("shuffle") {
        let rows = shuffle(number(&case, "n").unwrap(), case["seed"].as_u64().unwrap());
        check_start(&rows, &case, "first20");
    }
}

#[test]
fn parity_of_train_and_test_splits() {
    for case in cases("train_test_split") {
        let held = match (number(&case, "train_size"), number(&case, "test_size")) {
            (Some(size), None) => Held::Train(size),
            (None, Some(size)) => Held::Test(size),
            _ => panic!("one size should be there: {case}"),
        };
        let seed = case["seed"].as_u64().unwrap();
        let split = train_test_split(number(&case, "n").unwrap(), held, seed);
        assert_eq!(Some(split.train.len()), number(&case, "n_train"), "{case}");
        assert_eq!(Some(split.test.len()), number(&case, "n_test"), "{case}");
        check_start(&split.train, &case, "train_first20");
        check_start(&split.test, &case, "test_first20");
    }
}

#[test]
fn parity_of_pythons_shuffle() {
    for case in cases("python_random_shuffle") {
        let mut rows: Vec<usize> = (0..number(&case, "n").unwrap()).collect();
        PythonRandom::new(case["seed"].as_u64().unwrap()).shuffle(&mut rows);
        check_start(&rows, &case, "first20");
    }
}
