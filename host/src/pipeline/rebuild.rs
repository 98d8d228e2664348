//! `--rebuild STAGE`: a stage is made again, and all that follows from it.

use std::collections::BTreeSet;

use deft_core::{Error, Result};

/// What a run leaves in its own folder, in the order in which it is made.
const OUTPUTS: [&str; 4] = ["hits", "selection", "model", "metrics"];

/// The pool's name as a stage.
const POOL: &str = "pool";

/// What is to be made again.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    /// A stage: the pool, a phase of a retriever, or an output.
    stage: Option<String>,
    /// Stages of the store emptied so far: each once in a run.
    emptied: BTreeSet<String>,
}

impl Rebuild {
    pub(super) fn new(stage: Option<String>) -> Self {
        Self { stage, emptied: BTreeSet::new() }
    }

    /// Whether the pool is read again.
    pub(super) fn pool(&self) -> bool {
        self.stage.as_deref() == Some(POOL)
    }

    /// The first of a retriever's phases that is made again.
    pub(super) fn first_phase<'a>(
        &self,
        mut phases: impl Iterator<Item = &'a str>,
    ) -> Option<usize> {
        if self.pool() {
            Some(0)
        } else {
            phases.position(|name| Some(name) == self.stage.as_deref())
        }
    }

    /// The outputs of the run that are made again.
    pub(super) fn outputs(&self) -> Vec<&'static str> {
        OUTPUTS.into_iter().filter(|name| self.output(name)).collect()
    }

    /// Whether an output of the run is made again.
    fn output(&self, name: &str) -> bool {
        let Some(stage) = self.stage.as_deref() else { return false };
        let position = |name: &str| OUTPUTS.iter().position(|output| *output == name);
        // The pool and the phases come before all outputs.
        position(stage).is_none_or(|first| position(name).is_some_and(|at| at >= first))
    }

    /// Whether a stage of the store is to be emptied now: the first time that it is met.
    pub(super) fn empties(&mut self, stage: &str) -> bool {
        self.emptied.insert(stage.to_owned())
    }

    /// Refuses the name of a stage that this manifest has not.
    pub(super) fn check(&self, phases: &BTreeSet<String>) -> Result<()> {
        let Some(stage) = self.stage.as_deref() else { return Ok(()) };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_made_again_with_all_that_follows() {
        let of = |stage: &str| Rebuild::new(Some(stage.to_owned()));
        let phases = || ["encode", "train", "index"].into_iter();
        assert_eq!(of("pool").first_phase(phases()), Some(0));
        assert_eq!(of("train").first_phase(phases()), Some(1));
        assert_eq!(of("model").first_phase(phases()), None);
        assert!(of("encode").output("hits") && of("pool").output("metrics"));
        assert!(of("model").output("metrics") && !of("model").output("selection"));
        assert!(!Rebuild::default().output("hits"));
    }

    #[test]
    fn an_unknown_stage_is_refused_with_the_nearest() {
        let phases = BTreeSet::from(["encode".to_owned()]);
        let error = Rebuild::new(Some("encod".to_owned())).check(&phases).unwrap_err();
        assert!(error.hint().unwrap().contains("did you mean `encode`?"));
    }
}
