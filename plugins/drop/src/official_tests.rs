//! Tests of the official file, on made-up ones.

use super::*;
use std::fs;
use std::io::Write;

/// The names of the passages and their numbers of questions, or the error with the path cut to the
/// name.
fn passages(name: &str, content: &[u8]) -> Result<Vec<(String, usize)>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    let read = || -> Result<Vec<(String, usize)>> {
        let (mut found, mut passages) = (Vec::new(), Passages::open(&path)?);
        while let Some((id, passage)) = passages.advance()? {
            found.push((id, passage.qa_pairs.len()));
        }
        Ok(found)
    };
    read().map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Data);
        error.to_string().replace(&path.display().to_string(), name)
    })
}

const TWO: &str = "\u{feff}{\"b\": {\"passage\": \"P {\\\"\", \"qa_pairs\": [], \"wiki_url\": \"u\"},\r\n \
                   \"a\" : {\"passage\": \"Q\", \"qa_pairs\": [{\"question\": \"?\", \"query_id\": \"q\"}]} }\n";

#[test]
fn passages_come_in_the_order_of_the_file_however_it_is_compressed() {
    let wanted = Ok(vec![("b".to_owned(), 0), ("a".to_owned(), 1)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(TWO.as_bytes()).unwrap();
    assert_eq!(passages("a.json", TWO.as_bytes()), wanted);
    assert_eq!(passages("a.json.gz", &gzip.finish().unwrap()), wanted);
    assert_eq!(passages("a.json.zst", &zstd::encode_all(TWO.as_bytes(), 1).unwrap()), wanted);
}

#[test]
fn files_without_passages_are_no_error() {
    for content in ["", " \n", "{}", " { }\n"] {
        assert_eq!(passages("a.json", content.as_bytes()), Ok(Vec::new()), "{content:?}");
    }
}

#[test]
fn what_is_wrong_is_named_by_the_passages_number() {
    let check = |content: &str, message: &str| {
        assert_eq!(passages("a.json", content.as_bytes()).unwrap_err(), message);
    };
    let good = r#""p": {"passage": "P", "qa_pairs": []}"#;
    check(
        &format!("{{{good}, \"q\": {{\"passage\": \"P\"}}}}"),
        "the passage is not of DROP's official form: missing field `qa_pairs` (file: a.json, row: 2, \
         field: qa_pairs)",
    );
    check(&format!("{{{good} {good}}}"), "malformed JSON: expected `,` (file: a.json, row: 2)");
    check(
        &format!("{{{good}"),
        "malformed JSON: the file ends in the middle (file: a.json, row: 2)",
    );
    check(&format!("{{{good}}} {{"), "something follows the last passage (file: a.json, row: 2)");
    check(
        r#"{"p": {"passage": "P"#,
        "malformed JSON: EOF while parsing a string (file: a.json, row: 1)",
    );
    check("[1]", "malformed JSON: expected `{` (file: a.json, row: 1)");
}

#[test]
fn what_is_wrong_with_a_question_is_named_by_its_pair_and_field() {
    let check = |pair: &str, message: &str, field: &str| {
        let good = r#"{"question": "Q?", "query_id": "1"}"#;
        let content =
            format!("{{\"p\": {{\"passage\": \"P\", \"qa_pairs\": [{good}, {good}, {pair}]}}}}");
        let error = passages("a.json", content.as_bytes()).unwrap_err();
        let wanted = format!(
            "the passage is not of DROP's official form: {message} (file: a.json, row: 1, \
             field: qa_pairs[2]{field})"
        );
        assert_eq!(error, wanted);
    };
    check(r#"{"query_id": "1"}"#, "missing field `question`", ".question");
    check(r#"{"question": "Q?"}"#, "missing field `query_id`", ".query_id");
    let answered =
        |answer: &str| format!(r#"{{"question": "Q?", "query_id": "1", "answer": {answer}}}"#);
    check(
        &answered("7"),
        "invalid type: integer `7`, expected an object with number, spans and date",
        ".answer",
    );
    check(
        &answered(r#"{"number": true}"#),
        "expected a number or a string, found true",
        ".answer.number",
    );
    check(
        &answered(r#"{"date": "May"}"#),
        "invalid type: string \"May\", expected an object with day, month and year",
        ".answer.date",
    );
    check(
        "7",
        "invalid type: integer `7`, expected an object with question, query_id, answer and \
         validated_answers",
        "",
    );
}

#[test]
fn a_file_is_official_by_its_name_and_its_form() {
    let check = |name: &str, content: &str, wanted: bool| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        assert_eq!(is_official(&path), wanted, "{name} {content}");
    };
    check("a.json", TWO, true);
    check("a.json", "{}", true);
    check("a.json", "{\"p\": {\"passage\": 3", true);
    check("a.jsonl", TWO, false);
    check("a.json", "[{\"passage\": \"P\"}]", false);
    check("a.json", "{\"data\": [{\"passage\": \"P\"}]}", false);
    check("a.json", "{\"passage\": \"P\"}\n", false);
    let spans = "{\"answers_spans\": {\"spans\": [], \"types\": []}, \"passage\": \"P\"}\n";
    check("a.json", spans, false);
    check("a.json", &spans[..20], false);
    check("a.json", "{\"row\": {\"passage\": \"P\", \"question\": \"Q\"}}\n", false);
    check("a.json", "{\"p\": {\"wiki_url\": \"u\", \"qa_pairs\": [], \"passage\": \"P\"}}", true);
    check("a.json", "", false);
    check("a.json.gz", "{}", false);
    assert!(!is_official(Path::new("there-is-no-such.json")));
}

#[test]
fn every_question_is_an_example_with_all_its_right_answers() {
    let passage: Passage = serde_json::from_str(
        r#"{"passage": "P", "qa_pairs": [
            {"question": "Q?", "query_id": "1", "answer": {"number": "3"},
             "validated_answers": [{"spans": ["three"]}]},
            {"question": "R?", "query_id": "2"}]}"#,
    )
    .unwrap();
    let examples: Result<Vec<Example>, &str> =
        examples("s", passage, Variant::Fixed).into_iter().collect();
    let examples = examples.unwrap();
    assert_eq!(examples[0].input, "Passage: P\nQuestion: Q?\nAnswer:");
    assert_eq!(examples[0].target.as_deref(), Some("3"));
    assert_eq!(examples[0].extra["section_id"], "s");
    assert_eq!(examples[0].extra["query_id"], "1");
    assert_eq!(crate::question::answers(&examples[0]).unwrap().len(), 2);
    assert_eq!((&examples[1].target, examples.len()), (&None, 2));
}

#[test]
fn the_papers_questions_and_targets_are_those_of_hugging_faces_rows() {
    let read = |variant| -> Vec<Result<Option<String>, &'static str>> {
        let passage: Passage = serde_json::from_str(
            r#"{"passage": "P", "qa_pairs": [
                {"question": "Q?", "query_id": "1", "answer": {"number": "3"},
                 "validated_answers": [{"spans": ["three", "four"]}]},
                {"question": "R?", "query_id": "2", "answer": {"number": "3", "spans": ["x"]}},
                {"question": "S?", "query_id": "3", "answer": {}, "validated_answers": []},
                {"question": "T?", "query_id": "4"}]}"#,
        )
        .unwrap();
        let targets = examples("s", passage, variant).into_iter();
        targets.map(|example| example.map(|example| example.target)).collect()
    };
    let text = |text: &str| Ok(Some(text.to_owned()));
    let (two, empty) = (Err("an answer is of two kinds"), Err("the answer is empty"));
    assert_eq!(read(Variant::Paper), [text("three"), two, empty, Ok(None)]);
    assert_eq!(read(Variant::Fixed), [text("3"), text("3"), Ok(None), Ok(None)]);
}
