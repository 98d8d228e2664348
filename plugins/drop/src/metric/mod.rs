//! The metric of DROP: exact match and F1, equal to its official script.

mod align;
mod normalize;
mod number;

use std::collections::BTreeSet;

use crate::question::{Answer, AnswerKind};
use align::best_total;
use normalize::normalize;

/// The score of one question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Score {
    /// 1 where the texts are those of an answer, 0 otherwise.
    pub(crate) exact_match: f64,
    /// How many words they share with an answer, from 0 to 1.
    pub(crate) f1: f64,
    /// The kind of the last answer that both scores are reached with.
    pub(crate) kind: Option<AnswerKind>,
}

/// The best that the predicted texts reach with any of the answers; blank answers do not count.
///
/// The two scores are the best each by itself, also where different answers give them.
pub(crate) fn score(predicted: &[&str], answers: &[Answer]) -> Score {
    let predicted = Spans::of(predicted);
    let mut best = Score::default();
    for answer in answers.iter().filter(|answer| !answer.is_blank()) {
        let (exact_match, f1) = compare(&predicted, &Spans::of(&answer.texts));
        best.exact_match = best.exact_match.max(exact_match);
        best.f1 = best.f1.max(f1);
        if best.exact_match == exact_match && best.f1 == f1 {
            best.kind = Some(answer.kind);
        }
    }
    best
}

/// Texts in the form in which they are compared.
struct Spans {
    normalized: Vec<String>,
    /// The different words of each.
    words: Vec<BTreeSet<String>>,
}

impl Spans {
    fn of(texts: &[impl AsRef<str>]) -> Self {
        let normalized: Vec<_> = texts.iter().map(|text| normalize(text.as_ref())).collect();
        let words = |text: &String| text.split_whitespace().map(str::to_owned).collect();
        Self { words: normalized.iter().map(words).collect(), normalized }
    }
}

/// Exact match and F1 of predicted texts with one answer.
///
/// Exact: as many texts, and the same ones. F1: each text of the answer is paired with one that was
/// predicted, so that the sum over the pairs is largest; its mean over all texts of the side that
/// has more of them, rounded to two places.
fn compare(predicted: &Spans, gold: &Spans) -> (f64, f64) {
    let set = |spans: &Spans| spans.normalized.iter().cloned().collect::<BTreeSet<_>>();
    let is_exact =
        predicted.normalized.len() == gold.normalized.len() && set(predicted) == set(gold);
    let (golds, predictions) = (gold.words.len(), predicted.words.len());
    let pair = |gold_at: usize, at: usize| pair_f1(&gold.words[gold_at], &predicted.words[at]);
    let total = best_total(golds, predictions, &pair);
    let mean = total / golds.max(predictions) as f64;
    (f64::from(u8::from(is_exact)), (mean * 100.0).round_ties_even() / 100.0)
}

/// F1 of the different words of two texts; 0 where the answer has numbers and none is predicted.
fn pair_f1(gold: &BTreeSet<String>, predicted: &BTreeSet<String>) -> f64 {
    let mut numbers = gold.iter().filter(|word| number::parse(word).is_some()).peekable();
    if numbers.peek().is_some() && !numbers.any(|number| predicted.contains(number)) {
        return 0.0;
    }
    let shared = gold.intersection(predicted).count() as f64;
    // A side without words is not at fault: nothing of it is wrong, or missing.
    let share = |side: &BTreeSet<String>| match side.len() {
        0 => 1.0,
        words => shared / words as f64,
    };
    let (precision, recall) = (share(predicted), share(gold));
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(texts: &[&str]) -> Answer {
        Answer::of_spans(texts.iter().map(|&text| text.to_owned()).collect())
    }

    fn check(predicted: &[&str], answers: &[Answer], exact_match: f64, f1: f64) {
        let found = score(predicted, answers);
        assert_eq!((found.exact_match, found.f1), (exact_match, f1), "{predicted:?}");
    }

    #[test]
    fn order_does_not_matter_and_number_does() {
        check(&["b", "c"], &[spans(&["c", "b"])], 1.0, 1.0);
        check(&["c"], &[spans(&["c", "b"])], 0.0, 0.5);
        check(&["c", "c"], &[spans(&["c"])], 0.0, 0.5);
        check(&[], &[spans(&["c"])], 0.0, 0.0);
    }

    #[test]
    fn texts_are_paired_for_the_best_sum() {
        // "x y" alone is best with "x y z"; then nothing is left for "z".
        check(&["x y z", "x"], &[spans(&["x y", "z"])], 0.0, 0.58);
    }

    #[test]
    fn a_number_must_be_right_for_any_words_to_count() {
        check(&["5 yards"], &[spans(&["4 yards"])], 0.0, 0.0);
        check(&["yards"], &[spans(&["4 yards"])], 0.0, 0.0);
        check(&["4 feet"], &[spans(&["4 yards"])], 0.0, 0.5);
        check(&["4 yards"], &[spans(&["yards"])], 0.0, 0.67);
    }

    #[test]
    fn each_score_is_the_best_over_the_answers_and_blank_ones_do_not_count() {
        let answers = [spans(&["red"]), spans(&[" "]), spans(&["red", "blue"])];
        check(&["red"], &answers, 1.0, 1.0);
        check(&[""], &[spans(&["", "x"])], 0.0, 0.0);
        let number = Answer::of_one(AnswerKind::Number, "3".to_owned());
        assert_eq!(score(&["3"], &[number.clone(), spans(&["x"])]).kind, Some(AnswerKind::Number));
        assert_eq!(score(&["y"], &[number, spans(&["x"])]).kind, Some(AnswerKind::Span));
    }
}
