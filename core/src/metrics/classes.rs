//! Metrics about classes, from how often each was right and predicted.

use super::{Aggregate, mean};

/// The right class and the one predicted, of one example.
pub(super) type Pair = (usize, usize);

/// Counts of some examples.
pub(super) struct Counts {
    /// How often each class was the right one.
    gold: Vec<f64>,
    /// How often each was predicted.
    predicted: Vec<f64>,
    /// How often each was both.
    both: Vec<f64>,
}

impl Counts {
    /// Counts the pairs of these rows; every class is below `classes`.
    pub(super) fn of(rows: &[usize], pairs: &[Pair], classes: usize) -> Self {
        let zeros = || vec![0.0; classes];
        let mut counts = Self { gold: zeros(), predicted: zeros(), both: zeros() };
        for &(gold, predicted) in rows.iter().map(|&row| &pairs[row]) {
            counts.gold[gold] += 1.0;
            counts.predicted[predicted] += 1.0;
            if gold == predicted {
                counts.both[gold] += 1.0;
            }
        }
        counts
    }

    /// What a metric makes of them; 0 from one that is not about classes.
    pub(super) fn value(&self, aggregate: Aggregate) -> f64 {
        match aggregate {
            Aggregate::Mean | Aggregate::GroupMean => 0.0,
            Aggregate::MacroF1 { .. } => mean(
                (0..self.gold.len())
                    .map(|class| f1(self.both[class], self.predicted[class], self.gold[class])),
            ),
            Aggregate::MicroF1 { .. } => {
                let sum = |counts: &[f64]| counts.iter().sum::<f64>();
                f1(sum(&self.both), sum(&self.predicted), sum(&self.gold))
            }
            Aggregate::Precision { class, .. } => share(&self.both, &self.predicted, class),
            Aggregate::Recall { class, .. } => share(&self.both, &self.gold, class),
        }
    }
}

/// The harmonic mean of precision and recall; 0 without a true positive.
fn f1(both: f64, predicted: f64, gold: f64) -> f64 {
    if both == 0.0 { 0.0 } else { 2.0 * both / (predicted + gold) }
}

/// A class's share of the one count in the other; 0 for a class that never comes.
fn share(part: &[f64], whole: &[f64], class: usize) -> f64 {
    match (part.get(class), whole.get(class)) {
        (Some(part), Some(&whole)) if whole > 0.0 => part / whole,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScoringRule;
    use super::*;

    /// Three classes; the last is never right and never predicted.
    fn counts() -> Counts {
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
        Counts::of(&[0, 1, 2, 3, 4], &pairs, 3)
    }

    #[test]
    fn f1_is_over_all_classes_also_those_that_never_come() {
        let rule = ScoringRule::Sum;
        let first = 2.0 * 2.0 / (3.0 + 3.0);
        let second = 2.0 * 1.0 / (2.0 + 2.0);
        let macro_f1 = counts().value(Aggregate::MacroF1 { rule });
        assert!((macro_f1 - (first + second) / 3.0).abs() < 1e-12);
        assert!((counts().value(Aggregate::MicroF1 { rule }) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn precision_and_recall_are_of_one_class_and_zero_where_it_never_comes() {
        let rule = ScoringRule::Sum;
        let counts = counts();
        assert_eq!(counts.value(Aggregate::Precision { rule, class: 1 }), 0.5);
        assert_eq!(counts.value(Aggregate::Recall { rule, class: 0 }), 2.0 / 3.0);
        for class in [2, 7] {
            assert_eq!(counts.value(Aggregate::Precision { rule, class }), 0.0);
            assert_eq!(counts.value(Aggregate::Recall { rule, class }), 0.0);
        }
    }

    #[test]
    fn rows_may_come_several_times_or_not_at_all() {
        let counts = Counts::of(&[1, 1, 1], &[(0, 1), (0, 0)], 2);
        let rule = ScoringRule::Sum;
        assert_eq!(counts.value(Aggregate::MicroF1 { rule }), 1.0);
        assert_eq!(Counts::of(&[], &[], 0).value(Aggregate::MacroF1 { rule }), 0.0);
    }
}
