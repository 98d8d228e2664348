//! Preparing the pool for search: every missing unit of every phase.

use std::sync::Arc;

use deft_core::{Error, ErrorKind, Kind, Phase, Result, Retriever};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Run;
use super::failures::Failures;
use super::owners::{as_owned, builds_on, chained};
use super::prepared::Prepared;
use super::requests::Requests;
use super::units::{Executor, Outcome, Queue, threads_of_unit};
use crate::components::Plan;
use crate::console::human_size;
use crate::manifest::Policy;
use crate::pool::StoredPool;
use crate::services::HostServices;
use crate::store::{self, Stage};

/// The card of a phase's stage: what it was made from.
#[derive(Debug, Serialize, Deserialize)]
struct PhaseCard {
    retriever: Value,
    phase: Phase,
    pool: String,
}

impl Run {
    /// Prepares the pool for every retriever of the manifest.
    pub(super) fn prepare_all(&mut self, pool: &StoredPool) -> Result<Vec<(String, Prepared)>> {
        let mut all = Vec::new();
        for arm in self.searching_arms()? {
            let prepared = self.open_phases(&arm, pool)?;
            let policy = self.manifest.selection_of(&arm).policy;
            if policy == Policy::Coreset && !prepared.keeps_vectors() {
                return Err(self.no_vectors(&arm));
            }
            all.push((arm, prepared));
        }
        for (arm, prepared) in &all {
            self.prepare(arm, prepared, pool)?;
        }
        drop_temporaries(all.iter_mut().map(|(_, prepared)| prepared));
        Ok(all)
    }

    /// Reads the pool and opens an arm's retriever, with every missing unit done.
    ///
    /// # Errors
    ///
    /// Those of the pool's readers and of the retriever.
    pub fn open_prepared(&mut self, arm: Option<&str>) -> Result<(StoredPool, Prepared)> {
        let (pool, arm, mut prepared) = self.open_arm(arm)?;
        self.prepare(&arm, &prepared, &pool).map_err(|error| self.document.locate(error))?;
        // Another arm may still need what this one does not.
        if self.searching_arms()?.len() == 1 {
            drop_temporaries([&mut prepared]);
        }
        Ok((pool, prepared))
    }

    /// Does one unit of a phase; waits for another process that is doing it.
    ///
    /// # Errors
    ///
    /// Those of the retriever; [`ErrorKind::Options`] when there is no such phase or unit.
    pub fn do_unit(&mut self, arm: Option<&str>, phase: &str, unit: usize) -> Result<()> {
        let (pool, _, prepared) = self.open_arm(arm)?;
        let at = prepared.startable(phase)?;
        let (phase, stage) = at;
        if unit >= phase.units {
            return Err(Error::option_at("", format!("phase `{}` has no unit {unit}", phase.name))
                .with_hint(format!("its units are 0 to {}", phase.units.saturating_sub(1))));
        }
        let failures = Failures::of_run(&self.dir);
        let services = self.services(&format!("{} {unit}", phase.name));
        let ctx = services.context(self.manifest.seed);
        let place = prepared.place_of(&phase.name).unwrap_or_default();
        let is_done = |unit| stage.has_unit(unit, &phase.suffix) || prepared.is_spent(place);
        let queue = Queue::new(
            (&phase.name, stage.name()),
            vec![unit],
            0,
            &failures,
            &is_done,
            ctx.quiet(),
        );
        let (prepared, pool) = (&prepared, &pool);
        queue.run(vec![Box::new(InProcess { run: self, prepared, at, pool })])
    }

    /// Answers a host that asks for units on stdin: what a worker process does.
    ///
    /// # Errors
    ///
    /// Those of the pool's readers; units answer for themselves.
    pub fn serve_units(
        &mut self,
        requests: &mut Requests,
        arm: Option<&str>,
        phase: &str,
    ) -> Result<()> {
        let (pool, _, prepared) = self.open_arm(arm)?;
        let at = prepared.startable(phase)?;
        let (prepared, pool) = (&prepared, &pool);
        let mut executor = InProcess { run: self, prepared, at, pool };
        requests.serve(|unit| executor.execute(unit))
    }

    fn open_arm(&mut self, arm: Option<&str>) -> Result<(StoredPool, String, Prepared)> {
        let arm = self.searching_arm(arm)?;
        let pool = self.read_pool()?;
        let prepared = self.open_phases(&arm, &pool).map_err(|e| self.document.locate(e))?;
        Ok((pool, arm, prepared))
    }

    /// The arm named, or the first, of those that search.
    fn searching_arm(&self, name: Option<&str>) -> Result<String> {
        let arms = self.searching_arms()?;
        let found = match name {
            Some(name) => arms.iter().find(|arm| *arm == name),
            None => arms.first(),
        };
        found.cloned().ok_or_else(|| match name {
            _ if arms.is_empty() => Error::option_at("", "no arm searches the pool")
                .with_hint("an arm with policy `union` or another that takes hits searches it"),
            Some(name) => Error::option_at("", format!("no arm `{name}` searches the pool"))
                .with_hint(format!("arms that search: {}", arms.join(", "))),
            None => Error::option_at("", "no arm searches the pool"),
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

    /// Refuses a selection that is made of vectors.
    pub(super) fn no_vectors(&self, arm: &str) -> Error {
        Error::option_at(
            format!("{}.policy", self.manifest.selection_path(arm)),
            "policy `coreset` needs vectors, and the arm's retriever keeps none",
        )
        .with_hint("take retriever `dense` with `vectors: f16`, `f32` or `int8`")
    }

    /// Builds an arm's retriever.
    pub(super) fn arm_retriever(&mut self, arm: &str) -> Result<(Plan, Arc<dyn Retriever>)> {
        let (block, path) = self.manifest.retriever_of(arm).ok_or_else(|| {
            Error::option_at(format!("arms.{arm}"), "this arm needs a `retriever`")
        })?;
        let plan = self.plan(Kind::Retriever, block, &path)?;
        let services = self.services(plan.name());
        let retriever = self.components.retriever(&plan, &services.context(self.manifest.seed))?;
        Ok((plan, retriever))
    }

    /// Builds the retriever and finds the stage of each phase in the store.
    pub(super) fn open_phases(&mut self, arm: &str, pool: &StoredPool) -> Result<Prepared> {
        let (plan, retriever) = self.arm_retriever(arm)?;
        let services = self.services(plan.name());
        let ctx = services.context(self.manifest.seed);
        let wanted = retriever.phases(&ctx, &pool.view())?;
        let (fingerprints, chain) = chained(&wanted, pool.fingerprint(), &plan)?;
        let phases = self.open_stages(wanted.into_iter().zip(fingerprints))?;
        self.progress.set_phases(arm, plan.name(), &phases)?;
        let fingerprint = chain.with(plan.identity().to_string()).short();
        Ok(Prepared { retriever, fingerprint, plan, phases })
    }

    /// Finds the stages of phases with these fingerprints, the last first: one that is only there for
    /// those after it is not made where these are complete.
    fn open_stages(
        &self,
        wanted: impl DoubleEndedIterator<Item = (Phase, String)>,
    ) -> Result<Vec<(Phase, Stage)>> {
        let mut phases: Vec<(Phase, Stage)> = Vec::new();
        // Those after it: whose they are, and whether they are done.
        let mut after: Vec<(String, bool)> = Vec::new();
        for (phase, fingerprint) in wanted.rev() {
            let (owner, _) = phase.owner();
            let mut later = after.iter().filter(|(other, _)| builds_on(other, owner)).peekable();
            let is_spent =
                phase.temporary && later.peek().is_some() && later.all(|(_, is_done)| *is_done);
            let stage = if is_spent {
                self.store.unused(&phase.artefact, &fingerprint)?
            } else {
                self.store.stage(&phase.artefact, &fingerprint)?
            };
            let is_done = is_spent || stage.units_left(phase.units, &phase.suffix).is_empty();
            after.push((owner.to_owned(), is_done));
            phases.push((phase, stage));
        }
        phases.reverse();
        Ok(phases)
    }

    /// Does every unit of a retriever that is missing.
    fn prepare(&self, arm: &str, prepared: &Prepared, pool: &StoredPool) -> Result<()> {
        for (place, at) in prepared.phases.iter().enumerate() {
            let (phase, stage) = at;
            let missing = prepared.missing(place);
            if missing.is_empty() {
                log::debug!("{}: nothing to do", phase.name);
            } else {
                self.check_limits(prepared, phase, missing.len())?;
                self.announce(prepared, phase, stage, missing.len(), pool);
                self.do_units(arm, prepared, at, missing, pool)?;
                // Others that did units of it may have been killed.
                store::remove_stale(stage.dir());
            }
            if prepared.is_spent(place) {
                continue;
            }
            if !prepared.missing(place).is_empty() {
                return Err(Error::new(
                    ErrorKind::Unexpected,
                    "units were said to be done and are not",
                )
                .with_context("phase", &phase.name)
                .with_context("folder", stage.dir().display()));
            }
            if stage.card::<PhaseCard>().is_none() {
                let retriever = prepared.owner(phase).identity();
                // What a unit takes depends on the machine, and is nothing of what was made.
                let phase =
                    Phase { disk: None, memory: None, search_memory: None, ..as_owned(phase) };
                let pool = pool.fingerprint().to_owned();
                stage.write_card(&PhaseCard { retriever, phase, pool })?;
            }
        }
        Ok(())
    }

    /// Says what is to be done, and why what was made before does not serve.
    fn announce(
        &self,
        prepared: &Prepared,
        phase: &Phase,
        stage: &Stage,
        missing: usize,
        pool: &StoredPool,
    ) {
        let name = stage.name();
        log::info!("{} ({name}): {missing} of {} units to do", phase.name, phase.units);
        if missing < phase.units {
            return;
        }
        let (identity, (_, own_name)) = (prepared.owner(phase).identity(), phase.owner());
        let mut others = self.store.cards::<PhaseCard>(&phase.artefact);
        others.retain(|(_, card)| card.pool == pool.fingerprint() && card.phase.name == own_name);
        let made = others.iter().map(|(folder, card)| (folder.as_str(), &card.retriever));
        let nearest = store::nearest(&identity, made);
        if let Some((folder, differences)) = nearest.filter(|(_, d)| !d.is_empty()) {
            log::info!("{folder} does not serve: {}", differences.join("; "));
        }
    }

    /// Does units: one after the other with all threads, many at once with a share each, or in
    /// processes of their own.
    fn do_units(
        &self,
        arm: &str,
        prepared: &Prepared,
        at: &(Phase, Stage),
        units: Vec<usize>,
        pool: &StoredPool,
    ) -> Result<()> {
        let (phase, stage) = at;
        let failures = Failures::of_run(&self.dir);
        let services = self.services(&phase.name);
        let ctx = services.context(self.manifest.seed);
        let is_done = |unit| stage.has_unit(unit, &phase.suffix);
        let ctx_of_units = if units.len() > 1 { ctx } else { ctx.quiet() };
        let mut executors: Vec<Box<dyn Executor + '_>> = Vec::new();
        if self.options.workers > 0 {
            for number in 0..self.options.workers.min(units.len()) {
                executors.push(Box::new(self.worker(arm, at, number, ctx)?));
            }
        } else {
            for _ in 0..self.units_at_once(phase, units.len()) {
                executors.push(Box::new(InProcess { run: self, prepared, at, pool }));
            }
        }
        let retries = self.options.retries;
        Queue::new((&phase.name, stage.name()), units, retries, &failures, &is_done, ctx_of_units)
            .run(executors)
    }
}

/// Removes what is left of temporary phases whose retrievers are all prepared, unless another run
/// uses it: then that one does.
fn drop_temporaries<'a>(prepared: impl IntoIterator<Item = &'a mut Prepared>) {
    // Given up by all before any is removed: retrievers may share a stage.
    let mut given_up = Vec::new();
    for one in prepared {
        given_up.extend(one.give_up_temporaries());
    }
    for (phase, stage) in given_up {
        let units = phase.units - stage.units_left(phase.units, &phase.suffix).len();
        match stage.discard_if_unused() {
            Ok(Some(bytes)) if units > 0 => {
                let (name, size) = (stage.name(), human_size(bytes));
                log::info!("{} ({name}): removed, {size}: what it was for is done", phase.name);
            }
            Ok(_) => {}
            Err(error) => log::warn!("{}: {error}", phase.name),
        }
    }
}

/// Does units in a thread of this process.
struct InProcess<'a> {
    run: &'a Run,
    prepared: &'a Prepared,
    at: &'a (Phase, Stage),
    pool: &'a StoredPool,
}

impl Executor for InProcess<'_> {
    fn execute(&mut self, unit: usize) -> Result<Outcome> {
        let (phase, _) = self.at;
        let label = format!("{} {} of {}", phase.name, unit + 1, phase.units);
        let services = self.run.services(&label);
        let threads = threads_of_unit(phase, self.run.threads);
        let ctx = services.context(self.run.manifest.seed).with_threads(threads);
        self.prepared.try_unit(self.at, unit, self.pool, &services, &ctx)
    }
}
