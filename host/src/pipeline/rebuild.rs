//! `--rebuild STAGE`: a stage is made again, and all that follows from it.
//!
//! What is to be made again is written down in the run's folder, then forgotten, all of it, and only
//! then is anything read or built. Wherever a run is killed, the next one goes on from there.

use std::collections::BTreeSet;

use deft_core::{Error, Example, Phase, Pool, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::Run;
use super::folders;
use super::outputs::Outputs;
use super::owners::{builds_on, chained};
use crate::pool::{NAME as POOL, StoredPool};
use crate::store;

/// What a run leaves in its own folder, in the order in which it is made.
const OUTPUTS: [&str; 4] = ["hits", "selection", "model", "metrics"];

/// The file in the run's folder that says what is being forgotten, until it is.
const NOTE: &str = "rebuild.json";

/// The stages that are to be made again: the pool, phases of a retriever, outputs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rebuild(BTreeSet<String>);

impl Rebuild {
    /// Whether the pool is read again.
    fn pool(&self) -> bool {
        self.0.contains(POOL)
    }

    /// Which of a retriever's phases are made again: those that are named, and those after them that
    /// may build on them.
    fn phases(&self, phases: &[Phase]) -> Vec<bool> {
        let mut owners: Vec<&str> = Vec::new();
        let mut made_again = Vec::with_capacity(phases.len());
        for phase in phases {
            let (owner, _) = phase.owner();
            let follows = owners.iter().any(|earlier| builds_on(owner, earlier));
            let is_made_again = self.pool() || follows || self.0.contains(&phase.name);
            owners.extend(is_made_again.then_some(owner));
            made_again.push(is_made_again);
        }
        made_again
    }

    /// The outputs of the run that are made again.
    fn outputs(&self) -> Vec<&'static str> {
        let is_after = |output: &&str| self.0.iter().any(|stage| follows(output, stage));
        OUTPUTS.into_iter().filter(is_after).collect()
    }

    /// Whether anything in the store is made again.
    fn reaches_store(&self) -> bool {
        self.0.iter().any(|stage| !OUTPUTS.contains(&stage.as_str()))
    }
}

/// Whether an output is this stage, or made from it.
fn follows(output: &str, stage: &str) -> bool {
    let position = |name: &str| OUTPUTS.iter().position(|output| *output == name);
    // The pool and the phases come before all outputs.
    position(stage).is_none_or(|first| position(output).is_some_and(|at| at >= first))
}

/// Refuses the name of a stage that there is not.
fn check_name(stage: &str, phases: &BTreeSet<String>) -> Result<()> {
    let known = || [POOL].into_iter().chain(phases.iter().map(String::as_str)).chain(OUTPUTS);
    if known().any(|name| name == stage) {
        return Ok(());
    }
    let listed = known().collect::<Vec<_>>().join(", ");
    let error = Error::option_at("--rebuild", format!("there is no stage `{stage}`"));
    Err(match deft_core::options::nearest(stage, known()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`? stages: {listed}")),
        None => error.with_hint(format!("stages: {listed}")),
    })
}

/// Stands for a pool that is not there: names and fingerprints of phases are the same for any.
fn any_pool() -> Vec<Example> {
    vec![Example::default()]
}

impl Run {
    /// Refuses to rebuild a stage that there is not, before anything is read.
    pub(super) fn check_rebuild(&mut self) -> Result<()> {
        let Some(stage) = self.options.rebuild.clone() else { return Ok(()) };
        let mut names = BTreeSet::new();
        // Retrievers alone know the names of their phases, and take time to open.
        if stage != POOL && !OUTPUTS.contains(&stage.as_str()) {
            let pool = any_pool();
            for arm in self.searching_arms()? {
                let (plan, retriever) = self.arm_retriever(&arm)?;
                let services = self.services(plan.name());
                let ctx = services.context(self.manifest.seed);
                let phases = retriever.phases(&ctx, &Pool { examples: &pool, rows_per_part: 1 })?;
                names.extend(phases.into_iter().map(|phase| phase.name));
            }
        }
        check_name(&stage, &names)
    }

    /// Whether something is to be made again, or a run was killed before all of it was forgotten.
    pub(super) fn rebuilds(&self) -> bool {
        self.options.rebuild.is_some() || self.dir.join(NOTE).exists()
    }

    /// Forgets what is to be made again.
    pub(super) fn forget(&mut self) -> Result<()> {
        let note = self.dir.join(NOTE);
        let mut rebuild: Rebuild = store::read_json(&note).unwrap_or_default();
        rebuild.0.extend(self.options.rebuild.clone());
        store::write_json(&note, &rebuild)?;
        self.forget_outputs(&rebuild.outputs())?;
        if rebuild.reaches_store() {
            self.forget_stages(&rebuild)?;
        }
        std::fs::remove_file(&note).or_io("cannot remove", &note)?;
        let stages = rebuild.0.into_iter().collect::<Vec<_>>().join(", ");
        log::info!(
            "{stages}: made again, with all that follows; after an interruption, go on without \
             --rebuild"
        );
        Ok(())
    }

    fn forget_outputs(&self, names: &[&str]) -> Result<()> {
        for task in &self.manifest.tasks {
            for arm in self.manifest.arms.keys() {
                let arm_dir = self.arm_dir(task, arm);
                let of_seed = |seed: &u64| arm_dir.join(format!("seed-{seed}"));
                let dirs = self.manifest.seeds.iter().map(of_seed).chain([arm_dir.clone()]);
                for dir in dirs.filter(|dir| dir.is_dir()) {
                    if names.contains(&"model") {
                        // First: a model that is forgotten would be gone on with from there.
                        folders::remove_scratch(&dir, None)?;
                    }
                    Outputs::open(&dir)?.forget(names)?;
                }
            }
        }
        Ok(())
    }

    /// Empties stages of the store, the last first; waits for runs that use them.
    fn forget_stages(&mut self, rebuild: &Rebuild) -> Result<()> {
        let stages = self.stages_to_forget(rebuild)?;
        let services = self.services("rebuild");
        let ctx = services.context(self.manifest.seed);
        stages.iter().rev().try_for_each(|(name, print)| self.store.discard(name, print, &ctx))
    }

    /// Name and fingerprint of every stage of the store that is made again, in order.
    fn stages_to_forget(&mut self, rebuild: &Rebuild) -> Result<Vec<(String, String)>> {
        let sources = self.pool_sources()?;
        let wanted = self.find_pool(&sources)?;
        // One that cannot be opened may be the reason for all this.
        let (opened, any) = (wanted.open().ok().flatten(), any_pool());
        let any = Pool { examples: &any, rows_per_part: 1 };
        let pool = opened.as_ref().map_or(any, StoredPool::view);
        let mut stages = Vec::new();
        if rebuild.pool() {
            stages.push((POOL.to_owned(), wanted.fingerprint().to_owned()));
        }
        for arm in self.searching_arms()? {
            let (plan, retriever) = self.arm_retriever(&arm)?;
            let services = self.services(plan.name());
            let phases = retriever.phases(&services.context(self.manifest.seed), &pool)?;
            let made_again = rebuild.phases(&phases);
            let (fingerprints, _) = chained(&phases, wanted.fingerprint(), &plan)?;
            for ((phase, fingerprint), again) in
                phases.into_iter().zip(fingerprints).zip(made_again)
            {
                let stage = (phase.artefact, fingerprint);
                // Arms may share it.
                if again && !stages.contains(&stage) {
                    stages.push(stage);
                }
            }
        }
        Ok(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str) -> Phase {
        Phase { name: name.to_owned(), ..Phase::default() }
    }

    #[test]
    fn a_stage_is_made_again_with_all_that_follows() {
        let of = |stage: &str| Rebuild(BTreeSet::from([stage.to_owned()]));
        let phases = ["encode", "train", "index"].map(phase);
        assert_eq!(of("pool").phases(&phases), [true, true, true]);
        assert_eq!(of("train").phases(&phases), [false, true, true]);
        assert_eq!(of("model").phases(&phases), [false, false, false]);
        assert_eq!(of("encode").outputs(), OUTPUTS);
        assert_eq!(of("model").outputs(), ["model", "metrics"]);
        assert!(of("encode").reaches_store() && of("pool").reaches_store());
        assert!(!of("hits").reaches_store());
        assert!(Rebuild::default().outputs().is_empty());
    }

    #[test]
    fn what_an_interrupted_rebuild_had_to_forget_is_forgotten_with_the_rest() {
        let both = Rebuild(["metrics", "index"].map(str::to_owned).into());
        assert_eq!(both.phases(&["encode", "index"].map(phase)), [false, true]);
        assert_eq!(both.outputs(), OUTPUTS);
    }

    #[test]
    fn what_a_child_makes_again_leaves_its_sister_as_it_is() {
        let of_child =
            |child: &str, name: &str| phase(name).passed_on(child, format!("{child}.{name}"));
        let phases =
            [of_child("a", "encode"), of_child("a", "index"), of_child("b", "index"), phase("own")];
        let again = |stages: &[&str]| {
            let stages = stages.iter().map(|stage| (*stage).to_owned());
            Rebuild(stages.collect()).phases(&phases)
        };
        assert_eq!(again(&["a.encode"]), [true, true, false, true]);
        assert_eq!(again(&["a.index", "b.index"]), [false, true, true, true]);
        assert_eq!(again(&["own"]), [false, false, false, true]);
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_nearest() {
        let phases = BTreeSet::from(["encode".to_owned()]);
        let error = check_name("encod", &phases).unwrap_err();
        assert!(error.hint().unwrap().contains("did you mean `encode`?"));
        check_name("encode", &phases).unwrap();
    }
}
