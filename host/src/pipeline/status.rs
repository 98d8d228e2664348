//! How far a run is: what lies on disk, counted; nothing is loaded, locked or changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deft_core::{Phase, Result, part_name};
use serde::{Deserialize, Serialize};

use super::failures::{Failure, Failures};
use super::{RUN_LOCK, arms};
use crate::manifest::Manifest;
use crate::store::{self, lock};

/// `stages.json` of a run: where in the store the stages are that it works on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Stages {
    #[serde(skip)]
    path: PathBuf,
    pool: PathBuf,
    phases: Vec<StagePlace>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StagePlace {
    retriever: String,
    phase: String,
    units: usize,
    suffix: String,
    dir: PathBuf,
}

impl Stages {
    pub(super) fn of_run(dir: &Path) -> Self {
        Self { path: dir.join("stages.json"), ..Self::default() }
    }

    pub(super) fn set_pool(&mut self, dir: &Path) -> Result<()> {
        dir.clone_into(&mut self.pool);
        self.write()
    }

    pub(super) fn add_phase(&mut self, retriever: &str, phase: &Phase, dir: &Path) -> Result<()> {
        let place = StagePlace {
            retriever: retriever.to_owned(),
            phase: phase.name.clone(),
            units: phase.units,
            suffix: phase.suffix.clone(),
            dir: dir.to_owned(),
        };
        if !self.phases.contains(&place) {
            self.phases.push(place);
        }
        self.write()
    }

    /// Writes the file where it would change: several units of one run may start at once.
    fn write(&self) -> Result<()> {
        let known: Option<Self> = store::read_json(&self.path);
        let known = known.map(|known| Self { path: self.path.clone(), ..known });
        // A run of one arm, or of one unit, knows fewer phases than the whole run.
        let covered = known.as_ref().is_some_and(|known| {
            known.pool == self.pool && self.phases.iter().all(|place| known.phases.contains(place))
        });
        if covered { Ok(()) } else { store::write_json(&self.path, self) }
    }
}

/// How far a run is.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The run's folder.
    pub run: PathBuf,
    /// Who works on it now, and on what.
    pub working: Option<lock::Holder>,
    /// Rows of the pool, once it has been read.
    pub pool_rows: Option<usize>,
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
    /// Units that are done.
    pub done: usize,
    /// Units being done, and by whom.
    pub running: Vec<(usize, Option<lock::Holder>)>,
    /// Units that failed, and have not been done since.
    pub failed: Vec<Failure>,
    /// Seconds until the last unit, at the rate of the units that were finished last.
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
    let failures = Failures::of_run(&dir);
    let pool = store::read_json::<serde_json::Value>(&stages.pool.join("card.json"));
    let working = lock::holders(&dir).into_iter().find(|(name, _)| name == RUN_LOCK);
    Ok(Status {
        working: working.and_then(|(_, holder)| holder),
        pool_rows: pool.and_then(|card| usize::try_from(card["rows"].as_u64()?).ok()),
        phases: stages.phases.iter().map(|place| phase_status(place, &failures)).collect(),
        outputs: outputs(&manifest, &dir),
        run: dir,
    })
}

fn phase_status(place: &StagePlace, failures: &Failures) -> PhaseStatus {
    let path = |unit: usize| place.dir.join(part_name(unit, &place.suffix));
    let finished: Vec<_> = (0..place.units)
        .filter_map(|unit| Some(std::fs::metadata(path(unit)).ok()?.modified().ok()))
        .collect();
    let held = lock::holders(&place.dir);
    let running = (0..place.units)
        .filter_map(|unit| {
            let name = part_name(unit, &place.suffix);
            let (_, holder) = held.iter().find(|(held, _)| *held == name)?;
            Some((unit, holder.clone()))
        })
        .collect();
    let stage = place.dir.file_name().unwrap_or_default().to_string_lossy();
    let mut failed = failures.of_stage(&stage);
    failed.retain(|failure| !path(failure.unit).exists());
    let times: Vec<Duration> = finished
        .iter()
        .flatten()
        .filter_map(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .collect();
    PhaseStatus {
        retriever: place.retriever.clone(),
        phase: place.phase.clone(),
        units: place.units,
        done: finished.len(),
        running,
        failed,
        seconds_left: seconds_left(times, place.units - finished.len()),
    }
}

/// Units finished last that tell the rate.
const RECENT: usize = 20;

/// Time for the units that are left, at the rate of those finished last: `None` where fewer than
/// two are, or where their times make no sense (a clock was set back).
fn seconds_left(mut finished: Vec<Duration>, left: usize) -> Option<f64> {
    if left == 0 {
        return None;
    }
    finished.sort();
    let recent = &finished[finished.len().saturating_sub(RECENT)..];
    let span = recent.last()?.checked_sub(*recent.first()?)?.as_secs_f64();
    (recent.len() > 1 && span > 0.0).then(|| span / (recent.len() - 1) as f64 * left as f64)
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
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_from_the_units_finished_last() {
        let at = |seconds: &[u64]| seconds.iter().map(|&s| Duration::from_secs(s)).collect();
        assert_eq!(seconds_left(at(&[100, 130, 160]), 4), Some(120.0));
        assert_eq!(seconds_left(at(&[100]), 4), None, "one unit tells no rate");
        assert_eq!(seconds_left(at(&[100, 100]), 4), None, "nor do two at one moment");
        assert_eq!(seconds_left(at(&[100, 130]), 0), None);
    }
}
