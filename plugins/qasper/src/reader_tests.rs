//! Tests of the reader on a small made-up file.

use super::*;
use std::fs;

use crate::config::Variant;
use deft_core::NoServices;
use serde_json::{Value, json};

/// Two questions about three paragraphs, and an article without text before them.
fn papers() -> Value {
    let answer = |evidence: &[&str]| json!({"answer": {"evidence": evidence}});
    json!({
        "empty": {"full_text": [], "qas": [{"question": "?", "question_id": "q0", "answers": []}]},
        "paper": {
            "full_text": [{"section_name": "Title", "paragraphs": ["one", "two", "three"]}],
            "qas": [
                {"question": "Q1?", "question_id": "q", "answers": [
                    answer(&["one", "two"]), answer(&["one"]),
                ]},
                {"question": "Q2?", "question_id": "q", "answers": [answer(&[])]},
            ],
        },
    })
}

fn read_by(papers: &Value, config: QasperConfig, max: usize) -> Result<Batch> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("papers.json");
    fs::write(&path, papers.to_string()).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = QasperReader::new(&ctx, config, Children::none())?;
    let mut stream = reader.open(&ctx, &path)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

fn read(config: QasperConfig) -> Vec<Example> {
    read_by(&papers(), config, 100).unwrap().examples
}

fn of(variant: Variant) -> QasperConfig {
    QasperConfig { variant, ..QasperConfig::default() }
}

/// Scores where these positions are answered with yes.
fn score(examples: &[Example], yes: &[usize]) -> Result<Vec<ExampleScore>> {
    score_by(Variant::Fixed, examples, yes)
}

fn score_by(variant: Variant, examples: &[Example], yes: &[usize]) -> Result<Vec<ExampleScore>> {
    let prediction = |position: usize| {
        let log_probs = if yes.contains(&position) { vec![-1.0, -2.0] } else { vec![-2.0, -1.0] };
        Prediction::OptionScores { log_probs, tokens: vec![1, 1] }
    };
    let predictions: Vec<_> = (0..examples.len()).map(prediction).collect();
    let ctx = Context::new(&NoServices, 0, 1);
    QasperReader(of(variant)).score(&ctx, examples, &predictions)
}

#[test]
fn every_paragraph_is_asked_about_and_the_paper_asks_last() {
    let fixed = read(of(Variant::Fixed));
    assert_eq!(fixed.len(), 6);
    assert_eq!(
        fixed[1].input,
        "Question: Q1? Is the answer to the question in the paragraph? Answer Yes or No. \
         Paragraph: two"
    );
    assert_eq!((fixed[1].target.as_deref(), fixed[1].gold), (Some("Yes"), Some(0)));
    assert_eq!((fixed[2].target.as_deref(), fixed[2].gold), (Some("No"), Some(1)));
    assert_eq!(
        Value::from(fixed[1].extra.clone()),
        json!({
            "paper_id": "paper", "question_id": "q", "question": "Q1?", "paragraph_index": 1,
            "references": [[2, 1], [1, null]],
        })
    );
    let paper = read(of(Variant::Paper));
    assert_eq!(paper.len(), 8, "the title is a paragraph");
    assert_eq!(
        paper[2].input,
        "Question: Q1? Paragraph: two Is the answer to the question in the paragraph? Answer Yes \
         or No."
    );
}

#[test]
fn an_article_without_text_is_left_out_and_batches_change_nothing() {
    let all = read_by(&papers(), QasperConfig::default(), 100).unwrap();
    assert_eq!(all.skipped, [SkippedRow { row: 1, reason: NO_TEXT.to_owned() }]);
    for max in [1, 4] {
        let other = read_by(&papers(), QasperConfig::default(), max).unwrap();
        assert_eq!((other.examples, other.skipped), (all.examples.clone(), all.skipped.clone()));
    }
}

#[test]
fn negatives_are_drawn_by_the_seed_and_positives_always_kept() {
    let ratio = |negative_sample_ratio, seed| {
        read(QasperConfig { negative_sample_ratio, seed, ..QasperConfig::default() })
    };
    let none = ratio(0.0, 1);
    assert_eq!(none.len(), 2);
    assert!(none.iter().all(|example| example.gold == Some(YES)));
    // Python's random.Random(23019) begins with 0.950, 0.785, 0.063, 0.741, and there are four negatives.
    let some = ratio(0.8, 23019);
    let place = |example: &Example| example.extra["paragraph_index"].as_u64().unwrap();
    assert_eq!(some.iter().map(place).collect::<Vec<_>>(), [0, 1, 0, 1, 2]);
    assert_eq!(ratio(0.8, 23019), some);
}

#[test]
fn shuffling_keeps_every_example_and_follows_the_seed() {
    let shuffled = |seed| read(QasperConfig { shuffle: true, seed, ..QasperConfig::default() });
    let text = |examples: Vec<Example>| -> Vec<String> {
        examples.into_iter().map(|example| example.input).collect()
    };
    let (in_order, first) = (text(read(QasperConfig::default())), text(shuffled(1)));
    assert_eq!(text(shuffled(1)), first);
    assert!((2..9).any(|seed| text(shuffled(seed)) != first));
    let mut sorted = [in_order, first];
    for texts in &mut sorted {
        texts.sort_unstable();
    }
    assert_eq!(sorted[0], sorted[1]);
}

#[test]
fn a_questions_paragraphs_all_have_its_f1_whatever_its_id() {
    let examples = read(QasperConfig::default());
    // Of the first question one of two paragraphs, of the second, which has no evidence, none.
    let scores = score(&examples, &[0]).unwrap();
    let f1: Vec<f64> = scores.iter().map(|score| score.values[F1]).collect();
    assert_eq!(f1, [1.0; 6], "the second annotator has the first paragraph alone");
    let scores = score(&examples, &[1, 3]).unwrap();
    let all = |name: &str| scores.iter().map(|score| score.values[name]).collect::<Vec<_>>();
    let third = 2.0 / 3.0;
    assert_eq!(all(F1), [third, third, third, 0.0, 0.0, 0.0]);
    assert_eq!(all(PRECISION), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(all(RECALL), [0.5, 0.5, 0.5, 0.0, 0.0, 0.0]);
    assert_eq!(all(metrics::ACCURACY_SUM), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    let spec = &QasperReader(QasperConfig::default()).task().metrics[0];
    assert_eq!(spec.name, F1);
    let mean = metrics::aggregate(spec, &scores, 1).unwrap().value;
    assert!((mean - third / 2.0).abs() < 1e-12, "the mean over questions, not {mean}");
}

#[test]
fn to_the_paper_questions_of_one_id_are_one_and_the_last_ones_evidence_counts() {
    let mut papers = papers();
    papers["paper"]["qas"][1]["answers"] = json!([{"answer": {"evidence": ["two", "three"]}}]);
    // To the paper the title is a paragraph: 0 to 3 are of the first question, 4 to 7 of the second.
    let examples = read_by(&papers, of(Variant::Paper), 100).unwrap().examples;
    let of_all = |yes: &[usize]| -> [f64; 3] {
        let scores = score_by(Variant::Paper, &examples, yes).unwrap();
        assert_eq!(scores.len(), 8);
        assert!(
            scores.iter().all(|one| one.group == "q" && one.values[F1] == scores[0].values[F1])
        );
        [PRECISION, RECALL, F1].map(|name| scores[0].values[name])
    };
    assert_eq!(of_all(&[1]), [0.0; 3], "evidence for the first question alone");
    assert_eq!(
        of_all(&[2]),
        [1.0, 0.5, 2.0 / 3.0],
        "predicted for the first, and right of the last"
    );
    assert_eq!(of_all(&[2, 6]), [0.5, 0.5, 0.5], "predicted for both: found once");
    assert_eq!(of_all(&[2, 7]), [1.0; 3]);
    let fixed = read_by(&papers, of(Variant::Fixed), 100).unwrap().examples;
    let groups: Vec<_> = score(&fixed, &[]).unwrap().into_iter().map(|score| score.group).collect();
    assert_eq!((groups[0].as_str(), groups[3].as_str()), ("q: Q1?", "q: Q2?"));
}

#[test]
fn paragraphs_of_another_paper_are_no_evidence_for_the_last_question_of_an_id() {
    let mut papers = papers();
    papers["paper"]["qas"].as_array_mut().unwrap().truncate(1);
    let mut second = papers["paper"].clone();
    second["full_text"][0]["paragraphs"] = json!(["four", "five"]);
    second["qas"][0]["answers"] = json!([{"answer": {"evidence": ["four"]}}]);
    papers["second"] = second;
    let examples = read_by(&papers, of(Variant::Paper), 100).unwrap().examples;
    assert_eq!(examples.len(), 4 + 3);
    let f1 = |yes: usize| score_by(Variant::Paper, &examples, &[yes]).unwrap()[0].values[F1];
    assert_eq!((f1(1), f1(5)), (0.0, 1.0));
}

#[test]
fn what_cannot_be_scored_is_named() {
    let mut examples = read(QasperConfig::default());
    examples[2].extra.remove("references");
    let error = score(&examples, &[]).unwrap_err();
    assert_eq!(error.message(), "the example does not say what the evidence for its question is");
    let mut unlabelled = papers();
    unlabelled["paper"]["qas"][0]["answers"] = Value::Null;
    let all = read_by(&unlabelled, QasperConfig::default(), 100).unwrap().examples;
    assert_eq!((all[0].target.as_deref(), all[0].gold), (None, None));
    assert!(score(&all, &[]).is_err());
}

#[test]
fn a_ratio_that_is_no_share_is_refused() {
    for negative_sample_ratio in [-0.1, 1.1, f64::NAN] {
        let options = QasperConfig { negative_sample_ratio, ..QasperConfig::default() };
        let error = QasperReader::check(&options).unwrap_err();
        assert_eq!(error.option(), Some("negative_sample_ratio"));
    }
    assert!(QasperReader::check(&QasperConfig::default()).is_ok());
}
