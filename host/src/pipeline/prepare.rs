//! The phases of a retriever over the store, unit by unit.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deft_core::{
    Context, Error, ErrorKind, Examples as _, Fingerprint, Kind, Phase, PhaseDirs, Result,
    Retriever, Searcher,
};
use serde_json::json;

use super::Run;
use crate::components::Plan;
use crate::pool::StoredPool;
use crate::services::HostServices;
use crate::store::Stage;

/// A retriever with the stages of its phases in the store.
pub struct Prepared {
    retriever: Arc<dyn Retriever>,
    /// What it is, with everything that it leaves on disk and everything that changes its hits.
    pub fingerprint: String,
    plan: Plan,
    phases: Vec<(Phase, Stage)>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("phases", &self.phases).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The folders of its phases.
    fn dirs(&self) -> PhaseDirs {
        let dir = |(phase, stage): &(Phase, Stage)| (phase.name.clone(), stage.dir().to_owned());
        PhaseDirs::new(self.phases.iter().map(dir).collect())
    }

    /// Opens the finished phases for search.
    ///
    /// # Errors
    ///
    /// Those of the retriever.
    pub fn open(&self, ctx: &Context<'_>, pool: &StoredPool) -> Result<Box<dyn Searcher>> {
        self.retriever.open(ctx, &pool.view(), &self.dirs())
    }

    /// Does one unit of a phase, unless it is done.
    ///
    /// # Errors
    ///
    /// Those of the retriever; [`ErrorKind::Options`] when there is no such unit.
    pub fn run_unit(
        &self,
        phase: &str,
        unit: usize,
        pool: &StoredPool,
        ctx: &Context<'_>,
    ) -> Result<()> {
        let (phase, stage) = self.find(phase)?;
        if unit >= phase.units {
            return Err(Error::option_at("", format!("phase `{}` has no unit {unit}", phase.name))
                .with_context("units", phase.units));
        }
        if stage.has_unit(unit, &phase.suffix) {
            return Ok(());
        }
        let dirs = self.dirs();
        stage.commit_unit(unit, &phase.suffix, |out: &Path| {
            self.retriever.run_unit(ctx, &phase.name, unit, &pool.view(), &dirs, out)
        })
    }

    fn find(&self, name: &str) -> Result<&(Phase, Stage)> {
        self.phases.iter().find(|(phase, _)| phase.name == name).ok_or_else(|| {
            let names: Vec<_> = self.phases.iter().map(|(phase, _)| phase.name.as_str()).collect();
            Error::option_at("", format!("there is no phase `{name}`"))
                .with_hint(format!("the phases are: {}", names.join(", ")))
        })
    }

    /// Phases that must be complete before one may start.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] naming the first phase that is not.
    pub fn check_before(&self, phase: &str) -> Result<()> {
        for (earlier, stage) in &self.phases {
            if earlier.name == phase {
                return Ok(());
            }
            let done = (0..earlier.units).filter(|&u| stage.has_unit(u, &earlier.suffix)).count();
            if done < earlier.units {
                let message = format!("phase `{}` must be complete first", earlier.name);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .with_context("units done", format!("{done} of {}", earlier.units)));
            }
        }
        Ok(())
    }
}

impl Run {
    /// Prepares the pool for every retriever of the manifest.
    pub(super) fn prepare_all(&mut self, pool: &StoredPool) -> Result<()> {
        for arm in self.searching_arms()? {
            self.prepare(&arm, pool)?;
        }
        Ok(())
    }

    /// Reads the pool and opens the retriever of an arm, for one unit of work.
    ///
    /// # Errors
    ///
    /// Those of the pool's readers and of the retriever.
    pub fn open_for_unit(&mut self, arm: Option<&str>) -> Result<(StoredPool, Prepared)> {
        let arm = self.searching_arm(arm)?;
        let pool = self.read_pool()?;
        let prepared = self.open_phases(&arm, &pool).map_err(|e| self.document.locate(e))?;
        Ok((pool, prepared))
    }

    /// Like [`Run::open_for_unit`], with every missing unit done.
    ///
    /// # Errors
    ///
    /// Those of the pool's readers and of the retriever.
    pub fn open_prepared(&mut self, arm: Option<&str>) -> Result<(StoredPool, Prepared)> {
        let arm = self.searching_arm(arm)?;
        let pool = self.read_pool()?;
        let prepared = self.prepare(&arm, &pool).map_err(|e| self.document.locate(e))?;
        Ok((pool, prepared))
    }

    /// The arm named, or the first, of those that search.
    fn searching_arm(&self, name: Option<&str>) -> Result<String> {
        let arms = self.searching_arms()?;
        let found = match name {
            Some(name) => arms.iter().find(|arm| *arm == name),
            None => arms.first(),
        };
        found.cloned().ok_or_else(|| {
            Error::option_at("", "no such arm searches the pool")
                .with_hint(format!("arms that search: {}", arms.join(", ")))
        })
    }

    /// Services with paths relative to the manifest, for one unit of work.
    pub fn unit_services(&self, label: &str) -> HostServices {
        self.services(label)
    }

    /// Arms whose selection needs hits.
    pub(super) fn searching_arms(&self) -> Result<Vec<String>> {
        let searches = |arm: &&str| self.needs_hits(arm);
        Ok(self.manifest.arm_order()?.into_iter().filter(searches).map(str::to_owned).collect())
    }

    /// Opens an arm's retriever and does every unit that is missing.
    pub(super) fn prepare(&mut self, arm: &str, pool: &StoredPool) -> Result<Prepared> {
        let prepared = self.open_phases(arm, pool)?;
        for (phase, stage) in &prepared.phases {
            let missing: Vec<usize> =
                (0..phase.units).filter(|&unit| !stage.has_unit(unit, &phase.suffix)).collect();
            if missing.is_empty() {
                log::debug!("{}: nothing to do", phase.name);
            } else {
                let name = stage.dir().file_name().unwrap_or_default().to_string_lossy();
                log::info!(
                    "{} ({name}): {} of {} units to do",
                    phase.name,
                    missing.len(),
                    phase.units
                );
                self.run_units(&prepared, phase, &missing, pool)?;
            }
            if stage.card().is_none() {
                stage.write_card(&json!({
                    "retriever": prepared.plan.identity(),
                    "phase": phase,
                    "pool": pool.fingerprint(),
                }))?;
            }
        }
        Ok(prepared)
    }

    /// Builds the retriever and finds the stage of each phase in the store.
    fn open_phases(&mut self, arm: &str, pool: &StoredPool) -> Result<Prepared> {
        let (block, path) = self.manifest.retriever_of(arm).ok_or_else(|| {
            Error::option_at(format!("arms.{arm}"), "this arm needs a `retriever`")
        })?;
        let plan = self.plan(Kind::Retriever, block, &path)?;
        let services = self.services(plan.name());
        let ctx = services.context(self.manifest.seed);
        let retriever = self.components.retriever(&plan, &ctx)?;
        let mut chain = Fingerprint::new().with(pool.fingerprint()).with(plan.plugin_version());
        let mut phases: Vec<(Phase, Stage)> = Vec::new();
        for phase in retriever.phases(&ctx, &pool.view())? {
            chain = chain.with(&phase.name).with(&phase.fingerprint);
            let stage = self.store.stage(&phase.artefact, &chain.clone().short())?;
            phases.push((phase, stage));
        }
        let fingerprint = chain.with(plan.identity().to_string()).short();
        Ok(Prepared { retriever, fingerprint, plan, phases })
    }

    /// Runs units: one after the other with all threads, or many at once with a share each.
    fn run_units(
        &self,
        prepared: &Prepared,
        phase: &Phase,
        units: &[usize],
        pool: &StoredPool,
    ) -> Result<()> {
        let per_unit = if phase.threads == 0 { self.threads } else { phase.threads };
        let at_once = (self.threads / per_unit).clamp(1, units.len());
        let next = AtomicUsize::new(0);
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some(&unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                let label = format!("{} {} of {}", phase.name, unit + 1, phase.units);
                let services = self.services(&label);
                let ctx = services.context(self.manifest.seed).with_threads(per_unit);
                let done = ctx
                    .check()
                    .and_then(|()| prepared.run_unit(&phase.name, unit, pool, &ctx))
                    .map_err(|e| e.with_context("phase", &phase.name).with_context("unit", unit));
                if let Err(error) = done {
                    // The first failure stops the others from starting.
                    next.store(units.len(), Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..at_once {
                scope.spawn(work);
            }
            work();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// How many examples come from each data set.
pub(super) fn dataset_counts(
    pool: &StoredPool,
    ids: impl Iterator<Item = usize>,
) -> Result<HashMap<String, usize>> {
    let ids: Vec<usize> = ids.collect();
    let mut counts = HashMap::new();
    for chunk in ids.chunks(4096) {
        for example in pool.get(chunk)? {
            *counts.entry(example.provenance.dataset).or_default() += 1;
        }
    }
    Ok(counts)
}
