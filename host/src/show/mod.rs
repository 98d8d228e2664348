//! What a run selected, and from what: computed from the files that it left.
//!
//! Nothing is loaded, locked or changed. Files are read line by line; of a selected example two numbers
//! are kept, some thirty bytes. Of the pool only data sets and templates are read.

mod cut;
mod lines;
mod mix;
mod names;
mod overlap;
mod pool;
mod queries;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use deft_core::metrics::Metric;
use deft_core::{Error, ErrorKind, Examples as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::lines::{each_line, read_whole};
use self::mix::{Counted, SelectedLine};
use self::names::Names;
use self::queries::{HitsLine, Seen, judge};
use crate::overlap::contamination::MatchKind;
use crate::pool::{Sources, StoredPool};
use crate::recall::Recall;
use crate::truncation::Truncation;

pub use cut::Cut;
pub use mix::{DatasetShare, Frequent, Mix, Part, TemplateShare};
pub use overlap::ArmOverlap;
pub use queries::{FarQuery, Queries, Why};
pub use text::describe;

/// What a run selected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// The run's folder.
    pub run: PathBuf,
    /// The pool, where it is still in the store; where not, a note says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<ShownPool>,
    /// What is left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The tasks, in the manifest's order.
    pub tasks: Vec<ShownTask>,
}

/// The pool that was selected from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownPool {
    /// Its folder in the store.
    pub folder: PathBuf,
    /// Its examples.
    pub examples: usize,
    /// Examples of each data set.
    pub datasets: BTreeMap<String, usize>,
}

/// What was selected for a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownTask {
    /// The task.
    pub task: String,
    /// Its arms, in the manifest's order.
    pub arms: Vec<ShownArm>,
    /// How alike the selections of each two arms are.
    pub overlap: Vec<ArmOverlap>,
}

/// What an arm selected for a task. What it has not is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownArm {
    /// The arm.
    pub arm: String,
    /// What its selection is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Mix>,
    /// `selection.json`, as the run wrote it: the policy, and what was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Value>,
    /// Pool examples that contain evaluation inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contamination: Option<Contaminated>,
    /// Its queries, and those that nothing is near to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<Queries>,
    /// What its search misses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<Recall>,
    /// Texts that its encoder did not read to their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation: Option<Cut>,
    /// The metrics of each seed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<SeedMetrics>,
}

/// Pool examples that contain evaluation inputs, as `contamination.jsonl` lists them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Contaminated {
    /// How many examples.
    pub examples: usize,
    /// Those that contain an input exactly.
    pub exact: usize,
    /// Those that contain enough of its n-grams.
    pub ngram: usize,
    /// Different evaluation inputs that are contained.
    pub evaluations: usize,
    /// Examples of each data set.
    pub datasets: BTreeMap<String, usize>,
}

/// `metrics.json`, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedMetrics {
    /// The training seed.
    pub seed: u64,
    /// The metrics, the one to quote first.
    pub metrics: Vec<Metric>,
}

/// A line of `contamination.jsonl`, as far as it is looked at.
#[derive(Deserialize)]
struct ContaminationLine {
    #[serde(default)]
    dataset: String,
    evaluation: usize,
    kind: MatchKind,
}

/// Looks at what a run has left in its folder. Its pool is looked for in a store of this folder, or where
/// the run has had it.
///
/// # Errors
///
/// [`ErrorKind::Options`] for what is no run's folder, and for a store without its pool;
/// [`ErrorKind::Data`] where nothing is selected yet, and for a damaged file, with its line;
/// [`ErrorKind::Io`].
pub fn show(run: &Path, store: Option<&Path>) -> Result<Shown> {
    let names = Names::read(run)?;
    let mut notes = Vec::new();
    let pool = pool::open(run, store, &mut notes)?;
    let sources = pool.as_ref().map(StoredPool::sources).transpose()?;
    let cut = cut::of_pool(run, store)?;
    let mut tasks = Vec::new();
    for name in &names.tasks {
        let dir = run.join("tasks").join(name);
        let of_pool = pool.as_ref().map(StoredPool::fingerprint).zip(sources.as_ref());
        tasks.push(show_task(&dir, name, &names, of_pool, &cut, &mut notes)?);
        notes.extend(left_over(&dir, &names));
    }
    if tasks.iter().flat_map(|task| &task.arms).all(|arm| arm.selection.is_none()) {
        let error = Error::new(ErrorKind::Data, "nothing has been selected in this run yet");
        return Err(error
            .with_context("run", run.display())
            .with_hint("`deft retrieve` goes up to the selections, `deft run` to the end"));
    }
    let pool = pool.zip(sources).map(|(pool, sources)| ShownPool {
        folder: pool.dir().to_owned(),
        examples: pool.len(),
        datasets: sources.into_iter().map(|(name, of)| (name, of.values().sum())).collect(),
    });
    Ok(Shown { run: run.to_owned(), pool, notes, tasks })
}

/// The pool's fingerprint, and its sources.
type OfPool<'a> = Option<(&'a str, &'a Sources)>;

fn show_task(
    dir: &Path,
    task: &str,
    names: &Names,
    pool: OfPool<'_>,
    cut: &BTreeMap<String, Truncation>,
    notes: &mut Vec<String>,
) -> Result<ShownTask> {
    let (mut arms, mut ids) = (Vec::new(), Vec::new());
    for arm in &names.arms {
        let summary: Option<Map<String, Value>> =
            read_whole(&dir.join(arm).join("selection.json"))?;
        let summary = summary.map(Value::Object);
        let of = summary.as_ref().and_then(|summary| summary["pool"].as_str());
        // A run that is being done again may have selections of the pool as it was before.
        let same = pool.filter(|(pool, _)| of.is_none_or(|of| of == *pool));
        let is_of_another = pool.is_some() && same.is_none();
        if is_of_another {
            notes.push(format!(
                "{task}/{arm} was selected from another pool than the run has now: its shares are left \
                 out; the next `deft run` selects again"
            ));
        }
        let sources = same.map(|(_, sources)| sources);
        let cut = cut.get(arm).copied().filter(|_| !is_of_another);
        let (shown, of_arm) = show_arm(&dir.join(arm), arm, summary, sources, cut)?;
        if shown.selection.is_some() {
            ids.push((arm.as_str(), of_arm));
        }
        arms.push(shown);
    }
    Ok(ShownTask { task: task.to_owned(), arms, overlap: overlap::of_pairs(&ids) })
}

/// What an arm has left, with what was cut of its pool, and the ids that it selected, in order.
fn show_arm(
    dir: &Path,
    arm: &str,
    summary: Option<Value>,
    pool: Option<&Sources>,
    cut: Option<Truncation>,
) -> Result<(ShownArm, Vec<u64>)> {
    let mut counted = Counted::default();
    let is_there = each_line(&dir.join("selection.jsonl"), |line: SelectedLine| counted.add(line))?;
    let (mix, ids) = counted.finish(pool);
    let mut seen: Vec<Seen> = Vec::new();
    let searched = each_line(&dir.join("hits.jsonl"), |line: HitsLine| seen.push(line.into()))?;
    let shown = ShownArm {
        arm: arm.to_owned(),
        selection: is_there.then_some(mix),
        summary,
        contamination: contaminated(&dir.join("contamination.jsonl"))?,
        queries: searched.then(|| judge(&seen)),
        recall: read_whole::<Recall>(&dir.join("recall.json"))?.map(Recall::in_short),
        truncation: Cut::of_arm(dir, cut)?,
        metrics: metrics(dir)?,
    };
    Ok((shown, ids))
}

fn contaminated(path: &Path) -> Result<Option<Contaminated>> {
    let (mut found, mut evaluations) = (Contaminated::default(), BTreeSet::new());
    let is_there = each_line(path, |line: ContaminationLine| {
        found.examples += 1;
        match line.kind {
            MatchKind::Exact => found.exact += 1,
            MatchKind::Ngram => found.ngram += 1,
        }
        evaluations.insert(line.evaluation);
        *found.datasets.entry(line.dataset).or_default() += 1;
    })?;
    found.evaluations = evaluations.len();
    Ok(is_there.then_some(found))
}

/// The metrics of an arm, by seed.
fn metrics(dir: &Path) -> Result<Vec<SeedMetrics>> {
    let mut found: Vec<SeedMetrics> = Vec::new();
    for name in folders(dir) {
        if name.to_string_lossy().starts_with("seed-") {
            let path = dir.join(name).join("metrics.json");
            found.extend(read_whole::<SeedMetrics>(&path)?);
        }
    }
    found.sort_by_key(|one| one.seed);
    Ok(found)
}

/// Tells of the folders of arms that the manifest has no more.
fn left_over(task: &Path, names: &Names) -> Option<String> {
    let is_known = |name: &OsString| names.arms.iter().any(|arm| name.as_os_str() == arm.as_str());
    let others = folders(task).into_iter().filter(|name| !is_known(name));
    let others: Vec<String> = others.map(|name| name.to_string_lossy().into_owned()).collect();
    let (others, task) = (others.join(", "), task.display());
    (!others.is_empty())
        .then(|| format!("{others} in {task}: the manifest has no such arm any more; not shown"))
}

/// The names of the folders in one, in order.
fn folders(dir: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.path().is_dir();
    entries.filter(is_folder).map(|entry| entry.file_name()).collect()
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
