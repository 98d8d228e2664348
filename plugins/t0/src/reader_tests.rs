//! Tests of the readers: made-up records of each task, and the real data where they are there.

use super::*;
use std::fs;

use serde_json::{Value, json};

use crate::tasks::{
    Anli1, Anli2, Anli3, Cb, Copa, HellaSwag, Rte, StoryCloze, Wic, WinoGrande, Wsc,
};
use crate::testing::{read_by, read_one, shared};

/// The example of a record, or the error.
fn read<T: Task>(record: &Value, variant: Variant) -> Result<Example, String> {
    Ok(read_one::<T>(record, variant)?.examples.into_iter().next().unwrap())
}

fn copa(question: &str) -> Value {
    json!({
        "premise": "It rained.", "choice1": "a", "choice2": "b", "question": question, "label": 1,
    })
}

fn winogrande(answer: &Value) -> Value {
    json!({
        "sentence": "Ann met Bo, _ waved.", "option1": "Ann", "option2": "Bo", "answer": answer,
    })
}

fn wsc(text: &str, noun: &str, pronoun: &str) -> Value {
    json!({"text": text, "span1_text": noun, "span2_text": pronoun, "label": 1})
}

fn hellaswag(endings: &[&str]) -> Value {
    json!({
        "ind": 4, "activity_label": "x", "ctx_a": "A man sits.", "ctx_b": "he", "ctx": "y",
        "endings": endings, "source_id": "s", "label": "3",
    })
}

fn story(right: &Value) -> Value {
    json!({
        "story_id": "id", "input_sentence_1": "One.", "input_sentence_2": "Two.",
        "input_sentence_3": "Three.", "input_sentence_4": "Four.", "sentence_quiz1": "Good.",
        "sentence_quiz2": "Bad.", "answer_right_ending": right,
    })
}

/// Whether both variants make the same of a record.
fn check_same<T: Task>(record: &Value) {
    assert_eq!(read::<T>(record, Variant::Fixed), read::<T>(record, Variant::Paper));
}

#[test]
fn the_variants_differ_only_in_what_the_readme_says() {
    let inference = json!({"premise": "p", "hypothesis": "h", "label": 0});
    check_same::<Rte>(&inference);
    check_same::<Cb>(&inference);
    check_same::<Anli1>(&inference);
    check_same::<HellaSwag>(&hellaswag(&["a", "b", "c", "d"]));
    check_same::<StoryCloze>(&story(&json!(1)));
    check_same::<Wsc>(&wsc("Ann saw it.", "Ann", "it"));
    check_same::<Wic>(&json!({"sentence1": "s", "sentence2": "t", "word": "w", "label": 1}));
    check_same::<Copa>(&copa("effect"));
}

#[test]
fn copa_asks_for_the_cause_where_the_record_does_unless_it_is_the_papers() {
    let input = |variant| read::<Copa>(&copa("cause"), variant).unwrap().input;
    assert_eq!(
        input(Variant::Fixed),
        "It rained.  This happened because... \nHelp me pick the more plausible option:\n- a\n- b"
    );
    assert_eq!(
        input(Variant::Paper),
        "It rained.  As a consequence... \nHelp me pick the more plausible option:\n- a\n- b"
    );
}

#[test]
fn winogrande_has_the_names_scored_unless_it_is_the_papers() {
    let record = winogrande(&json!("2"));
    let fixed = read::<WinoGrande>(&record, Variant::Fixed).unwrap();
    let paper = read::<WinoGrande>(&record, Variant::Paper).unwrap();
    assert_eq!(
        fixed.input,
        "Ann met Bo, _ waved.\nWhat does the _ in the above sentence refer to? Ann or Bo?"
    );
    assert_eq!(fixed.input, paper.input);
    assert_eq!((fixed.gold, paper.gold), (Some(1), Some(1)));
    assert_eq!(fixed.options, ["Ann", "Bo"]);
    assert_eq!(paper.options, ["1", "2"]);
}

#[test]
fn the_prompts_of_hellaswag_and_story_cloze_hold_their_options() {
    let example = read::<HellaSwag>(&hellaswag(&["w", "x", "y", "z"]), Variant::Fixed).unwrap();
    assert_eq!(
        example.input,
        "Complete the description with an appropriate ending:\nFirst, A man sits. Then, he ...\n\
         (a) w\n(b) x\n(c) y\n(d) z"
    );
    assert_eq!((example.target.as_deref(), example.gold), (Some("z"), Some(3)));
    assert_eq!(Value::from(example.extra), json!({"ind": 4, "source_id": "s"}));
    let example = read::<StoryCloze>(&story(&json!(2)), Variant::Fixed).unwrap();
    assert_eq!(
        example.input,
        "One. Two. Three. Four. What is a possible continuation for the story given the following \
         options ?\n- Good.\n- Bad."
    );
    assert_eq!((example.target.as_deref(), example.gold), (Some("Bad."), Some(1)));
}

#[test]
fn provenance_names_data_set_and_task_and_what_identifies_a_record_is_kept() {
    let record = json!({"premise": "p", "hypothesis": "h", "label": 1, "idx": 7, "uid": "u"});
    let example = read::<Rte>(&record, Variant::Fixed).unwrap();
    assert_eq!(example.provenance.dataset, "super_glue");
    assert_eq!(example.provenance.template, "rte");
    assert_eq!(Value::from(example.extra), json!({"idx": 7}));
    assert_eq!((example.target.as_deref(), example.gold), (Some("no"), Some(1)));
    for (found, template) in [
        (read::<Anli1>(&record, Variant::Fixed), "anli_r1"),
        (read::<Anli2>(&record, Variant::Fixed), "anli_r2"),
        (read::<Anli3>(&record, Variant::Fixed), "anli_r3"),
    ] {
        let example = found.unwrap();
        assert_eq!(example.provenance.dataset, "anli");
        assert_eq!(example.provenance.template, template);
        assert_eq!(Value::from(example.extra), json!({"uid": "u"}));
        assert_eq!(example.target.as_deref(), Some("neither"));
    }
}

#[test]
fn a_record_without_label_is_an_example_without_target() {
    for label in [json!({"label": null}), json!({"label": -1}), json!({})] {
        let mut record = json!({"premise": "p", "hypothesis": "h"});
        record.as_object_mut().unwrap().extend(label.as_object().unwrap().clone());
        let example = read::<Cb>(&record, Variant::Fixed).unwrap();
        assert_eq!((example.target, example.gold), (None, None));
        assert_eq!(example.options, ["true", "false", "neither"]);
        assert!(example.extra.is_empty());
    }
    // The test sets of these say so by an empty text.
    let unlabelled = read::<WinoGrande>(&winogrande(&json!("")), Variant::Fixed).unwrap();
    assert_eq!((unlabelled.target, unlabelled.gold), (None, None));
    let unlabelled = read::<StoryCloze>(&story(&Value::Null), Variant::Fixed).unwrap();
    assert_eq!((unlabelled.target, unlabelled.gold), (None, None));
}

#[test]
fn stories_may_have_the_names_that_their_authors_gave_them() {
    let dir = tempfile::tempdir().unwrap();
    let (lines, table) = (dir.path().join("a.jsonl"), dir.path().join("a.csv"));
    fs::write(&lines, story(&json!(2)).to_string()).unwrap();
    let header = "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,\
                  RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding";
    fs::write(&table, format!("{header}\nid,One.,Two.,Three.,Four.,Good.,Bad.,2\n")).unwrap();
    let read = |path: &Path| {
        let mut batch = read_by::<StoryCloze>(path, Variant::Fixed, 9).unwrap();
        batch.examples.remove(0)
    };
    let (wanted, found) = (read(&lines), read(&table));
    assert_eq!((found.input, found.options), (wanted.input, wanted.options));
    assert_eq!((found.gold, found.target), (Some(1), wanted.target));
    assert_eq!(found.extra["InputStoryid"], "id");
    let mut lacking = json!({"InputSentence1": "One.", "InputSentence2": "Two."});
    lacking["RandomFifthSentenceQuiz1"] = "Good.".into();
    let error = read_one::<StoryCloze>(&lacking, Variant::Fixed).unwrap_err();
    assert!(error.contains("field: RandomFifthSentenceQuiz2"), "{error}");
}

#[test]
fn records_nobody_could_answer_are_left_out_unless_it_is_the_paper() {
    let check = |endings: &[&str], reason: &str| {
        let record = hellaswag(endings);
        let fixed = read_one::<HellaSwag>(&record, Variant::Fixed).unwrap();
        assert!(fixed.examples.is_empty());
        assert_eq!(fixed.skipped, [SkippedRow { row: 1, reason: reason.to_owned() }]);
        assert_eq!(read::<HellaSwag>(&record, Variant::Paper).unwrap().options, endings);
    };
    check(&["a", "b", " ", "c"], "an answer choice is empty");
    check(&["a", "b", "c", "b"], "two answer choices are equal");
}

/// Checks that a record is left out for a reason, and that the paper asks all the same.
fn check_left_out<T: Task>(record: &Value, reason: &str) {
    let fixed = read_one::<T>(record, Variant::Fixed).unwrap();
    assert!(fixed.examples.is_empty(), "{record}");
    assert_eq!(fixed.skipped, [SkippedRow { row: 1, reason: reason.to_owned() }]);
    assert!(read::<T>(record, Variant::Paper).is_ok(), "{record}");
}

#[test]
fn a_sentence_of_winogrande_without_one_gap_is_left_out_unless_it_is_the_papers() {
    for sentence in ["Ann met Bo, who waved.", "_ met Bo, _ waved.", ""] {
        let mut record = winogrande(&json!("2"));
        record["sentence"] = sentence.into();
        check_left_out::<WinoGrande>(&record, "the sentence does not have exactly one `_`");
    }
}

#[test]
fn a_span_of_wsc_that_is_empty_or_elsewhere_is_left_out_unless_it_is_the_papers() {
    let text = "The man lifted the boy\n onto his shoulders.";
    check_left_out::<Wsc>(&wsc(text, " ", "his"), "a span is empty");
    check_left_out::<Wsc>(&wsc(text, "The boy", ""), "a span is empty");
    check_left_out::<Wsc>(&wsc(text, "The girl", "his"), "a span is not in the text");
    check_left_out::<Wsc>(&wsc(text, "The boy", "she"), "a span is not in the text");
    // As many spans of the published set: they differ in case and white space.
    check_same::<Wsc>(&wsc(text, "The boy onto", "His"));
}

#[test]
fn wrong_records_are_named_by_file_line_and_field() {
    let error = |record: Value| read::<Rte>(&record, Variant::Fixed).unwrap_err();
    assert_eq!(
        error(json!({"premise": "p", "question": "q"})),
        "a field is missing (file: a.jsonl, line: 1, field: hypothesis, found: the fields \
         premise question, allowed: a string)"
    );
    assert_eq!(
        error(json!({"premise": "p", "hypothesis": "h", "label": 2})),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, field: label, found: 2, \
         allowed: 0, 1, -1 or null without label)"
    );
    assert_eq!(
        read::<Copa>(&copa("why"), Variant::Fixed).unwrap_err(),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, field: question, \
         found: \"why\", allowed: cause, effect)"
    );
    assert_eq!(
        read::<HellaSwag>(&hellaswag(&["a", "b", "c"]), Variant::Paper).unwrap_err(),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, field: endings, \
         found: [\"a\",\"b\",\"c\"], allowed: a list of 4 strings)"
    );
    assert_eq!(
        read::<StoryCloze>(&story(&json!(0)), Variant::Paper).unwrap_err(),
        "a field has a value that is not allowed (file: a.jsonl, line: 1, \
         field: answer_right_ending, found: 0, allowed: 1, 2, -1 or null without label)"
    );
}

#[test]
fn a_table_gives_the_examples_of_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (lines, table) = (dir.path().join("a.jsonl"), dir.path().join("a.csv"));
    let record = |row| json!({"premise": format!("p, {row}"), "hypothesis": "é", "label": row % 2});
    let records: String =
        (0..7).flat_map(|row| [record(row).to_string(), "\n".to_owned()]).collect();
    fs::write(&lines, records).unwrap();
    let rows: Vec<String> = (0..7).map(|row| format!("\"p, {row}\",é,{}\n", row % 2)).collect();
    let rows = rows.concat();
    fs::write(&table, format!("premise,hypothesis,label\n{rows}")).unwrap();
    let expected = read_by::<Rte>(&lines, Variant::Fixed, 3).unwrap().examples;
    assert_eq!(expected.len(), 7);
    assert_eq!(read_by::<Rte>(&table, Variant::Fixed, 3).unwrap().examples, expected);
}

#[test]
fn the_real_sets_are_read_whole() {
    fn check<T: Task>(files: &[&str]) {
        for file in files {
            let name = format!("data/tasks/{}/{file}.jsonl", T::task());
            let Some(path) = shared(&name) else { continue };
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            for variant in [Variant::Fixed, Variant::Paper] {
                let batch = read_by::<T>(&path, variant, 100).unwrap();
                assert_eq!(batch.examples.len(), lines, "{name}");
                assert!(batch.examples.iter().all(|e| e.gold.is_some()), "{name}");
            }
        }
    }
    check::<Rte>(&["train", "validation"]);
    check::<Cb>(&["train", "validation"]);
    check::<Anli1>(&["validation"]);
    check::<Anli2>(&["validation"]);
    check::<HellaSwag>(&["train", "train_raw_small", "validation", "validation_extra_wikihow"]);
    check::<StoryCloze>(&["validation"]);
    check::<WinoGrande>(&["train", "validation"]);
    check::<Wsc>(&["train"]);
    check::<Copa>(&["train", "validation"]);
    check::<Wic>(&["train", "validation"]);
}
