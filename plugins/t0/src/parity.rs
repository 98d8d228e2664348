//! Prompts, options and right answers equal those of the published code, to the letter.
//!
//! The golden cases lie outside of the repository: `$DEFT_SHARED`, or `shared` beside it. Without
//! them the tests print that they were skipped.

use std::fs;

use serde_json::{Value, json};

use crate::config::Variant;
use crate::tasks::{
    Anli1, Anli2, Anli3, Cb, Copa, HellaSwag, Rte, StoryCloze, Task, Wic, WinoGrande, Wsc,
};
use crate::testing::{read_one, shared};

/// Checks every case of one task; their number.
fn check<T: Task>(cases: &[Value]) -> usize {
    let reader = format!("{}_reader", T::task());
    let cases: Vec<_> = cases.iter().filter(|case| case["reader"] == reader).collect();
    for case in &cases {
        let batch = read_one::<T>(&case["raw"], Variant::Paper).unwrap();
        assert!(batch.skipped.is_empty(), "{reader}: {}", case["raw"]);
        let found: Vec<_> = batch
            .examples
            .iter()
            .map(|e| json!({"input": e.input, "options": e.options, "gold": e.gold}))
            .collect();
        assert_eq!(Value::from(found), case["expected"], "{reader}");
        for example in &batch.examples {
            assert_eq!(example.target.as_ref(), example.gold.map(|gold| &example.options[gold]));
        }
    }
    if cases.is_empty() {
        println!("skipped: no case of {reader}");
    }
    cases.len()
}

#[test]
fn parity_of_prompts_with_the_published_code() {
    let Some(path) = shared("parity/prompts.jsonl") else { return };
    let lines = fs::read_to_string(path).unwrap();
    let cases: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let checked = [
        check::<Rte>(&cases),
        check::<Cb>(&cases),
        check::<Anli1>(&cases),
        check::<Anli2>(&cases),
        check::<Anli3>(&cases),
        check::<HellaSwag>(&cases),
        check::<StoryCloze>(&cases),
        check::<WinoGrande>(&cases),
        check::<Wsc>(&cases),
        check::<Copa>(&cases),
        check::<Wic>(&cases),
    ];
    assert!(checked.iter().sum::<usize>() > 0, "no case is of a task of T0");
}
