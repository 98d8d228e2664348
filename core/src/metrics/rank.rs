//! Rank classification: the option with the highest score is the answer.

use std::collections::BTreeMap;

use super::{Aggregate, Classes, ExampleScore, MetricSpec, ScoringRule, TaskSpec};
use crate::{Error, ErrorKind, Example, Prediction, PredictionKind, Result};

/// Accuracy where an option's score is its summed log-probability: the rule of T0 and DEFT.
pub const ACCURACY_SUM: &str = "accuracy_sum";

/// Accuracy where an option's score is its mean log-probability per token.
pub const ACCURACY_MEAN: &str = "accuracy_mean";

impl TaskSpec {
    /// Rank classification under both scoring rules: accuracy, macro and micro F1, and precision
    /// and recall of the first option; see [`rank_classification`].
    ///
    /// A metric's name ends in its rule: `accuracy_sum`, `accuracy_mean`, `macro_f1_sum`, and so on.
    pub fn rank_classification() -> Self {
        Self::rank_classification_about(0)
    }

    /// The same, with precision and recall of the option at `class`, from 0.
    pub fn rank_classification_about(class: usize) -> Self {
        type OfRule = fn(ScoringRule, usize) -> Aggregate;
        const METRICS: [(&str, OfRule); 5] = [
            ("accuracy", |_, _| Aggregate::Mean),
            ("macro_f1", |rule, _| Aggregate::MacroF1 { rule }),
            ("micro_f1", |rule, _| Aggregate::MicroF1 { rule }),
            ("precision", |rule, class| Aggregate::Precision { rule, class }),
            ("recall", |rule, class| Aggregate::Recall { rule, class }),
        ];
        let metrics = METRICS.into_iter().flat_map(|(name, aggregate)| {
            ScoringRule::ALL.map(|rule| MetricSpec {
                name: format!("{name}_{}", rule.as_str()),
                aggregate: aggregate(rule, class),
            })
        });
        Self { prediction: PredictionKind::OptionScores, metrics: metrics.collect() }
    }
}

/// Scores by rank classification: the option with the highest score is the prediction, ties go to
/// the lowest position.
///
/// # Errors
///
/// [`ErrorKind::Data`] for an example without right answer or options, [`ErrorKind::Unexpected`]
/// for a prediction that is no option scores.
pub fn rank_classification(
    examples: &[Example],
    predictions: &[Prediction],
) -> Result<Vec<ExampleScore>> {
    examples.iter().zip(predictions).map(|(e, p)| rank_one(e, p)).collect()
}

fn rank_one(example: &Example, prediction: &Prediction) -> Result<ExampleScore> {
    let refused = |message: &str| {
        Error::new(ErrorKind::Data, message).with_context("input", crate::excerpt(&example.input))
    };
    let gold = example
        .gold
        .ok_or_else(|| refused("the example has no right answer to be scored against"))?;
    let Prediction::OptionScores { log_probs, tokens } = prediction else {
        return Err(Error::new(ErrorKind::Unexpected, "option scores are needed, text was given"));
    };
    let means: Vec<f64> =
        log_probs.iter().zip(tokens).map(|(sum, &n)| sum / f64::from(n.max(1))).collect();
    let (Some(sum), Some(mean)) = (first_max(log_probs), first_max(&means)) else {
        return Err(refused("the example has no answer choices to choose among"));
    };
    let correct = |choice: usize| f64::from(u8::from(choice == gold));
    Ok(ExampleScore {
        group: String::new(),
        predicted: Some(sum),
        classes: Some(Classes { gold, count: log_probs.len(), sum, mean }),
        values: BTreeMap::from([
            (ACCURACY_SUM.to_owned(), correct(sum)),
            (ACCURACY_MEAN.to_owned(), correct(mean)),
        ]),
    })
}

fn first_max(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(options: &[&str], gold: Option<usize>) -> Example {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Example { options, gold, ..Example::default() }
    }

    fn scores(log_probs: &[f64], tokens: &[u32]) -> Prediction {
        Prediction::OptionScores { log_probs: log_probs.to_vec(), tokens: tokens.to_vec() }
    }

    #[test]
    fn sum_and_mean_rules_can_disagree_and_ties_go_to_the_first() {
        let examples = [example(&["a", "b"], Some(1)), example(&["a", "b"], Some(0))];
        let predictions = [scores(&[-2.0, -3.0], &[1, 3]), scores(&[-1.0, -1.0], &[1, 1])];
        let scored = rank_classification(&examples, &predictions).expect("scored");
        assert_eq!(scored[0].predicted, Some(0));
        assert_eq!(scored[0].values[ACCURACY_SUM], 0.0);
        assert_eq!(scored[0].values[ACCURACY_MEAN], 1.0);
        assert_eq!(scored[0].classes, Some(Classes { gold: 1, count: 2, sum: 0, mean: 1 }));
        assert_eq!(scored[1].predicted, Some(0));
    }

    #[test]
    fn names_of_metrics_end_in_their_rule_and_accuracy_by_the_papers_comes_first() {
        let spec = TaskSpec::rank_classification_about(1);
        let names: Vec<&str> = spec.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names[..3], ["accuracy_sum", "accuracy_mean", "macro_f1_sum"]);
        assert_eq!(names.len(), 10);
        let recall = spec.metrics.last().expect("a metric");
        assert_eq!(recall.name, "recall_mean");
        let rule = ScoringRule::Mean;
        assert_eq!(recall.aggregate, Aggregate::Recall { rule, class: 1 });
    }

    #[test]
    fn an_example_that_cannot_be_right_or_wrong_is_refused() {
        let check = |example: Example, prediction: Prediction, kind: ErrorKind| {
            let error = rank_classification(&[example], &[prediction]).unwrap_err();
            assert_eq!(error.kind(), kind);
        };
        check(example(&["a"], None), scores(&[-1.0], &[1]), ErrorKind::Data);
        check(example(&[], Some(0)), scores(&[], &[]), ErrorKind::Data);
        check(example(&["a"], Some(0)), Prediction::Text("a".into()), ErrorKind::Unexpected);
    }
}
