//! The table at the end of a run.

use std::fmt::Write as _;

use crate::pipeline::{ArmResult, Results};
use crate::recall::Recall;

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
    let mut rows = vec![header(first)];
    for arm in arms {
        let of_arm: Vec<&ArmResult> =
            results.iter().copied().filter(|result| result.arm == arm).collect();
        rows.push(row(arm, &of_arm, all.recall(task, arm)));
    }
    push_aligned(text, &rows);
    let notes: std::collections::BTreeSet<&str> =
        results.iter().flat_map(|result| &result.notes).map(String::as_str).collect();
    for note in notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
}

fn header(first: &ArmResult) -> Vec<String> {
    let mut cells = vec!["arm".to_owned(), "examples".to_owned(), "steps".to_owned()];
    cells.extend(["related", "recall", "overlap"].map(str::to_owned));
    for metric in &first.metrics {
        cells.push(metric.name.clone());
        cells.push(String::new());
    }
    cells.push("predicted".to_owned());
    cells
}

/// One arm: means over its seeds; a range over seeds or, with one seed, the bootstrap interval.
fn row(arm: &str, results: &[&ArmResult], recall: Option<&Recall>) -> Vec<String> {
    let first = results[0];
    let related = first.related.map_or("-".to_owned(), |share| format!("{share:.2}"));
    let mut cells =
        vec![arm.to_owned(), first.trained_on.to_string(), first.steps.to_string(), related];
    cells.push(recall.map_or("-".to_owned(), Recall::cell));
    cells.push(recall.map_or("-".to_owned(), Recall::overlap_cell));
    for (i, metric) in first.metrics.iter().enumerate() {
        let values: Vec<f64> = results.iter().map(|result| result.metrics[i].value).collect();
        cells.push(format!("{:.3}", mean(&values)));
        cells.push(match values.len() {
            1 => format!("[{:.3}, {:.3}]", metric.low, metric.high),
            seeds => {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                format!("{low:.3}–{high:.3} ({seeds} seeds)")
            }
        });
    }
    let shares = (0..first.predicted.len()).map(|class| {
        let values: Vec<f64> = results.iter().map(|result| result.predicted[class].1).collect();
        format!("{} {:.2}", first.predicted[class].0, mean(&values))
    });
    cells.push(shares.collect::<Vec<_>>().join(", "));
    cells
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
    use super::*;
    use crate::pipeline::ArmRecall;
    use crate::recall::{HitsFrom, Known};

    fn result(arm: &str) -> ArmResult {
        ArmResult {
            task: "rte".to_owned(),
            arm: arm.to_owned(),
            seed: 1,
            evaluated: 277,
            trained_on: 20,
            steps: 5,
            related: None,
            metrics: Vec::new(),
            baselines: None,
            predicted: Vec::new(),
            notes: Vec::new(),
        }
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
}
