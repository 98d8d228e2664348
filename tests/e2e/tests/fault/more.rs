//! The other readers of records: `casehold`, `lexglue`, `sciq`, `jsonl` and `p3`.

use serde_json::json;

use super::tasks::{EMPTY, EQUAL, NOT_ALLOWED, missing, of_records, with_options};
use super::{Answer, Case, Mistakes, Subject};
use Answer::{Error, LeftOut, Read};

pub(crate) fn subjects() -> Vec<Subject> {
    vec![
        casehold(),
        casehold_few_shot(),
        unfair_tos(),
        ledgar(),
        sciq(),
        jsonl_by_target(),
        jsonl_by_position(),
        p3(),
    ]
}

fn casehold() -> Subject {
    let record = json!({"context": "See X.", "endings": ["a", "b", "c", "d", "e"], "label": 3});
    let (empty, equal) = (json!(["a", "", "c", "d", "e"]), json!(["a", "a", "c", "d", "e"]));
    let mistakes = with_options("/context", "/label", "/endings", empty, equal);
    of_records("casehold", "/context", record, mistakes)
}

fn casehold_few_shot() -> Subject {
    let record =
        json!({"input": "Which?", "answer_choices": ["a", "b", "c", "d", "e"], "target": 1});
    let (empty, equal) = (json!(["a", "b", "c", "d", ""]), json!(["a", "b", "c", "d", "d"]));
    let mistakes = with_options("/answer_choices", "/target", "/answer_choices", empty, equal);
    of_records("casehold", "/input", record, mistakes)
}

fn unfair_tos() -> Subject {
    const OWN: &str = "the answers are yes and no";
    let mistakes = Mistakes {
        missing_field: missing("/text"),
        label_out_of_range: Case::with("/labels", json!([1, 8]), NOT_ALLOWED),
        empty_option: Case::cannot_be(OWN),
        equal_options: Case::cannot_be(OWN),
        foreign_target: Case::cannot_be(OWN),
    };
    let record = json!({"text": "We may stop.", "labels": [1, 7]});
    Subject { examples: 8, ..of_records("lexglue/unfair_tos", "/text", record, mistakes) }
}

fn ledgar() -> Subject {
    let names = |names| Case::with("/label_names", names, NOT_ALLOWED);
    let mistakes = Mistakes {
        missing_field: missing("/text"),
        label_out_of_range: Case::with("/label", json!(100), NOT_ALLOWED),
        empty_option: names(json!([])),
        equal_options: names(json!(["a", "b", "a"])),
        foreign_target: Case::cannot_be("the right answer is named by its position"),
    };
    let record = json!({"text": "The law of Delaware.", "label": 1});
    of_records("lexglue/ledgar", "/text", record, mistakes)
}

fn sciq() -> Subject {
    let mistakes = Mistakes {
        missing_field: missing("/support"),
        label_out_of_range: Case::cannot_be("there is none: a field has the right answer"),
        empty_option: Case::with("/distractor1", json!(" "), EMPTY),
        equal_options: Case::with("/distractor1", json!("right"), EQUAL),
        foreign_target: Case::cannot_be("the right answer is one of the four by itself"),
    };
    let record = json!({
        "question": "What?", "support": "A text.", "distractor1": "a", "distractor2": "b",
        "distractor3": "c", "correct_answer": "right",
    });
    of_records("sciq", "/question", record, mistakes)
}

const LACKS: &str = "the template uses a field that the record lacks";
const GIVES: &str = "the expression gives what is not allowed";

/// What options that leave no choice are answered with, whatever says which is right.
fn of_jsonl(reader: &'static str, label_out_of_range: Case, foreign_target: Case) -> Subject {
    let mistakes = Mistakes {
        missing_field: Case::without("/question", Error(&[LACKS, "field: question", "hint: "])),
        label_out_of_range,
        empty_option: Case::with(
            "/choices",
            json!(["a", ""]),
            Error(&["an option of the record is empty", "option: options", "hint: "]),
        ),
        equal_options: Case::with(
            "/choices",
            json!(["a", "b", "a"]),
            Error(&["two options of the record are the same", "found: \"a\"", "hint: "]),
        ),
        foreign_target,
    };
    let record = json!({"question": "Which?", "choices": ["a", "b"], "answer": "a", "label": 0});
    Subject {
        other_columns: Error(&[GIVES, "option: options", "allowed: a list", "row: 1"]),
        ..of_records(reader, "/question", record, mistakes)
    }
}

fn jsonl_by_target() -> Subject {
    let reader = "{use: jsonl, input: '{{ question }}', options: choices, target: '{{ answer }}'}";
    of_jsonl(
        reader,
        Case::cannot_be("there is none: a text says which is right"),
        Case::with(
            "/answer",
            json!("c"),
            Error(&["the target is not among the options", "found: \"c\"", "allowed: a, b"]),
        ),
    )
}

fn jsonl_by_position() -> Subject {
    of_jsonl(
        "{use: jsonl, input: '{{ question }}', options: choices, gold: label}",
        Case::with(
            "/label",
            json!(2),
            Error(&[GIVES, "found: 2", "allowed: 0 to 1, -1 or null without label"]),
        ),
        Case::cannot_be("a position says which is right"),
    )
}

fn p3() -> Subject {
    let mistakes = Mistakes {
        missing_field: Case::without("/input", LeftOut("input missing")),
        label_out_of_range: Case::cannot_be("there is none: the target is a text"),
        empty_option: Case::with(
            "/answer_choices",
            json!(["yes", ""]),
            Read("the published data has such rows, and the published code takes them"),
        ),
        equal_options: Case::with(
            "/answer_choices",
            json!(["yes", "yes", "no"]),
            Read("the same; the first that equals the target is right"),
        ),
        foreign_target: Case::with(
            "/target",
            json!("perhaps"),
            Read("it becomes the last answer choice, as in the published code"),
        ),
    };
    let record = json!({"input": "Is it?", "target": "yes", "answer_choices": ["yes", "no"]});
    Subject {
        other_columns: Error(&["no column `input` or `inputs_pretokenized`", "alpha beta"]),
        cut_arrow: Error(&["the file's name does not end in a known form", "hint: known are"]),
        ..of_records("p3", "/input", record, mistakes)
    }
}
