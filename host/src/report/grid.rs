//! Tasks by arms: a table of one metric in each row, as text or in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{METRICS_SHOWN, mean, measure, push_aligned};
use crate::pipeline::{ArmResult, Results};

/// More groups of a task than this are left to `metrics.json`.
const GROUPS_SHOWN: usize = 40;

/// The results as text, tasks by arms, then what the trainers note.
pub fn overview(results: &Results) -> String {
    let mut text = String::new();
    let Some(rows) = rows(results) else { return text };
    push_aligned(&mut text, &rows);
    for note in notes(results) {
        let _ = writeln!(text, "\nnote: {note}");
    }
    text
}

/// The results as a Markdown table, tasks by arms; then the manifest's note and the trainers'.
/// Numbers in brackets are 95 % intervals.
pub fn markdown(results: &Results, note: Option<&str>) -> String {
    let mut text = String::new();
    let Some(mut rows) = rows(results) else { return text };
    let columns = rows[0].len();
    let used = |column: &usize| rows[1..].iter().any(|row| !row[*column].is_empty());
    let shown: Vec<usize> = (0..columns).filter(used).collect();
    for cell in rows.iter_mut().flatten() {
        *cell = cell.replace('|', "\\|");
    }
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<&str> = shown.iter().map(|&column| row[column].as_str()).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
        if i == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(shown.len()));
        }
    }
    for note in note.into_iter().chain(notes(results)) {
        let _ = writeln!(text, "\nNote: {}", note.trim());
    }
    text
}

/// A header, and a row for each task and each of its first metrics.
fn rows(results: &Results) -> Option<Vec<Vec<String>>> {
    let all: Vec<&ArmResult> = results.iter().collect();
    let mut arms: Vec<&str> = Vec::new();
    for result in &all {
        if !arms.contains(&result.arm.as_str()) {
            arms.push(&result.arm);
        }
    }
    let mut header = vec!["task".to_owned(), "examples".to_owned(), "metric".to_owned()];
    header.extend(arms.iter().map(|&arm| arm.to_owned()));
    header.extend(["chance", "majority"].map(str::to_owned));
    let mut rows = vec![header];
    for of_task in all.chunk_by(|one, other| one.task == other.task) {
        let metrics = of_task[0].metrics.len().min(METRICS_SHOWN);
        rows.extend((0..metrics).map(|metric| row(of_task, metric, &arms, results)));
        rows.extend(group_rows(of_task, &arms));
    }
    (rows.len() > 1).then_some(rows)
}

fn row(of_task: &[&ArmResult], metric: usize, arms: &[&str], all: &Results) -> Vec<String> {
    let first = of_task[0];
    let mut cells = vec![first.task.clone(), first.evaluated.to_string()];
    cells.push(first.metrics[metric].name.clone());
    for arm in arms {
        let of_arm: Vec<&ArmResult> =
            of_task.iter().copied().filter(|result| result.arm == *arm).collect();
        cells.push(if of_arm.is_empty() {
            String::new()
        } else {
            let (value, interval) = measure(&of_arm, metric, all.comparison(&first.task, arm));
            format!("{value} {interval}")
        });
    }
    // They are told once, beside the metric to quote.
    let baselines = first.baselines.as_ref().filter(|_| metric == 0);
    let chance = baselines.map(|it| format!("{:.3}", it.chance));
    let majority = baselines.map(|it| format!("{:.3}", it.majority));
    cells.extend([chance.unwrap_or_default(), majority.unwrap_or_default()]);
    cells
}

/// The first metric that is told by groups, a row for each group by the first part of its name
/// (`category/task`): the mean of its examples and, where there are several seeds, of these.
fn group_rows(of_task: &[&ArmResult], arms: &[&str]) -> Vec<Vec<String>> {
    let first = of_task[0];
    let metric = first.groups.first().and_then(|group| group.metrics.first());
    let Some(metric) = metric else { return Vec::new() };
    let counts: BTreeMap<&str, usize> =
        parts_of(first).into_iter().map(|(part, (examples, _))| (part, examples)).collect();
    if counts.len() < 2 || counts.len() > GROUPS_SHOWN {
        return Vec::new();
    }
    let by_arm: Vec<Vec<_>> = arms
        .iter()
        .map(|arm| {
            of_task.iter().filter(|result| result.arm == *arm).map(|it| parts_of(it)).collect()
        })
        .collect();
    let row = |(part, examples): (&str, usize)| {
        let mut cells = vec![format!("{}/{part}", first.task), examples.to_string()];
        cells.push(metric.name.clone());
        cells.extend(by_arm.iter().map(|seeds| {
            let values: Vec<f64> =
                seeds.iter().filter_map(|parts| Some(parts.get(part)?.1)).collect();
            if values.is_empty() { String::new() } else { format!("{:.3}", mean(&values)) }
        }));
        cells.extend([String::new(), String::new()]);
        cells
    };
    counts.into_iter().map(row).collect()
}

/// Examples and mean of the first metric by the first part of the groups' names.
fn parts_of(result: &ArmResult) -> BTreeMap<&str, (usize, f64)> {
    let mut parts: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for group in &result.groups {
        let name = group.group.split('/').next().unwrap_or_default();
        let (examples, sum) = parts.entry(name).or_default();
        *examples += group.examples;
        *sum += group.metrics.first().map_or(0.0, |metric| metric.value) * group.examples as f64;
    }
    for (examples, sum) in parts.values_mut() {
        *sum /= *examples as f64;
    }
    parts
}

/// What the trainers note, each once.
fn notes(results: &Results) -> BTreeSet<&str> {
    results.iter().flat_map(|result| &result.notes).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{metric, result};
    use super::*;
    use deft_core::metrics::{Baselines, GroupMetrics, Metric};

    fn results() -> Results {
        let mut results = Results::default();
        for (task, arm) in [("rte", "retrieved"), ("rte", "none"), ("drop", "retrieved")] {
            let baselines = (task == "rte").then(|| Baselines {
                chance: 0.5,
                majority: 0.527,
                majority_class: "yes".to_owned(),
            });
            let metrics = match task {
                "rte" => vec![metric("accuracy_sum"), metric("accuracy_mean"), metric("f1")],
                _ => vec![metric("f1")],
            };
            let task = task.to_owned();
            results.add(ArmResult { task, metrics, baselines, ..result(arm) });
        }
        results
    }

    #[test]
    fn the_markdown_table_has_a_row_for_each_task_and_metric_and_a_column_for_each_arm() {
        let wanted = "\
| task | examples | metric | retrieved | none | chance | majority |
|---|---|---|---|---|---|---|
| rte | 277 | accuracy_sum | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] | 0.500 | 0.527 |
| rte | 277 | accuracy_mean | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |  |  |
| drop | 277 | f1 | 0.500 [0.400, 0.600] |  |  |  |

Note: of one seed
";
        assert_eq!(markdown(&results(), Some("of one seed\n")), wanted);
    }

    #[test]
    fn columns_that_nothing_is_in_are_left_out_and_names_cannot_break_the_table() {
        let mut results = Results::default();
        results.add(ArmResult { metrics: vec![metric("f1")], ..result("a|b") });
        let wanted = "| task | examples | metric | a\\|b |\n|---|---|---|---|\n\
                      | rte | 277 | f1 | 0.500 [0.400, 0.600] |\n";
        assert_eq!(markdown(&results, None), wanted);
        let wanted = "task  examples  metric  a|b\n\
                      rte   277       f1      0.500 [0.400, 0.600]\n";
        assert_eq!(overview(&results), wanted);
    }

    #[test]
    fn a_task_that_is_told_by_groups_has_a_row_for_each_category_of_them() {
        let group = |name: &str, examples: usize, value: f64| GroupMetrics {
            group: name.to_owned(),
            examples,
            metrics: vec![Metric { value, ..metric("rouge_l") }],
        };
        let mut results = Results::default();
        for (arm, value) in [("a", 0.8), ("b", 0.4)] {
            let groups = vec![
                group("titles/task1", 10, value),
                group("titles/task2", 30, value / 2.0),
                group("word_analogy/task3", 5, 0.1),
            ];
            results.add(ArmResult { metrics: vec![metric("rouge_l")], groups, ..result(arm) });
        }
        let wanted = "\
| task | examples | metric | a | b |
|---|---|---|---|---|
| rte | 277 | rouge_l | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |
| rte/titles | 40 | rouge_l | 0.500 | 0.250 |
| rte/word_analogy | 5 | rouge_l | 0.100 | 0.100 |
";
        assert_eq!(markdown(&results, None), wanted);
    }

    #[test]
    fn notes_of_trainers_come_once_and_no_results_are_no_table() {
        let mut results = results();
        for arm in ["a", "b"] {
            let notes = vec!["random weights".to_owned()];
            results.add(ArmResult { metrics: vec![metric("f1")], notes, ..result(arm) });
        }
        assert_eq!(overview(&results).matches("note: random weights").count(), 1);
        assert_eq!(markdown(&Results::default(), Some("note")), "");
        assert_eq!(overview(&Results::default()), "");
    }
}
