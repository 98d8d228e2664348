//! The tables at the end of a run, and of an evaluation.

mod grid;
#[cfg(test)]
mod testing;

use std::fmt::Write as _;

use crate::pipeline::{ArmComparison, ArmResult, Results};
use crate::recall::Recall;

pub use grid::{markdown, overview};

/// How many of a task's metrics the table has; all are in `metrics.json`.
const METRICS_SHOWN: usize = 2;

/// The results as text: per task a line for each arm, over its seeds; then the manifest's note.
pub fn table(results: &Results, note: Option<&str>) -> String {
    let mut text = String::new();
    let mut tasks: Vec<&str> = results.iter().map(|result| result.task.as_str()).collect();
    tasks.dedup();
    for task in tasks {
        let of_task: Vec<&ArmResult> = results.iter().filter(|r| r.task == task).collect();
        task_table(&mut text, task, &of_task, results);
    }
    if let Some(note) = note.filter(|_| !text.is_empty()) {
        let _ = writeln!(text, "\nnote: {}", note.trim());
    }
    text
}

fn task_table(text: &mut String, task: &str, results: &[&ArmResult], all: &Results) {
    let first = results[0];
    let _ = write!(text, "\ntask {task}: {} evaluation examples", first.evaluated);
    if let Some(baselines) = &first.baselines {
        let _ = write!(
            text,
            "; chance {:.3}, majority class `{}` {:.3}",
            baselines.chance, baselines.majority_class, baselines.majority
        );
    }
    text.push_str("\n\n");
    let mut arms: Vec<&str> = results.iter().map(|result| result.arm.as_str()).collect();
    arms.dedup();
    let mut rows = vec![header(first, all)];
    for arm in arms {
        let of_arm: Vec<&ArmResult> =
            results.iter().copied().filter(|result| result.arm == arm).collect();
        let comparison = all.comparison(task, arm);
        rows.push(row(arm, &of_arm, all.recall(task, arm), comparison));
    }
    push_aligned(text, &rows);
    let notes: std::collections::BTreeSet<&str> =
        results.iter().flat_map(|result| &result.notes).map(String::as_str).collect();
    for note in notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
}

fn header(first: &ArmResult, all: &Results) -> Vec<String> {
    let mut cells = vec!["arm".to_owned(), "examples".to_owned(), "steps".to_owned()];
    cells.extend(["related", "recall", "overlap"].map(str::to_owned));
    for metric in first.metrics.iter().take(METRICS_SHOWN) {
        cells.push(metric.name.clone());
        cells.push(String::new());
    }
    let mut comparisons = all.comparisons().iter().filter(|one| one.task == first.task);
    let difference = comparisons.find_map(|one| one.difference.as_ref());
    cells.push(difference.map_or(String::new(), |it| format!("against {}", it.from)));
    cells.push("predicted".to_owned());
    cells
}

/// One arm over its seeds.
fn row(
    arm: &str,
    results: &[&ArmResult],
    recall: Option<&Recall>,
    comparison: Option<&ArmComparison>,
) -> Vec<String> {
    let first = results[0];
    let related = first.related.map_or("-".to_owned(), |share| format!("{share:.2}"));
    let mut cells =
        vec![arm.to_owned(), first.trained_on.to_string(), first.steps.to_string(), related];
    cells.push(recall.map_or("-".to_owned(), Recall::cell));
    cells.push(recall.map_or("-".to_owned(), Recall::overlap_cell));
    for metric in 0..first.metrics.len().min(METRICS_SHOWN) {
        let (value, interval) = measure(results, metric, comparison);
        cells.extend([value, interval]);
    }
    let difference = comparison.and_then(|one| one.difference.as_ref());
    cells.push(difference.map_or("-".to_owned(), |it| {
        let of = it.difference;
        format!("{:+.3} [{:+.3}, {:+.3}]", of.value, of.low, of.high)
    }));
    let shares = (0..first.predicted.len()).map(|class| {
        let values: Vec<f64> = results.iter().map(|result| result.predicted[class].1).collect();
        format!("{} {:.2}", first.predicted[class].0, mean(&values))
    });
    cells.push(shares.collect::<Vec<_>>().join(", "));
    cells
}

/// A metric of one arm, and how sure it is: the bootstrap interval, with several seeds over these
/// too; of what is no mean, the range of the seeds.
fn measure(
    results: &[&ArmResult],
    metric: usize,
    comparison: Option<&ArmComparison>,
) -> (String, String) {
    let values: Vec<f64> = results.iter().map(|result| result.metrics[metric].value).collect();
    let (seeds, first) = (values.len(), &results[0].metrics[metric]);
    let over_seeds = comparison.and_then(|one| one.over_seeds(&first.name));
    let interval = match (seeds, over_seeds) {
        (1, _) => format!("[{:.3}, {:.3}]", first.low, first.high),
        (_, Some(over)) => format!("[{:.3}, {:.3}] ({seeds} seeds)", over.low, over.high),
        (_, None) => {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{low:.3}–{high:.3} ({seeds} seeds)")
        }
    };
    (format!("{:.3}", mean(&values)), interval)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Columns that nothing is in are left out; the others are as wide as their widest cell.
pub(crate) fn push_aligned(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let empty =
        |column: usize| rows[1..].iter().all(|row| matches!(row[column].as_str(), "" | "-"));
    let shown: Vec<usize> = (0..columns).filter(|&column| !empty(column)).collect();
    for row in rows {
        let mut line = String::new();
        for &column in &shown {
            let cell = &row[column];
            let padding = width(column) - cell.chars().count() + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{metric, result};
    use super::*;
    use crate::pipeline::{ArmDifference, ArmRecall};
    use crate::recall::{HitsFrom, Known};
    use deft_core::metrics::{Difference, Metric};

    #[test]
    fn the_table_has_the_first_two_metrics() {
        let metrics = ["accuracy_sum", "accuracy_mean", "macro_f1_sum"].map(metric).to_vec();
        let mut results = Results::default();
        results.add(ArmResult { metrics, ..result("retrieved") });
        let wanted = "arm        examples  steps  accuracy_sum                  accuracy_mean\n\
                      retrieved  20        5      0.500         [0.400, 0.600]  0.500          \
                      [0.400, 0.600]\n";
        assert!(table(&results, None).ends_with(wanted), "{}", table(&results, None));
    }

    #[test]
    fn arms_that_search_have_a_recall_and_a_table_without_has_no_column() {
        let mut results = Results::default();
        results.add(result("retrieved"));
        results.add(result("random"));
        assert!(!table(&results, None).contains("recall"));
        let recall = Recall { k: 10, known: Known::Exact, hits: HitsFrom::Search };
        let (task, arm) = ("rte".to_owned(), "retrieved".to_owned());
        results.set_recalls(vec![ArmRecall { task, arm, recall }]);
        let wanted = "arm        examples  steps  recall\nretrieved  20        5      exact\n\
                      random     20        5      -\n";
        assert!(table(&results, None).ends_with(wanted), "{}", table(&results, None));
    }

    #[test]
    fn arms_are_held_against_the_first_and_intervals_are_over_seeds_where_these_are_known() {
        let mut results = Results::default();
        for (arm, seed) in [("retrieved", 1), ("retrieved", 2), ("none", 1)] {
            let metrics = vec![metric("accuracy_sum"), metric("macro_f1_sum")];
            results.add(ArmResult { seed, metrics, ..result(arm) });
        }
        let comparison = |arm: &str| ArmComparison {
            task: "rte".to_owned(),
            arm: arm.to_owned(),
            seeds: 1,
            over_seeds: Vec::new(),
            difference: None,
        };
        let over = Metric { low: 0.25, high: 0.75, ..metric("accuracy_sum") };
        let difference = Difference { value: -0.25, low: -0.5, high: 0.125 };
        let (from, name) = ("retrieved".to_owned(), "accuracy_sum".to_owned());
        results.compare(vec![
            ArmComparison { seeds: 2, over_seeds: vec![over], ..comparison("retrieved") },
            ArmComparison {
                difference: Some(ArmDifference { from, metric: name, difference }),
                ..comparison("none")
            },
        ]);
        let wanted = "\
arm        examples  steps  accuracy_sum                            macro_f1_sum                         against retrieved
retrieved  20        5      0.500         [0.250, 0.750] (2 seeds)  0.500         0.500–0.500 (2 seeds)  -
none       20        5      0.500         [0.400, 0.600]            0.500         [0.400, 0.600]         -0.250 [-0.500, +0.125]
";
        assert!(table(&results, None).ends_with(wanted), "{}", table(&results, None));
    }
}
