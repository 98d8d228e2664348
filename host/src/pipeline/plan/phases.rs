//! What the phases of retrievers take, and the searches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deft_core::{Example, Phase, Result, Retriever};

use super::measure::{self, Measured, Meter};
use super::sample::Sample;
use super::{Forecast, StageForecast};
use crate::components::Plan;
use crate::console::whole_number;
use crate::manifest::{SourcePart, TaskSource};
use crate::pipeline::limits::{Resource, share_of};
use crate::pipeline::owners::chained;
use crate::pipeline::prepared::is_spent;
use crate::pipeline::{Run, arms};
use crate::pool::{StoredPool, read_examples};
use crate::store::Stage;

/// Bytes that a line of `selection.jsonl` has beside its example: the id, and the evidence.
const ID_BYTES: u64 = 20;
const EVIDENCE_BYTES: u64 = 80;
/// Bytes of a hit in `hits.jsonl` and `hits.run`, about.
const HIT_BYTES: u64 = 80;

/// A retriever of the manifest, its phases over the whole pool, and what was measured of them.
struct Retrieval {
    plan: Plan,
    retriever: Arc<dyn Retriever>,
    phases: Vec<Phase>,
    /// Rows of the pool.
    rows: usize,
    /// Units of each phase that the store has.
    there: Vec<usize>,
    measured: Vec<Measured>,
}

impl Run {
    /// Forecasts every phase of every retriever, each once, and the search of every arm and task.
    pub(super) fn forecast_retrievers(
        &mut self,
        sample: &Sample,
        meter: &Meter<'_>,
        forecast: &mut Forecast,
    ) -> Result<()> {
        let mut known: HashMap<String, Retrieval> = HashMap::new();
        let mut met = HashSet::new();
        for arm in self.searching_arms()? {
            let queries = self.queries(&arm)?;
            let (plan, retriever) = self.arm_retriever(&arm)?;
            let key = plan.completed().to_string();
            if !known.contains_key(&key) {
                let mut retrieval = self.find_phases(plan, retriever, sample, &mut met)?;
                let all_there = retrieval.is_there() && self.has_hits(&arm);
                if !all_there && !meter.limit.is_zero() {
                    log::info!("measuring {} on a few rows", retrieval.plan.name());
                    let some: Vec<Example> = queries.iter().flat_map(|of| of.1.clone()).collect();
                    let retriever = &*retrieval.retriever;
                    retrieval.measured = measure::retriever(meter, retriever, sample, &some)?;
                }
                forecast.stages.extend(self.forecast_phases(&retrieval));
                known.insert(key.clone(), retrieval);
            }
            for (task, queries) in &queries {
                let stage = self.forecast_search(&arm, task, queries.len(), &known[&key], sample);
                forecast.stages.push(stage);
            }
        }
        Ok(())
    }

    /// The queries of every task for an arm, at most so many as it searches with.
    fn queries(&mut self, arm: &str) -> Result<Vec<(String, Vec<Example>)>> {
        let wanted = self.manifest.selection_of(arm).queries;
        let mut found = Vec::new();
        for task in self.manifest.tasks.clone() {
            let i = self.task_index(&task);
            let (reader, _) = self.task_reader(&task, "query_source")?;
            let source = task.query_source.as_ref();
            let name = source.map_or("", TaskSource::source);
            let paths = self.expand(name, &format!("tasks[{i}].query_source"))?;
            let services = self.services("read the queries");
            let ctx = services.context(self.manifest.seed);
            // Which ones they are is nothing to their number.
            let part = source.and_then(TaskSource::part);
            let limit = wanted.saturating_add(part.map_or(0, SourcePart::skipped));
            let mut queries = read_examples(&*reader, &paths, Some(limit), &ctx)?;
            let count = part.map_or(wanted, |part| part.count(queries.len()));
            queries.truncate(count);
            found.push((task.name, queries));
        }
        Ok(found)
    }

    fn has_hits(&self, arm: &str) -> bool {
        let dir = |task| self.arm_dir(task, arm).join("hits.jsonl");
        self.manifest.tasks.iter().all(|task| dir(task).exists())
    }

    /// Finds a retriever's phases, and what the store has of them. `met` are the stages of retrievers
    /// before it: those are made once, and counted there.
    fn find_phases(
        &self,
        plan: Plan,
        retriever: Arc<dyn Retriever>,
        sample: &Sample,
        met: &mut HashSet<(String, String)>,
    ) -> Result<Retrieval> {
        let services = self.services(plan.name());
        let ctx = services.context(self.manifest.seed);
        let stretched = sample.stretched();
        let pool = match &sample.stored {
            Some(stored) => stored.view(),
            None => stretched.pool(self.manifest.rows_per_part),
        };
        let phases = retriever.phases(&ctx, &pool)?;
        // Without a pool nothing is there; that of all retrievers is the same.
        let pool = sample.stored.as_ref().map_or("", StoredPool::fingerprint);
        let (fingerprints, _) = chained(&phases, pool, &plan)?;
        let there = self.units_there(&phases, fingerprints, met);
        let rows = sample.rows.count;
        Ok(Retrieval { plan, retriever, phases, rows, there, measured: Vec::new() })
    }

    /// Units of each phase that the store has, or will have once the stages `met` are made.
    fn units_there(
        &self,
        phases: &[Phase],
        fingerprints: Vec<String>,
        met: &mut HashSet<(String, String)>,
    ) -> Vec<usize> {
        let mut there = Vec::with_capacity(phases.len());
        for (phase, fingerprint) in phases.iter().zip(fingerprints) {
            let stage = self.store.peek(&phase.artefact, &fingerprint);
            let left = |stage: Stage| stage.units_left(phase.units, &phase.suffix).len();
            let is_new = met.insert((phase.artefact.clone(), fingerprint));
            there.push(if is_new {
                phase.units - stage.map_or(phase.units, left)
            } else {
                phase.units
            });
        }
        let of: Vec<_> = phases.iter().map(|phase| (phase.owner().0, phase.temporary)).collect();
        for (place, phase) in phases.iter().enumerate() {
            if is_spent(&of, place, |later| there[later] == phases[later].units) {
                there[place] = phase.units;
            }
        }
        there
    }

    fn forecast_phases(&self, retrieval: &Retrieval) -> Vec<StageForecast> {
        let phases = retrieval.phases.iter().zip(&retrieval.there);
        let one = |(i, (phase, there)): (usize, (&Phase, &usize))| {
            self.forecast_phase(retrieval, phase, *there, retrieval.measured.get(i))
        };
        phases.enumerate().map(one).collect()
    }

    fn forecast_phase(
        &self,
        retrieval: &Retrieval,
        phase: &Phase,
        there: usize,
        measured: Option<&Measured>,
    ) -> StageForecast {
        let left = phase.units - there;
        let (place, own_name) = phase.owner();
        let owner = retrieval.plan.below(place).unwrap_or(&retrieval.plan);
        let block = (owner.completed(), owner.path());
        let remedies = |resource| self.remedies(own_name, resource, Some((&block.0, block.1)));
        let stage = StageForecast {
            rows: retrieval.rows,
            units: phase.units,
            there,
            is_in_store: true,
            disk_remedies: remedies(Resource::Disk),
            memory_remedies: remedies(Resource::Memory),
            ..StageForecast::new(&phase.name, retrieval.plan.name())
        };
        if left == 0 {
            return stage.finished();
        }
        let cost = phase.cost / phase.units as f64;
        let unit_bytes = measured.and_then(|one| one.bytes).map(|fit| fit.at(cost));
        let unit_seconds = measured.and_then(|one| one.time).map(|fit| fit.at(cost));
        let rounds = left.div_ceil(self.units_at_once(phase, left));
        StageForecast {
            disk: phase
                .disk
                .map(|all| share_of(all, left, phase.units))
                .or_else(|| unit_bytes.map(|bytes| whole_number(bytes * left as f64))),
            memory: self.memory_of_units(phase, left, measured.and_then(|one| one.peak)),
            seconds: unit_seconds.map(|seconds| seconds * rounds as f64),
            note: measured.and_then(|one| one.why.clone()),
            ..stage
        }
    }

    /// What the units at work take together, on top of what a process took for a few rows.
    fn memory_of_units(&self, phase: &Phase, left: usize, peak: Option<u64>) -> Option<u64> {
        let at_once = self.units_at_once(phase, left) as u64;
        let processes = if self.options.workers > 0 { at_once + 1 } else { 1 };
        let units = phase.memory.map(|memory| memory.saturating_mul(at_once));
        match (peak, units) {
            (Some(peak), units) => Some(peak.saturating_mul(processes) + units.unwrap_or(0)),
            (None, units) => units,
        }
    }

    fn forecast_search(
        &self,
        arm: &str,
        task: &str,
        queries: usize,
        retrieval: &Retrieval,
        sample: &Sample,
    ) -> StageForecast {
        let block = (retrieval.plan.completed(), retrieval.plan.path());
        let stage = StageForecast {
            rows: queries,
            memory_remedies: self.remedies("search", Resource::Memory, Some((&block.0, block.1))),
            disk_remedies: self.remedies("search", Resource::Disk, None),
            ..StageForecast::new("search", &format!("{task}/{arm}"))
        };
        let dir = self.manifest.tasks.iter().find(|one| one.name == task);
        let hits = dir.map(|task| self.arm_dir(task, arm).join("hits.jsonl"));
        if retrieval.is_there() && hits.is_some_and(|hits| hits.exists()) {
            return stage.finished();
        }
        let measured = retrieval.measured.get(retrieval.phases.len());
        let selection = self.manifest.selection_of(arm);
        let neighbors = selection.neighbors.min(sample.rows.count);
        let of_query = |measured: &Measured| Some(measured.time?.at(sample.rows.count as f64));
        // Some of the queries are compared with every example, to measure the recall.
        let comparison = retrieval.measured.get(retrieval.phases.len() + 1).and_then(of_query);
        let compared = comparison.unwrap_or(0.0) * selection.recall_queries.min(queries) as f64;
        let held: Option<u64> = retrieval.phases.iter().map(|phase| phase.search_memory).sum();
        let note = held.is_none().then(|| "the index does not tell what a search holds".to_owned());
        StageForecast {
            disk: Some((queries * neighbors) as u64 * HIT_BYTES),
            memory: match measured.and_then(|one| one.peak) {
                Some(peak) => Some(peak + held.unwrap_or(0)),
                None => held,
            },
            seconds: measured.and_then(of_query).map(|seconds| seconds * queries as f64 + compared),
            note: measured.and_then(|one| one.why.clone()).or(note),
            ..stage
        }
    }

    /// Most examples that an arm selects for a task; the real number is known after the search.
    pub(super) fn selection_size(&self, arm: &str, rows: usize) -> usize {
        use crate::manifest::Policy;
        let selection = self.manifest.selection_of(arm);
        let most = if selection.policy.needs_hits() {
            selection.queries.saturating_mul(selection.neighbors).min(rows)
        } else {
            rows
        };
        let wanted = match &selection.same_as {
            // They go in no circle: the manifest was checked.
            Some(other) => Some(self.selection_size(other, rows)),
            None if selection.policy == Policy::All => None,
            None => selection.examples(rows),
        };
        most.min(wanted.unwrap_or(usize::MAX))
    }

    /// Forecasts the files of selections.
    pub(super) fn forecast_selections(&self, sample: &Sample, forecast: &mut Forecast) {
        for task in &self.manifest.tasks {
            for arm in self.manifest.arms.keys().filter(|arm| self.manifest.selects(arm)) {
                let rows = self.selection_size(arm, sample.rows.count);
                let stage = StageForecast {
                    rows,
                    disk_remedies: self.remedies("select", Resource::Disk, None),
                    ..StageForecast::new("select", &format!("{}/{arm}", task.name))
                };
                let is_there = self.arm_dir(task, arm).join("selection.jsonl").exists();
                // One that needs hits follows from them.
                let needs_hits = arms::needs_hits(&self.manifest, arm);
                let follows = needs_hits && !self.arm_dir(task, arm).join("hits.jsonl").exists();
                let evidence = if needs_hits { EVIDENCE_BYTES } else { 0 };
                let line = sample.mean_bytes() + ID_BYTES + evidence;
                forecast.stages.push(if is_there && !follows {
                    stage.finished()
                } else {
                    StageForecast { disk: Some(rows as u64 * line), ..stage }
                });
            }
        }
    }
}

impl Retrieval {
    /// Whether every unit is in the store.
    fn is_there(&self) -> bool {
        self.phases.iter().zip(&self.there).all(|(phase, there)| phase.units == *there)
    }
}
