//! Tests of the reader on records that are made up.

use super::*;
use std::fs;

use deft_core::{NoServices, options};
use serde_json::{Value, json};

fn reader(config: &Value) -> Result<JsonlReader> {
    let config: JsonlConfig = options::parse(config)?;
    JsonlReader::check(&config)?;
    JsonlReader::new(&Context::new(&NoServices, 0, 1), config, Children::none())
}

/// The example of a record, or the error with the file's path shortened to its name.
fn read(config: &Value, record: &Value) -> Result<Example, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, format!("\n{record}\n")).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let mut stream = reader(config).unwrap().open(&ctx, &path).unwrap();
    match stream.next_batch(&ctx, 9) {
        Ok(batch) => Ok(batch.unwrap().examples.remove(0)),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data);
            Err(error.to_string().replace(&path.display().to_string(), "a.jsonl"))
        }
    }
}

fn error_of(config: &Value) -> Error {
    reader(config).unwrap_err()
}

#[test]
fn every_part_of_an_example_is_a_template() {
    let config = json!({
        "input": "{{text|upper}}\nGood? <{{ record['a b'] }}>\n",
        "target": "{% if stars > 3 %}yes{% else %}no{% endif %}",
        "options": ["yes", "no"],
        "dataset": "reviews", "template": "{{lang}}-1", "keep": ["id", "absent"],
    });
    let record = json!({"text": "é\"", "a b": 1, "stars": 4, "lang": "de", "id": 7, "x": null});
    let example = read(&config, &record).unwrap();
    assert_eq!(example.input, "É\"\nGood? <1>\n", "nothing is escaped, nothing trimmed");
    assert_eq!((example.target.as_deref(), example.gold), (Some("yes"), Some(0)));
    assert_eq!(example.options, ["yes", "no"]);
    assert_eq!(example.provenance.dataset, "reviews");
    assert_eq!(example.provenance.template, "de-1");
    assert_eq!(Value::from(example.extra), json!({"id": 7}));
}

#[test]
fn options_and_the_right_one_may_be_expressions() {
    let config = json!({"input": "{{q}}", "options": "choices", "gold": "answer - 1"});
    let example = read(&config, &json!({"q": "q", "choices": ["a", 2], "answer": 2})).unwrap();
    assert_eq!(example.options, ["a", "2"]);
    assert_eq!((example.target.as_deref(), example.gold), (Some("2"), Some(1)));
    let config = json!({"input": "{{q}}", "options": ["{{a}}", "{{b}}"], "gold": "label"});
    let gold = |label: Value| {
        let record = json!({"q": "q", "a": "x", "b": "y", "label": label});
        read(&config, &record).unwrap().gold
    };
    assert_eq!([gold(json!(1)), gold(json!("0"))], [Some(1), Some(0)]);
    for none in [json!(-1), json!(null), json!("-1"), json!("")] {
        assert_eq!(gold(none), None);
    }
}

#[test]
fn a_field_that_a_record_lacks_is_named_with_option_and_row() {
    let config = json!({"input": "{{a}} {{b}}"});
    assert_eq!(
        read(&config, &json!({"a": "x", "b": null})).unwrap_err(),
        "the template uses a field that the record lacks (file: a.jsonl, line: 2, option: input, \
         field: b, found: the fields a b)"
    );
    let config = json!({"input": "{{a}}", "options": "choices|sort", "gold": "label"});
    assert_eq!(
        read(&config, &json!({"a": "x"})).unwrap_err(),
        "the expression uses a field that the record lacks (file: a.jsonl, line: 2, \
         option: options, field: choices, found: the fields a)"
    );
    let careful = json!({"input": "{{a}}{% if b is defined %} {{b}}{% endif %}"});
    assert_eq!(read(&careful, &json!({"a": "x"})).unwrap().input, "x");
}

#[test]
fn what_a_template_cannot_be_applied_to_is_told_in_its_own_words() {
    let config = json!({"input": "{{a|nonsense}}"});
    let error = read(&config, &json!({"a": "x"})).unwrap_err();
    let start = "the template cannot be applied to the record (file: a.jsonl, line: 2, \
                 option: input): unknown filter";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn options_that_are_none_repeated_or_not_the_target_are_refused() {
    let listed = json!({"input": "i", "options": "o", "target": "{{t}}"});
    let check = |record: Value, message: &str| {
        assert_eq!(read(&listed, &record).unwrap_err(), message);
    };
    let place = "(file: a.jsonl, line: 2, option: options";
    check(json!({"o": [], "t": "a"}), &format!("the record has no options {place})"));
    check(
        json!({"o": ["a", " "], "t": "a"}),
        &format!("an option of the record is empty {place}, position: 1)"),
    );
    check(
        json!({"o": ["a", "b", "a"], "t": "a"}),
        &format!("two options of the record are the same {place}, found: \"a\")"),
    );
    check(
        json!({"o": "ab", "t": "a"}),
        &format!(
            "the expression gives what is not allowed {place}, found: \"ab\", allowed: a list)"
        ),
    );
    check(
        json!({"o": ["a", "b"], "t": "c"}),
        "the target is not among the options (file: a.jsonl, line: 2, option: target, \
         found: \"c\", allowed: a, b)",
    );
    let numbered = json!({"input": "i", "options": ["a", "b"], "gold": "label"});
    for (label, found) in [(json!(2), "2"), (json!("b"), "\"b\""), (json!(-2), "-2")] {
        assert_eq!(
            read(&numbered, &json!({"label": label})).unwrap_err(),
            format!(
                "the expression gives what is not allowed (file: a.jsonl, line: 2, option: gold, \
                 found: {found}, allowed: 0 to 1, -1 or null without label)"
            )
        );
    }
}

#[test]
fn malformed_templates_are_refused_before_anything_is_read() {
    let error = error_of(&json!({"input": "{{a}}\n{% if %}"}));
    assert_eq!(error.option(), Some("input"));
    assert!(error.message().starts_with("malformed template, line 2: "), "{error}");
    let error = error_of(&json!({"input": "i", "options": ["a", "{{b"]}));
    assert_eq!(error.option(), Some("options[1]"));
    let error = error_of(&json!({"input": "i", "options": ["a"], "gold": "{{label}}"}));
    assert_eq!(error.option(), Some("gold"));
    assert!(error.hint().unwrap().contains("without braces"));
}

#[test]
fn options_that_do_not_fit_together_are_refused() {
    let check = |config: Value, option: &str, message: &str| {
        let error = error_of(&config);
        assert_eq!((error.option(), error.message()), (Some(option), message));
    };
    check(
        json!({"input": "i", "gold": "label"}),
        "gold",
        "`gold` is a position among `options`, of which there are none",
    );
    check(
        json!({"input": "i", "options": ["a"], "gold": "label", "target": "t"}),
        "gold",
        "`gold` and `target` both say which option is right",
    );
    check(json!({"input": "i", "options": []}), "options", "`options` is empty");
}

#[test]
fn the_metric_is_what_the_options_allow() {
    let task = |config: Value| reader(&config).unwrap().task();
    assert_eq!(task(json!({"input": "i"})), TaskSpec::default());
    assert_eq!(task(json!({"input": "i", "options": ["a"]})), TaskSpec::default());
    let ranked = task(json!({"input": "i", "options": ["a"], "gold": "label"}));
    assert_eq!(ranked, TaskSpec::rank_classification());
    let config = json!({"input": "i", "target": "t"});
    assert_eq!(task(config.clone()).prediction, PredictionKind::Text);
    let example = |target: &str| Example { target: Some(target.to_owned()), ..Example::default() };
    let examples = [example("a b"), example("A"), Example::default()];
    let predictions = ["a b\n", "a", "a"].map(|text| Prediction::Text(text.to_owned()));
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = reader(&config).unwrap();
    let scores = reader.score(&ctx, &examples[..2], &predictions[..2]).unwrap();
    assert_eq!([scores[0].values[EXACT], scores[1].values[EXACT]], [1.0, 0.0]);
    assert!(reader.score(&ctx, &examples, &predictions).is_err(), "one has no target");
}

#[test]
fn an_example_without_gold_cannot_be_scored_and_the_hint_says_what_gold_may_lack() {
    let config = json!({"input": "{{q}}", "options": ["a", "b"], "gold": "labl"});
    let example = read(&config, &json!({"q": "q", "label": 1})).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let answer = Prediction::OptionScores { log_probs: vec![0.0; 2], tokens: vec![1; 2] };
    let error = reader(&config).unwrap().score(&ctx, &[example], &[answer]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let hint = error.hint().unwrap();
    assert!(hint.contains("`gold: labl` names a field that is not there"), "{hint}");
}
