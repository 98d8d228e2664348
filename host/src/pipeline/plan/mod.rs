//! What a run will cost, found out without doing it: disk, memory and time of each stage.
//!
//! What components tell of themselves comes first ([`deft_core::Phase`]); the rest is measured on a
//! few rows in a temporary folder. Nothing is written to the store or the run's folder.

mod fit;
mod measure;
mod phases;
mod sample;
mod training;
mod watch;

use std::time::Duration;

use deft_core::{Result, ResultExt};
use serde::Serialize;

use self::measure::Meter;
use self::sample::Sample;
use super::Run;
use super::limits::{Excess, Limits, Resource};
use crate::pool::Rows;

/// What a run will cost.
#[derive(Debug, Default, Serialize)]
pub struct Forecast {
    /// Rows of the pool.
    pub rows: Rows,
    /// Threads that were measured with.
    pub threads: usize,
    /// Processes that do units; 0 for one alone.
    pub workers: usize,
    /// The stages, in the order in which they are done.
    pub stages: Vec<StageForecast>,
    /// What there is.
    pub limits: Limits,
}

/// What one stage will cost; of what is there already, nothing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StageForecast {
    /// `pool`, the name of a phase, `search`, `select`, `train` or `evaluate`.
    pub stage: String,
    /// The retriever, or task and arm.
    pub of: String,
    /// Rows, queries or examples.
    pub rows: usize,
    /// Units, or trainings with a seed each.
    pub units: usize,
    /// How many of them are there.
    pub there: usize,
    /// Whether nothing is left to do.
    pub is_done: bool,
    /// Bytes that it leaves on disk.
    pub disk: Option<u64>,
    /// Bytes of memory at its peak.
    pub memory: Option<u64>,
    /// Time.
    pub seconds: Option<f64>,
    /// Whether it writes to the store; otherwise to the run's folder.
    pub is_in_store: bool,
    /// Why something is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What to change for it to leave less on disk.
    #[serde(skip)]
    pub disk_remedies: Vec<String>,
    /// What to change for it to take less memory.
    #[serde(skip)]
    pub memory_remedies: Vec<String>,
}

impl StageForecast {
    fn new(stage: &str, of: &str) -> Self {
        Self { stage: stage.to_owned(), of: of.to_owned(), units: 1, ..Self::default() }
    }

    /// The same stage with nothing left to do.
    fn finished(self) -> Self {
        let (disk, memory) = (Some(0), Some(0));
        Self { there: self.units, is_done: true, disk, memory, seconds: Some(0.0), ..self }
    }
}

impl Run {
    /// Forecasts every stage; no measurement takes longer than this (none is made within no time).
    ///
    /// # Errors
    ///
    /// Those of the readers, and of making the components; [`deft_core::ErrorKind::Data`] for a
    /// source that is still to be downloaded.
    pub fn forecast(&mut self, limit: Duration) -> Result<Forecast> {
        self.check_downloaded()?;
        // Before anything is loaded that the run would load itself.
        let limits = self.limits();
        let (threads, workers) = (self.threads, self.options.workers);
        let mut forecast = Forecast { threads, workers, limits, ..Forecast::default() };
        self.forecast_all(limit, &mut forecast).map_err(|error| self.document.locate(error))?;
        Ok(forecast)
    }

    fn forecast_all(&mut self, limit: Duration, forecast: &mut Forecast) -> Result<()> {
        let host = self.services("plan");
        let temporary = tempfile::Builder::new()
            .prefix("deft-plan-")
            .tempdir()
            .or_io("cannot make a temporary folder", &std::env::temp_dir())?;
        let meter = Meter {
            host: &host,
            limit,
            dir: temporary.path(),
            seed: self.manifest.seed,
            threads: self.threads,
            unit_threads: (self.threads / self.options.workers.max(1)).max(1),
        };
        let sample = self.sample_pool()?;
        forecast.rows = sample.rows;
        forecast.stages.push(self.forecast_pool(&sample, &meter)?);
        self.forecast_retrievers(&sample, &meter, forecast)?;
        // As in a run: models are about to need the memory that indexes hold.
        self.components.clear();
        self.forecast_selections(&sample, forecast);
        self.forecast_trainings(&sample, &meter, forecast)
    }

    fn forecast_pool(&self, sample: &Sample, meter: &Meter<'_>) -> Result<StageForecast> {
        let parts = sample.rows.count.div_ceil(self.manifest.rows_per_part);
        let stage = StageForecast {
            rows: sample.rows.count,
            units: parts,
            is_in_store: true,
            disk_remedies: self.remedies("pool", Resource::Disk, None),
            memory_remedies: self.remedies("pool", Resource::Memory, None),
            ..StageForecast::new("pool", "sources")
        };
        if sample.stored.is_some() {
            return Ok(stage.finished());
        }
        let cost = sample.pool_cost(meter.dir, self.manifest.rows_per_part, self.threads)?;
        Ok(StageForecast {
            disk: Some(cost.disk),
            memory: Some(cost.memory),
            seconds: Some(cost.seconds),
            ..stage
        })
    }

    /// Refuses, or warns of, what does not fit.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Unsupported`] naming the first stage that does not, what it needs,
    /// what there is, and what to change.
    pub fn check_forecast(&self, forecast: &Forecast) -> Result<()> {
        let Some(excess) = forecast.excess(self) else { return Ok(()) };
        let error = excess.error();
        if self.options.limits.ignored {
            log::warn!("{error}");
            return Ok(());
        }
        Err(error)
    }
}

impl Forecast {
    /// The first stage that takes more than there is.
    fn excess<'a>(&'a self, run: &'a Run) -> Option<Excess<'a>> {
        self.too_much(run.store.root(), run.dir())
    }

    fn too_much<'a>(
        &'a self,
        store: &'a std::path::Path,
        run: &'a std::path::Path,
    ) -> Option<Excess<'a>> {
        let limits = &self.limits;
        let (mut in_store, mut in_run) = (0_u64, 0_u64);
        for stage in &self.stages {
            let excess = |resource, needed, before, available, folder, remedies| Excess {
                stage: &stage.stage,
                of: &stage.of,
                resource,
                needed,
                before,
                available,
                folder,
                remedies,
            };
            let disk = stage.disk.unwrap_or(0);
            let (used, free, folder) = match stage.is_in_store {
                true => (&mut in_store, limits.store_disk, store),
                false if limits.is_one_disk => (&mut in_store, limits.run_disk, run),
                false => (&mut in_run, limits.run_disk, run),
            };
            let before = *used;
            *used = used.saturating_add(disk);
            if let Some(free) = free.filter(|free| *used > *free) {
                let (folder, remedies) = (Some(folder), &stage.disk_remedies[..]);
                return Some(excess(Resource::Disk, disk, before, free, folder, remedies));
            }
            let memory = stage.memory.unwrap_or(0);
            if let Some(available) = limits.memory.filter(|available| memory > *available) {
                let remedies = &stage.memory_remedies;
                return Some(excess(Resource::Memory, memory, 0, available, None, remedies));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn stage(name: &str, disk: u64, memory: u64, is_in_store: bool) -> StageForecast {
        StageForecast {
            disk: Some(disk),
            memory: Some(memory),
            is_in_store,
            ..StageForecast::new(name, "x")
        }
    }

    fn forecast(limits: Limits) -> Forecast {
        let stages = vec![
            stage("pool", 10, 1, true),
            stage("encode", 50, 30, true),
            StageForecast { disk: None, memory: None, ..stage("index", 0, 0, true) },
            stage("train", 30, 60, false),
        ];
        Forecast { stages, limits, ..Forecast::default() }
    }

    /// The stage that does not fit, and its needed, before and available.
    fn excess(limits: Limits) -> Option<(String, u64, u64, u64)> {
        let forecast = forecast(limits);
        let excess = forecast.too_much(Path::new("store"), Path::new("run"))?;
        Some((excess.stage.to_owned(), excess.needed, excess.before, excess.available))
    }

    #[test]
    fn stages_fill_a_disk_one_after_the_other() {
        let disk = |store, run, is_one_disk| Limits {
            store_disk: Some(store),
            run_disk: Some(run),
            is_one_disk,
            memory: None,
        };
        assert_eq!(excess(disk(90, 90, true)), None);
        assert_eq!(excess(disk(59, 59, true)), Some(("encode".to_owned(), 50, 10, 59)));
        assert_eq!(excess(disk(60, 60, true)), Some(("train".to_owned(), 30, 60, 60)));
        assert_eq!(excess(disk(60, 60, false)), None);
        assert_eq!(excess(disk(60, 29, false)), Some(("train".to_owned(), 30, 0, 29)));
    }

    #[test]
    fn each_stage_has_all_memory_and_what_is_not_known_is_not_refused() {
        let memory = |memory| Limits { memory, ..Limits::default() };
        assert_eq!(excess(memory(Some(60))), None);
        assert_eq!(excess(memory(Some(59))), Some(("train".to_owned(), 60, 0, 59)));
        assert_eq!(excess(memory(None)), None);
    }
}
