//! What `qasper` promises as a reader, through the built library.

use deft_conformance::Library;
use serde_json::{Map, Value, json};

/// Articles made of their number, the third of which has no text.
fn papers(count: usize) -> Map<String, Value> {
    let paper = |number: usize| {
        let evidence = format!("Paragraph {} of paper {number}.", number % 3);
        let paragraphs: Vec<_> =
            (0..3).map(|at| format!("Paragraph {at} of paper {number}.")).collect();
        let question = json!({
            "question": "Which one?",
            "question_id": format!("q{number}"),
            "answers": [{"answer": {"evidence": [evidence]}}],
        });
        let sections = json!([{"section_name": null, "paragraphs": paragraphs}]);
        let full_text = if number == 2 { json!([]) } else { sections };
        (format!("p{number}"), json!({"full_text": full_text, "qas": [question]}))
    };
    (0..count).map(paper).collect()
}

#[test]
fn qasper_keeps_the_promises_of_a_reader() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, papers: Map<String, Value>| {
        let path = dir.path().join(name);
        std::fs::write(&path, Value::from(papers).to_string()).expect("writable");
        path
    };
    let source = write("papers.json", papers(12));
    let empty = write("empty.json", Map::new());
    let mut bad = papers(5);
    bad["p4"]["qas"][0]["question"] = json!(["not", "a", "string"]);
    let bad = write("bad.json", bad);
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for options in [json!({}), json!({"variant": "paper"}), json!({"shuffle": true, "seed": 3})] {
        library
            .reader("qasper", options)
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 5)
            .check();
    }
}
