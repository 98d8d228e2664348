//! What a run selected, as tables for a terminal.

use std::fmt::Write as _;

use super::{ArmOverlap, DatasetShare, Frequent, Mix, Queries, Shown, ShownArm, ShownTask, Why};
use crate::recall::Recall;
use crate::report::push_aligned;

/// Data sets of a selection that are shown.
const DATASETS: usize = 10;

/// Templates of a data set that are shown.
const TEMPLATES: usize = 3;

/// Examples, and queries, that are shown.
const ROWS: usize = 5;

/// What `deft show` prints; `--json` has all of it.
pub fn describe(shown: &Shown) -> String {
    let mut text = format!("{}: selected from ", shown.run.display());
    let _ = match &shown.pool {
        Some(pool) => {
            let (examples, datasets) = (pool.examples, pool.datasets.len());
            writeln!(text, "a pool of {examples} examples, data sets: {datasets}")
        }
        None => writeln!(text, "a pool that is not known here"),
    };
    for note in &shown.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text.push('\n');
    for (name, meaning) in legend(shown) {
        let _ = writeln!(text, "{name}: {meaning}");
    }
    for task in &shown.tasks {
        describe_task(&mut text, task);
    }
    text
}

/// What the names of columns mean, of those that are there and do not say it.
fn legend(shown: &Shown) -> Vec<(&'static str, &'static str)> {
    let any = |has: fn(&ShownArm) -> bool| shown.tasks.iter().flat_map(|task| &task.arms).any(has);
    let told = [
        (
            any(|arm| arm.selection.is_some()),
            "repeated",
            "examples whose input, letter for letter, one before them has",
        ),
        (any(|arm| dropped(arm).is_some()), "dropped", "examples that were left out, and why"),
        (
            any(|arm| arm.contamination.is_some()),
            "contaminated",
            "pool examples that contain evaluation inputs",
        ),
        (any(|arm| arm.queries.is_some()), "far", "queries without near neighbours"),
        (any(|arm| arm.recall.is_some()), "recall", "share of the nearest that the search finds"),
        (
            any(|arm| arm.truncation.is_some()),
            "cut",
            "texts that the encoder did not read to their end, and how many tokens it reads",
        ),
        (shown.pool.is_some(), "pool", "share of the pool that is of this data set"),
        (shown.pool.is_some(), "ratio", "share / pool; above 1 the selection prefers the data set"),
    ];
    told.into_iter().filter(|told| told.0).map(|(_, name, meaning)| (name, meaning)).collect()
}

fn describe_task(text: &mut String, task: &ShownTask) {
    let _ = writeln!(text, "\ntask {}\n", task.task);
    let mut rows = vec![header(task)];
    rows.extend(task.arms.iter().map(row));
    push_aligned(text, &rows);
    describe_cut(text, &task.arms);
    if !task.overlap.is_empty() {
        text.push_str("\noverlap of the selections (Jaccard: examples in both / in either)\n");
        push_aligned(text, &matrix(&task.overlap));
    }
    for arm in &task.arms {
        if let Some(mix) = &arm.selection {
            describe_mix(text, arm, mix);
        }
        if let Some(queries) = &arm.queries {
            describe_queries(text, arm, queries);
        }
    }
}

fn header(task: &ShownTask) -> Vec<String> {
    let names = [
        "arm",
        "policy",
        "examples",
        "data sets",
        "templates",
        "repeated",
        "dropped",
        "contaminated",
        "queries",
        "far",
        "recall",
    ];
    let metric = task.arms.iter().find_map(|arm| arm.metrics.first()?.metrics.first());
    let metric = metric.map_or(String::new(), |metric| metric.name.clone());
    names.into_iter().map(str::to_owned).chain([metric]).collect()
}

fn row(arm: &ShownArm) -> Vec<String> {
    let none = || "-".to_owned();
    let of_mix = |count: fn(&Mix) -> usize| {
        arm.selection.as_ref().map_or_else(none, |mix| count(mix).to_string())
    };
    let of_queries = |count: fn(&Queries) -> usize| {
        arm.queries.as_ref().map_or_else(none, |queries| count(queries).to_string())
    };
    let policy = arm.summary.as_ref().and_then(|summary| summary["policy"].as_str());
    let contaminated = arm.contamination.as_ref();
    let contaminated = contaminated.map_or_else(none, |found| {
        let (examples, exact) = (found.examples, found.exact);
        if exact == 0 { examples.to_string() } else { format!("{examples} ({exact} exact)") }
    });
    vec![
        arm.arm.clone(),
        policy.map_or_else(none, str::to_owned),
        of_mix(|mix| mix.examples),
        of_mix(|mix| mix.datasets.len()),
        of_mix(|mix| mix.datasets.iter().map(|dataset| dataset.templates.len()).sum()),
        of_mix(|mix| mix.repeated_inputs),
        dropped(arm).unwrap_or_else(none),
        contaminated,
        of_queries(|queries| queries.queries),
        of_queries(|queries| queries.without_near.len()),
        arm.recall.as_ref().map_or_else(none, Recall::cell),
        metric(arm).unwrap_or_else(none),
    ]
}

/// `cap 3, near duplicate 5`: what was dropped, as `selection.json` tells it.
fn dropped(arm: &ShownArm) -> Option<String> {
    let reasons = arm.summary.as_ref()?["dropped"].as_object()?;
    let counts = reasons.iter().filter_map(|(reason, count)| Some((reason, count.as_u64()?)));
    let told = counts
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{} {count}", reason.replace('_', " ")));
    Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

/// The first metric, as the mean over seeds.
fn metric(arm: &ShownArm) -> Option<String> {
    let of_seed = arm.metrics.iter().filter_map(|seed| Some(seed.metrics.first()?.value));
    let values: Vec<f64> = of_seed.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    match values.len() {
        0 => None,
        1 => Some(format!("{mean:.3}")),
        seeds => Some(format!("{mean:.3} ({seeds} seeds)")),
    }
}

/// A line for each arm of which it is known how many texts were cut.
fn describe_cut(text: &mut String, arms: &[ShownArm]) {
    let known = arms.iter().filter_map(|arm| Some((&arm.arm, arm.truncation?)));
    for (place, (arm, cut)) in known.enumerate() {
        let above = if place == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{above}{arm}: cut: {}", cut.words());
    }
}

/// Arms by arms. The pairs are in order: those of the first arm with all others come first.
fn matrix(pairs: &[ArmOverlap]) -> Vec<Vec<String>> {
    let first = &pairs[0].arms[0];
    let mut arms = vec![first];
    arms.extend(pairs.iter().filter(|pair| pair.arms[0] == *first).map(|pair| &pair.arms[1]));
    let cell = |one: &String, other: &String| {
        let is_pair = |pair: &&ArmOverlap| pair.arms.contains(one) && pair.arms.contains(other);
        match pairs.iter().find(is_pair) {
            Some(pair) if one != other => format!("{:.3}", pair.jaccard),
            _ => "1".to_owned(),
        }
    };
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(arms.iter().map(|arm| (*arm).clone()));
    for one in &arms {
        let cells = arms.iter().map(|other| cell(one, other));
        rows.push(std::iter::once((*one).clone()).chain(cells).collect());
    }
    rows
}

fn describe_mix(text: &mut String, arm: &ShownArm, mix: &Mix) {
    let _ = writeln!(text, "\n{}: where the selection comes from", arm.arm);
    let names = ["data set", "examples", "share", "pool", "ratio", "largest templates"];
    let mut rows = vec![names.map(str::to_owned).to_vec()];
    rows.extend(mix.datasets.iter().take(DATASETS).map(dataset_row));
    push_aligned(text, &rows);
    if let Some(rest) = mix.datasets.len().checked_sub(DATASETS).filter(|rest| *rest > 0) {
        let _ = writeln!(text, "and {rest} more");
    }
    if !mix.most_selected.is_empty() {
        let _ = writeln!(text, "\n{}: most selected", arm.arm);
        let names = ["id", "queries", "data set", "template", "input"];
        let mut rows = vec![names.map(str::to_owned).to_vec()];
        rows.extend(mix.most_selected.iter().take(ROWS).map(frequent_row));
        push_aligned(text, &rows);
    }
}

fn dataset_row(dataset: &DatasetShare) -> Vec<String> {
    let part = &dataset.part;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut templates: Vec<String> = dataset
        .templates
        .iter()
        .take(TEMPLATES)
        .map(|one| format!("{} {}", named(&one.template), one.part.examples))
        .collect();
    if dataset.templates.len() > TEMPLATES {
        templates.push("…".to_owned());
    }
    vec![
        named(&dataset.dataset).to_owned(),
        part.examples.to_string(),
        percent(part.share),
        part.pool_share.map_or("-".to_owned(), percent),
        part.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        templates.join(", "),
    ]
}

fn frequent_row(one: &Frequent) -> Vec<String> {
    vec![
        one.index_id.to_string(),
        one.attribution_frequency.to_string(),
        named(&one.dataset).to_owned(),
        named(&one.template).to_owned(),
        one.head.clone(),
    ]
}

fn describe_queries(text: &mut String, arm: &ShownArm, queries: &Queries) {
    let far = &queries.without_near;
    if far.is_empty() {
        return;
    }
    let count = far.len();
    let _ = write!(text, "\n{}: queries without near neighbours ({count})", arm.arm);
    if let Some(low) = queries.low_score.filter(|_| far.iter().any(|one| one.why == Why::LowScore))
    {
        let _ = write!(text, "; a best score below {low:.3} is low");
    }
    text.push('\n');
    let mut rows = vec![["query", "hits", "best score", "why"].map(str::to_owned).to_vec()];
    rows.extend(far.iter().take(ROWS).map(|one| {
        let best = one.best.map_or("-".to_owned(), |best| format!("{best:.3}"));
        vec![one.query.to_string(), one.hits.to_string(), best, one.why.words().to_owned()]
    }));
    push_aligned(text, &rows);
}

/// A name, or that there is none.
fn named(name: &str) -> &str {
    if name.is_empty() { "(none)" } else { name }
}
