//! How far a run is: what lies on disk, counted; nothing is loaded, locked or changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use deft_core::{Result, part_name};
use serde::Serialize;
use serde_json::Value;

use super::failures::{Failure, Failures};
use super::stages::{StagePlace, Stages};
use super::{RUN_LOCK, arms};
use crate::manifest::Manifest;
use crate::store::{self, lock};

/// How far a run is.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The run's folder.
    pub run: PathBuf,
    /// Who works on it now, on what, and how far that is.
    pub working: Option<lock::Holder>,
    /// Rows of the pool, once it has been read.
    pub pool_rows: Option<usize>,
    /// Parts of the pool that are there.
    pub pool_parts: usize,
    /// Rows of each part but the last.
    pub rows_per_part: usize,
    /// Who reads the pool now.
    pub pool_reader: Option<lock::Holder>,
    /// The phases of its retrievers, in order.
    pub phases: Vec<PhaseStatus>,
    /// Hits, selections, models and metrics that are there, of so many.
    pub outputs: Vec<(String, usize, usize)>,
}

/// How far one phase is.
#[derive(Debug, Serialize)]
pub struct PhaseStatus {
    /// The retriever.
    pub retriever: String,
    /// The phase.
    pub phase: String,
    /// Units in all.
    pub units: usize,
    /// Units that are done; all, where the phase is spent.
    pub done: usize,
    /// Whether its results were only there for later phases, which are done: they may be gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spent: bool,
    /// Units being done, and by whom.
    pub running: Vec<(usize, Option<lock::Holder>)>,
    /// Units that failed, and have not been done since.
    pub failed: Vec<Failure>,
    /// Seconds until the last unit, at the rate of the units that were finished last since the
    /// processes that work now began; `None` while nobody works, or no unit has been finished since.
    pub seconds_left: Option<f64>,
}

/// Looks at what a run has left on disk.
///
/// # Errors
///
/// Those of reading the manifest.
pub fn status(manifest: &Path, overrides: &[String], run: Option<&Path>) -> Result<Status> {
    let (manifest, document) = Manifest::load(manifest, overrides)?;
    let default = || document.dir().join("runs").join(&manifest.name);
    let dir = run.map_or_else(default, Path::to_owned);
    let stages: Stages = store::read_json(&dir.join("stages.json")).unwrap_or_default();
    let working = holder_of(&dir, RUN_LOCK);
    let card = stages.pool.join("card.json");
    Ok(Status {
        pool_rows: rows(&card),
        pool_parts: parts(&stages.pool),
        rows_per_part: manifest.rows_per_part,
        pool_reader: holder_of(&stages.pool, "card.json"),
        phases: phases(&stages, &manifest, &dir, working.as_ref(), modified(&card)),
        outputs: outputs(&manifest, &dir),
        working,
        run: dir,
    })
}

/// Who holds the lock of an output.
fn holder_of(dir: &Path, name: &str) -> Option<lock::Holder> {
    lock::holders(dir).into_iter().find(|(held, _)| held == name)?.1
}

/// Rows of a finished pool; that of a pool which is not known yet has a relative path.
fn rows(card: &Path) -> Option<usize> {
    let card: Value = card.is_absolute().then(|| store::read_json(card)).flatten()?;
    usize::try_from(card["rows"].as_u64()?).ok()
}

/// How many parts of a pool are there.
fn parts(pool: &Path) -> usize {
    let entries = std::fs::read_dir(pool).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("part-")).count()
}

/// When a file or folder was written, counted from 1970; the beginning, if it is not there.
fn modified(path: &Path) -> Duration {
    let time = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.unwrap_or_default()
}

/// The phases, in order; the first begins once the pool is read.
fn phases(
    stages: &Stages,
    manifest: &Manifest,
    run: &Path,
    working: Option<&lock::Holder>,
    mut before: Duration,
) -> Vec<PhaseStatus> {
    let failures = Failures::of_run(run);
    let spent = stages.spent(manifest, |place| Units::find(place).times.len() == place.units);
    let mut phases = Vec::new();
    for place in stages.places(manifest) {
        let found = Units::find(place);
        let status = found.status(place, &failures, working, before);
        phases.push(if spent.contains(place.dir.as_path()) {
            PhaseStatus { done: place.units, spent: true, seconds_left: None, ..status }
        } else {
            status
        });
        before = before.max(found.times.iter().max().copied().unwrap_or_default());
    }
    phases
}

/// The units of a phase.
struct Units {
    /// When each that is done was finished.
    times: Vec<Duration>,
    running: Vec<(usize, Option<lock::Holder>)>,
}

impl Units {
    /// By what lies in the folder: a damaged `stages.json` may tell of any number of units.
    fn find(place: &StagePlace) -> Self {
        let entries = std::fs::read_dir(&place.dir).into_iter().flatten().flatten();
        let done = entries
            .filter(|entry| place.unit_of(&entry.file_name().to_string_lossy()).is_some())
            .map(|entry| modified(&entry.path()));
        let held = lock::holders(&place.dir).into_iter();
        let running = held.filter_map(|(name, holder)| Some((place.unit_of(&name)?, holder)));
        let (times, mut running) = (done.collect(), running.collect::<Vec<_>>());
        running.sort_by_key(|(unit, _)| *unit);
        Self { times, running }
    }

    fn status(
        &self,
        place: &StagePlace,
        failures: &Failures,
        working: Option<&lock::Holder>,
        before: Duration,
    ) -> PhaseStatus {
        let stage = place.dir.file_name().unwrap_or_default().to_string_lossy();
        let mut failed = failures.of_stage(&stage);
        failed.retain(|failure| !place.dir.join(part_name(failure.unit, &place.suffix)).exists());
        let left = place.units - self.times.len();
        let since = self.began(working).map(|began| began.max(before));
        let at_once = self.running.len();
        PhaseStatus {
            retriever: place.retriever.clone(),
            phase: place.phase.clone(),
            units: place.units,
            done: self.times.len(),
            spent: false,
            running: self.running.clone(),
            failed,
            seconds_left: since.and_then(|since| seconds_left(&self.times, since, left, at_once)),
        }
    }

    /// When the first of the processes began that work now.
    fn began(&self, working: Option<&lock::Holder>) -> Option<Duration> {
        let holders = self.running.iter().filter_map(|(_, holder)| holder.as_ref()).chain(working);
        let began = holders.map(|holder| holder.since).filter(|since| *since > 0).min();
        began.map(Duration::from_millis)
    }
}

/// Units finished last that tell the rate, at least.
const RECENT: usize = 20;

/// Time for the units that are left, at the rate of those finished last since work on them began:
/// what lies between two runs says nothing. Units that are done at once end together, so that some
/// rounds of them must count.
fn seconds_left(times: &[Duration], since: Duration, left: usize, at_once: usize) -> Option<f64> {
    let mut finished: Vec<Duration> = times.iter().copied().filter(|time| *time > since).collect();
    finished.sort();
    let window = RECENT.max(4 * at_once);
    let (from, counted) = match finished.len().checked_sub(window + 1) {
        Some(place) => (finished[place], window),
        None => (since, finished.len()),
    };
    let span = finished.last()?.checked_sub(from)?.as_secs_f64();
    (left > 0 && span > 0.0).then(|| span / counted as f64 * left as f64)
}

/// How many of a run's own outputs are there.
fn outputs(manifest: &Manifest, dir: &Path) -> Vec<(String, usize, usize)> {
    let mut counts = ["hits", "selection", "model", "metrics"].map(|name| (name.to_owned(), 0, 0));
    let mut count = |output: usize, path: PathBuf| {
        counts[output].1 += usize::from(path.exists());
        counts[output].2 += 1;
    };
    for task in &manifest.tasks {
        for arm in manifest.arms.keys() {
            let dir = dir.join("tasks").join(&task.name).join(arm);
            if arms::needs_hits(manifest, arm) {
                count(0, dir.join("hits.jsonl"));
            }
            if manifest.selects(arm) {
                count(1, dir.join("selection.jsonl"));
            }
            for seed in manifest.seeds.iter().map(|seed| dir.join(format!("seed-{seed}"))) {
                if arms::has_model(manifest, arm) {
                    count(2, seed.join("model"));
                }
                if arms::is_evaluated(manifest, arm) && task.evaluation_source.is_some() {
                    count(3, seed.join("metrics.json"));
                }
            }
        }
    }
    counts.into_iter().filter(|(_, _, all)| *all > 0).collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
