//! The eleven tasks of T0, and what all readers of records answer alike.

use serde_json::{Value, json};

use super::{Answer, Case, Layout, Mistakes, Subject};
use Answer::{Error, LeftOut};

/// What a field says that has a value which is not allowed.
pub(crate) const NOT_ALLOWED: Answer =
    Error(&["a field has a value that is not allowed", "allowed: "]);

pub(crate) const EMPTY: Answer = LeftOut("an answer choice is empty");
pub(crate) const EQUAL: Answer = LeftOut("two answer choices are equal");

const OWN_OPTIONS: &str = "the answers to choose from are the task's own";
const BY_POSITION: &str = "the right answer is named by its position";

/// A field that is not there.
pub(crate) fn missing(field: &'static str) -> Case {
    Case::without(field, Error(&["a field is missing", "found: the fields ", "hint: "]))
}

/// A reader of records that stand on lines, with one example of each.
pub(crate) fn of_records(
    reader: &'static str,
    text: &'static str,
    record: Value,
    mistakes: Mistakes,
) -> Subject {
    Subject {
        reader,
        record,
        examples: 1,
        layout: Layout::Lines,
        text,
        mistakes,
        other_columns: Error(&["a field is missing", "found: the fields alpha beta", "row: 1"]),
        cut_arrow: Error(&["the Arrow file is damaged, cut short or of an unknown kind", "hint: "]),
        nothing: Error(&["there is no example in the source", "hint: "]),
        no_utf8: Error(&[
            "malformed JSON: invalid unicode",
            "line: 2",
            "convert the file to UTF-8",
        ]),
        too_long: Error(&["the line is longer than 67108864 bytes", "line: 2", "hint: "]),
        folder: Answer::Read("every file of a known form is read"),
    }
}

/// Mistakes where only the label is chosen from something.
fn labelled(text: &'static str, label: &'static str) -> Mistakes {
    Mistakes {
        missing_field: missing(text),
        label_out_of_range: Case::with(label, json!(9), NOT_ALLOWED),
        empty_option: Case::cannot_be(OWN_OPTIONS),
        equal_options: Case::cannot_be(OWN_OPTIONS),
        foreign_target: Case::cannot_be(BY_POSITION),
    }
}

/// Mistakes where the record brings its options, too: `empty` and `equal` make one of them so.
pub(crate) fn with_options(
    text: &'static str,
    label: &'static str,
    options: &'static str,
    empty: Value,
    equal: Value,
) -> Mistakes {
    Mistakes {
        empty_option: Case::with(options, empty, EMPTY),
        equal_options: Case::with(options, equal, EQUAL),
        ..labelled(text, label)
    }
}

fn inference(reader: &'static str) -> Subject {
    let record = json!({"premise": "It rains.", "hypothesis": "It is wet.", "label": 0});
    of_records(reader, "/hypothesis", record, labelled("/hypothesis", "/label"))
}

pub(crate) fn subjects() -> Vec<Subject> {
    let readers = ["t0/rte", "t0/cb", "t0/anli_r1", "t0/anli_r2", "t0/anli_r3"];
    let mut subjects: Vec<Subject> = readers.into_iter().map(inference).collect();
    subjects.extend([hellaswag(), story_cloze(), winogrande(), copa()]);
    let wsc = json!({"text": "Ann saw it.", "span1_text": "Ann", "span2_text": "it", "label": 1});
    let wic = json!({"sentence1": "A bank.", "sentence2": "Banks.", "word": "bank", "label": 1});
    subjects.push(of_records("t0/wsc", "/text", wsc, labelled("/span1_text", "/label")));
    subjects.push(of_records("t0/wic", "/word", wic, labelled("/word", "/label")));
    subjects
}

fn hellaswag() -> Subject {
    let record = json!({
        "ctx_a": "A man sits.", "ctx_b": "he", "endings": ["a", "b", "c", "d"], "label": "3",
    });
    let (empty, equal) = (json!(["a", "b", " ", "d"]), json!(["a", "b", "c", "b"]));
    let mistakes = with_options("/ctx_b", "/label", "/endings", empty, equal);
    of_records("t0/hellaswag", "/ctx_a", record, mistakes)
}

fn story_cloze() -> Subject {
    let record = json!({
        "input_sentence_1": "One.", "input_sentence_2": "Two.", "input_sentence_3": "Three.",
        "input_sentence_4": "Four.", "sentence_quiz1": "Good.", "sentence_quiz2": "Bad.",
        "answer_right_ending": 2,
    });
    let (label, options) = ("/answer_right_ending", "/sentence_quiz1");
    let mistakes = with_options("/input_sentence_4", label, options, json!(""), json!("Bad."));
    of_records("t0/story_cloze", "/input_sentence_1", record, mistakes)
}

fn winogrande() -> Subject {
    let record = json!({
        "sentence": "Ann met Bo, _ waved.", "option1": "Ann", "option2": "Bo", "answer": "2",
    });
    let mistakes = with_options("/sentence", "/answer", "/option1", json!(""), json!("Bo"));
    of_records("t0/winogrande", "/sentence", record, mistakes)
}

fn copa() -> Subject {
    let record = json!({
        "premise": "It rained.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1,
    });
    let mistakes = with_options("/question", "/label", "/choice2", json!(" "), json!("a"));
    of_records("t0/copa", "/premise", record, mistakes)
}
