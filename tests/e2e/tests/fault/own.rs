//! Readers with forms of their own: `drop`, `qasper` and `ni`.

use serde_json::{Map, Value, json};

use super::tasks::{NOT_ALLOWED, missing, of_records};
use super::{Answer, Case, Layout, Mistakes, Subject};
use Answer::{CannotBe, Error, Read};

const GENERATED: &str = "the answer is generated";

pub(crate) fn subjects() -> Vec<Subject> {
    vec![drop_rows(), drop_official(), qasper(), ni_rows(), ni_task()]
}

/// Mistakes where there is nothing to choose from.
fn generated(missing_field: Case) -> Mistakes {
    Mistakes {
        missing_field,
        label_out_of_range: Case::cannot_be(GENERATED),
        empty_option: Case::cannot_be(GENERATED),
        equal_options: Case::cannot_be(GENERATED),
        foreign_target: Case::cannot_be(GENERATED),
    }
}

/// A reader of one JSON document, of a file that is made of records.
fn of_documents(subject: Subject, name: &'static str, of: fn(&[Value]) -> Value) -> Subject {
    Subject { layout: Layout::Document(name, of), ..subject }
}

/// Records under names.
fn named(records: &[Value]) -> Value {
    let name = |(place, record): (usize, &Value)| (format!("p{place}"), record.clone());
    Value::Object(records.iter().enumerate().map(name).collect::<Map<_, _>>())
}

fn drop_rows() -> Subject {
    let kinds = Case::with("/answers_spans", json!({"spans": ["2"], "types": ["x"]}), NOT_ALLOWED);
    let mistakes = Mistakes { label_out_of_range: kinds, ..generated(missing("/passage")) };
    let record = json!({
        "passage": "There are two.", "question": "How many?", "query_id": "q",
        "answers_spans": {"spans": ["2"], "types": ["number"]},
    });
    of_records("drop", "/passage", record, mistakes)
}

fn drop_official() -> Subject {
    const ROWS: &str = "such a file has rows, and is not the official one";
    let lacks = Error(&["the passage is not of DROP's official form", "`qa_pairs`", "hint: "]);
    let pair = json!({"question": "How many?", "query_id": "q", "answer": {"number": "2"}});
    let record = json!({"passage": "There are two.", "qa_pairs": [pair]});
    let mistakes = generated(Case::without("/qa_pairs", lacks));
    let subject = Subject {
        other_columns: CannotBe(ROWS),
        cut_arrow: CannotBe(ROWS),
        no_utf8: Error(&["malformed JSON: invalid unicode", "row: 2", "hint: "]),
        too_long: Error(&["the passage is longer than 67108864 bytes", "row: 2", "hint: "]),
        ..of_records("drop", "/passage", record, mistakes)
    };
    of_documents(subject, "a.json", named)
}

/// What a reader answers that takes nothing but JSON documents.
fn of_json_alone(subject: Subject) -> Subject {
    Subject {
        nothing: Error(&["malformed JSON: EOF while parsing a value", "line: 1", "hint: "]),
        no_utf8: Error(&[
            "malformed JSON: invalid unicode",
            "line: 1",
            "convert the file to UTF-8",
        ]),
        too_long: Read("a document is read whole, up to 512 MiB"),
        ..subject
    }
}

fn qasper() -> Subject {
    const NAME: Answer =
        Error(&["the file's name does not end in a known form", "hint: known are .json"]);
    let lacks = Error(&["the article is of another form: missing field `qas`", "article: p1"]);
    let question = json!({
        "question": "Which?", "question_id": "q", "answers": [{"answer": {"evidence": ["one"]}}],
    });
    let record = json!({
        "full_text": [{"section_name": null, "paragraphs": ["one", "two"]}], "qas": [question],
    });
    let mistakes = Mistakes {
        label_out_of_range: Case::cannot_be("the evidence says what is right"),
        ..generated(Case::without("/qas", lacks))
    };
    let subject = of_records("qasper", "/qas/0/question", record, mistakes);
    let subject = Subject { examples: 2, other_columns: NAME, cut_arrow: NAME, ..subject };
    of_documents(of_json_alone(subject), "a.json", named)
}

const LACKS: &str = "the task is of another form: missing field ";

fn ni_rows() -> Subject {
    let record = json!({
        "Task": "task1_a", "Definition": ["Do it."], "Categories": ["Text Matching"],
        "Instance": {"id": "i", "input": "x", "output": ["y"]},
    });
    let lacks = Error(&[LACKS, "`Definition`", "hint: "]);
    let mistakes = generated(Case::without("/Definition", lacks));
    Subject {
        other_columns: Error(&["the row has no `Instance`", "row: 1", "hint: "]),
        folder: CannotBe("a folder has tasks, each in a file of its own"),
        ..of_records("ni", "/Instance/input", record, mistakes)
    }
}

/// A task with these instances.
fn task_of(instances: &[Value]) -> Value {
    json!({"Definition": ["Do it."], "Categories": ["Text Matching"], "Instances": instances})
}

fn ni_task() -> Subject {
    const ROWS: &str = "such a file has rows, and is no task";
    let record = json!({"id": "i", "input": "x", "output": ["y"]});
    let lacks = Error(&[LACKS, "`input`", "hint: "]);
    let subject = Subject {
        other_columns: CannotBe(ROWS),
        cut_arrow: CannotBe(ROWS),
        ..of_records("ni", "/input", record, generated(Case::without("/input", lacks)))
    };
    of_documents(of_json_alone(subject), "task1_a.json", task_of)
}
