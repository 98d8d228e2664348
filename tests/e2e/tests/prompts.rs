//! `deft read` prints the prompts of the published code, for every reader that has some.
//!
//! Every case of the golden file is checked, or named with the reason why it is not.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;

use deft_e2e::{Deft, Project, shared, skipped};
use serde_json::{Value, json};

/// How a case is read: the reader as on the command line, and the name of a file of its record.
struct How {
    reader: Value,
    file: &'static str,
}

/// How a case of one of the original's readers is read, or why it is not.
fn how(case: &Value, shared: &Path) -> Result<How, String> {
    let name = case["reader"].as_str().unwrap();
    let arguments = &case["reader_args"];
    let plain = |reader: String| {
        Ok(How { reader: json!({"use": reader, "variant": "paper"}), file: "raw.jsonl" })
    };
    match name {
        "p3_jsonl" => plain("p3".to_owned()),
        "casehold_reader" | "sciq_reader" | "drop_reader" => {
            plain(name.trim_end_matches("_reader").to_owned())
        }
        "unfair_tos_reader" | "ledgar_reader" => {
            plain(format!("lexglue/{}", name.trim_end_matches("_reader")))
        }
        "qasper_evidence_prompt" => {
            let ratio = arguments["negative_sample_ratio"].as_f64().unwrap_or(1.0);
            let reader =
                json!({"use": "qasper", "variant": "paper", "negative_sample_ratio": ratio});
            Ok(How { reader, file: "raw.json" })
        }
        "ni_reader" => of_ni(arguments, shared),
        _ => match name.strip_suffix("_reader") {
            Some(task) => plain(format!("t0/{task}")),
            None => Err(format!("no reader here is `{name}`")),
        },
    }
}

/// The published code's prompts are cut to a number of tokens.
fn of_ni(arguments: &Value, shared: &Path) -> Result<How, String> {
    let tokenizer = shared.join("models/t5-tokenizer");
    if !tokenizer.exists() {
        return Err(format!("{} is not here", tokenizer.display()));
    }
    let number = |name: &str, default: u64| arguments[name].as_u64().unwrap_or(default);
    let reader = json!({
        "use": "ni",
        "variant": "paper",
        "tokenizer": tokenizer,
        "definition": arguments["add_task_definition"].as_bool().unwrap_or(true),
        "positive_examples": number("num_pos_examples", 0),
        "negative_examples": number("num_neg_examples", 0),
        "max_tokens": number("max_query_length", 1024),
    });
    Ok(How { reader, file: "raw.jsonl" })
}

/// Checks what the program prints for a case.
fn check(case: &Value, how: &How) {
    let project = Project::new();
    project.write(how.file, &format!("{}\n", case["raw"]));
    let read = Deft::new(&["read", "--reader", &how.reader.to_string(), "--source"]);
    let output = read.arg(project.path(how.file)).run();
    let expected = case["expected"].as_array().unwrap();
    if expected.is_empty() {
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains("there is no example in the source (rows left out: 1, "));
        return;
    }
    assert_eq!(output.code, 0, "{}", output.stderr);
    let examples: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(examples.len(), expected.len(), "{}", how.reader);
    for (example, expected) in examples.iter().zip(expected) {
        check_example(case, example, expected);
    }
}

fn check_example(case: &Value, example: &Value, expected: &Value) {
    let reader = &case["reader"];
    assert_eq!(example["input"], expected["input"], "{reader}");
    for name in ["id", "query_id", "paper_id", "question_id", "paragraph_index"] {
        if let Some(wanted) = expected.get(name) {
            assert_eq!(&example["extra"][name], wanted, "{reader}: {name}");
        }
    }
    if reader == "ni_reader" {
        // The original had the output as the one option. Which of several it takes depends on all
        // that was drawn before.
        let outputs = case["raw"]["Instance"]["output"].as_array().unwrap();
        assert!(outputs.contains(&example["target"]), "{reader}: {}", example["target"]);
        return;
    }
    let options = example.get("answer_choices").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(options, expected["options"], "{reader}");
    assert_eq!(example["gold"], expected["gold"], "{reader}");
    if let Some(target) = expected.get("target") {
        assert_eq!(&example["target"], target, "{reader}");
    }
}

#[test]
fn read_prints_the_prompts_of_the_original() {
    let Some(shared) = shared() else { return skipped("no shared data") };
    let Ok(cases) = std::fs::read_to_string(shared.join("parity/prompts.jsonl")) else {
        return skipped("no golden prompts");
    };
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        match how(&case, &shared) {
            Ok(how) => {
                check(&case, &how);
                *checked.entry(how.reader["use"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            Err(why) if case["reader"] == "ni_reader" => skipped(&why),
            Err(why) => panic!("{why}: map it, or say why it is left out"),
        }
    }
    // Every plugin of readers but `jsonl`, which the original did not have.
    for plugin in ["p3", "t0", "casehold", "lexglue", "sciq", "drop", "qasper"] {
        let is_of = |reader: &&String| reader.split('/').next() == Some(plugin);
        assert!(checked.keys().any(|reader| is_of(&reader)), "no case of {plugin}: {checked:?}");
    }
}
