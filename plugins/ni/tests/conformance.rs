//! What `ni` promises as a reader, through the built library.

use std::path::Path;

use deft_conformance::Library;
use serde_json::{Value, json};

/// A task with so many instances, made of their number.
fn task(count: usize) -> Value {
    let instance = |number: usize| {
        json!({
            "id": format!("task7-{number}"),
            "input": format!("Which number comes after {number}?"),
            "output": [format!("It is {}.", number + 1), format!("{}", number + 1)],
        })
    };
    let instances: Vec<_> = (0..count).map(instance).collect();
    json!({
        "Definition": ["Answer the question."],
        "Categories": ["Question Answering"],
        "Source": ["made_up"],
        "Positive Examples": [{"input": "1?", "output": "2", "explanation": "It is next."}],
        "Negative Examples": [{"input": "1?", "output": "0", "explanation": "It is not."}],
        "Instances": instances,
    })
}

/// A row of the published loader.
fn row(number: usize) -> String {
    let mut task = task(number + 1);
    task["Instance"] = task["Instances"][number].take();
    task["Task"] = "task7_numbers".into();
    task.to_string()
}

fn written(path: &Path, text: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    std::fs::write(path, text).expect("writable");
    path.to_owned()
}

#[test]
fn ni_keeps_the_promises_of_a_reader() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| written(&dir.path().join(name), text);
    write("all/tasks/task7_numbers.json", &task(30).to_string());
    write("all/tasks/task8_numbers.json", &task(9).to_string());
    let empty = write("task9_empty.json", &task(0).to_string());
    let mut bad = task(20);
    bad["Instances"][4]["input"] = json!(7);
    let bad = write("task9_bad.json", &bad.to_string());
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    let shots = json!({"variant": "paper", "positive_examples": 1, "negative_examples": 1});
    for options in [json!({}), json!({"instances_per_task": null}), shots] {
        library
            .reader("ni", options)
            .with_source(&dir.path().join("all"))
            .with_empty(&empty)
            .with_bad_row(&bad, 5)
            .check();
    }
}

#[test]
fn ni_keeps_them_for_rows_too() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| written(&dir.path().join(name), text);
    let rows: Vec<_> = (0..20).map(row).collect();
    let source = write("rows.jsonl", &format!("\n{}\n", rows.join("\n\n")));
    let bad = write("bad.jsonl", &format!("{}\n{{}}\n", row(1)));
    let empty = write("empty.jsonl", "");
    Library::of_package(env!("CARGO_PKG_NAME"))
        .reader("ni", json!({}))
        .with_source(&source)
        .with_empty(&empty)
        .with_bad_row(&bad, 2)
        .check();
}
