//! A retriever and the stages of its phases: one unit at a time.

use std::path::Path;
use std::sync::Arc;

use deft_core::{
    Context, Error, ErrorKind, Phase, PhaseDirs, Result, Retriever, Searcher, VectorStore,
};

use super::owners::builds_on;
use super::units::Outcome;
use crate::components::Plan;
use crate::pool::StoredPool;
use crate::services::HostServices;
use crate::store::Stage;
use crate::store::lock::Attempt;
use crate::truncation::write_of_unit;

/// The end of the names of vectors' files.
const VECTORS: &str = ".safetensors";

/// A retriever with the stages of its phases in the store.
pub struct Prepared {
    pub(super) retriever: Arc<dyn Retriever>,
    /// What it is, with everything that it leaves on disk and everything that changes its hits.
    pub fingerprint: String,
    pub(super) plan: Plan,
    pub(super) phases: Vec<(Phase, Stage)>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("phases", &self.phases).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The component whose phase it is: the retriever, or one below it.
    pub(super) fn owner(&self, phase: &Phase) -> &Plan {
        // It was found when the phase got its fingerprint.
        self.plan.below(phase.owner().0).unwrap_or(&self.plan)
    }

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

    /// The pool's vectors, where one of the phases keeps them.
    ///
    /// # Errors
    ///
    /// Those of [`VectorStore::open`].
    pub(super) fn vectors(&self) -> Result<Option<VectorStore>> {
        self.vectors_stage().map(|stage| VectorStore::open(stage.dir())).transpose()
    }

    /// Whether one of the phases keeps the pool's vectors, once it is done.
    pub(super) fn keeps_vectors(&self) -> bool {
        self.vectors_stage().is_some()
    }

    fn vectors_stage(&self) -> Option<&Stage> {
        let keeps = |(phase, _): &&(Phase, Stage)| phase.suffix == VECTORS && !phase.temporary;
        self.phases.iter().find(keeps).map(|(_, stage)| stage)
    }

    /// The units of the phase at a place that are to be done: none of one that is spent.
    pub(super) fn missing(&self, place: usize) -> Vec<usize> {
        if self.is_spent(place) {
            return Vec::new();
        }
        let (phase, stage) = &self.phases[place];
        stage.units_left(phase.units, &phase.suffix)
    }

    /// Whether the phase at a place is temporary, and all that it was for is done.
    pub(super) fn is_spent(&self, place: usize) -> bool {
        let phases = self.phases.iter().map(|(phase, _)| (phase.owner().0, phase.temporary));
        is_spent(&phases.collect::<Vec<_>>(), place, |later| {
            let (phase, stage) = &self.phases[later];
            (0..phase.units).all(|unit| stage.has_unit(unit, &phase.suffix))
        })
    }

    /// The place of a phase.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.phases.iter().position(|(phase, _)| phase.name == name)
    }

    /// The temporary phases with their stages, which are not used by this any more.
    pub(super) fn give_up_temporaries(&mut self) -> Vec<&(Phase, Stage)> {
        let mut given_up = Vec::new();
        for at in &mut self.phases {
            if at.0.temporary {
                at.1.give_up();
                given_up.push(&*at);
            }
        }
        given_up
    }

    /// Does one unit of a phase, unless it is done or somebody else is doing it. The services are of
    /// this unit alone, and `ctx` is over them.
    pub(super) fn try_unit(
        &self,
        (phase, stage): &(Phase, Stage),
        unit: usize,
        pool: &StoredPool,
        services: &HostServices,
        ctx: &Context<'_>,
    ) -> Result<Outcome> {
        if self.place_of(&phase.name).is_some_and(|place| self.is_spent(place)) {
            return Ok(Outcome::Done);
        }
        let lock = match stage.lock_unit(unit, &phase.suffix)? {
            Attempt::Taken(lock) => lock,
            Attempt::Busy(holder) => return Ok(Outcome::Busy(holder)),
        };
        if stage.has_unit(unit, &phase.suffix) {
            return Ok(Outcome::Done);
        }
        lock.tell(&phase.name);
        let dirs = self.dirs();
        stage.commit_unit(unit, &phase.suffix, |out: &Path| {
            self.retriever.run_unit(ctx, &phase.name, unit, &pool.view(), &dirs, out)?;
            write_of_unit(stage, unit, services.truncation())
        })?;
        Ok(Outcome::Done)
    }

    /// A phase by name, and its stage; the phases before it that it may build on must be complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is no such phase; [`ErrorKind::Unsupported`] naming the
    /// first phase that is not complete.
    pub(super) fn startable(&self, name: &str) -> Result<&(Phase, Stage)> {
        let names: Vec<_> = self.phases.iter().map(|(phase, _)| phase.name.as_str()).collect();
        let found = self.place_of(name).ok_or_else(|| {
            Error::option_at("", format!("there is no phase `{name}`"))
                .with_hint(format!("the phases are: {}", names.join(", ")))
        })?;
        let (owner, _) = self.phases[found].0.owner();
        for (place, (earlier, _)) in self.phases[..found].iter().enumerate() {
            let left = self.missing(place).len();
            if left > 0 && builds_on(owner, earlier.owner().0) {
                let message = format!("phase `{}` must be complete first", earlier.name);
                let done = format!("{} of {}", earlier.units - left, earlier.units);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .with_context("units done", done)
                    .with_hint(format!("do its units: `deft unit … --phase {}`", earlier.name)));
            }
        }
        Ok(&self.phases[found])
    }
}

/// Whether the phase at a place is temporary and those after it that may build on it, of which there are
/// some, are complete (by what `has_all` says of a place) or spent themselves. Of each phase it is said
/// whose it is, and whether it is temporary.
pub(super) fn is_spent(
    phases: &[(&str, bool)],
    place: usize,
    has_all: impl Fn(usize) -> bool,
) -> bool {
    let (owner, is_temporary) = phases[place];
    let builds = |at: &usize| builds_on(phases[*at].0, owner);
    let later: Vec<usize> = (place + 1..phases.len()).filter(builds).collect();
    let Some(&last) = later.last() else { return false };
    // Those between that are temporary themselves are spent for the same reason.
    let must_be_there = |at: &usize| !phases[*at].1 || *at == last;
    is_temporary && later.into_iter().filter(must_be_there).all(has_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of the phases that are spent, of phases that are temporary or not and complete or
    /// not.
    fn spent(phases: &[(bool, bool)]) -> Vec<usize> {
        let own: Vec<_> = phases.iter().map(|&(temporary, done)| ("", temporary, done)).collect();
        spent_of(&own)
    }

    /// The same, with whose they are in front.
    fn spent_of(phases: &[(&str, bool, bool)]) -> Vec<usize> {
        let temporary: Vec<_> = phases.iter().map(|&(owner, is, _)| (owner, is)).collect();
        let is = |place: &usize| is_spent(&temporary, *place, |at| phases[at].2);
        (0..phases.len()).filter(is).collect()
    }

    #[test]
    fn a_childs_temporary_phase_is_spent_whatever_its_sister_has_done() {
        let (kept, temporary) = (false, true);
        let first = [("rs[0]", temporary, false), ("rs[0]", kept, true), ("rs[1]", kept, false)];
        assert_eq!(spent_of(&first), [0]);
        let undone = [("rs[0]", temporary, true), ("rs[0]", kept, false), ("rs[1]", kept, true)];
        assert!(spent_of(&undone).is_empty());
        let alone = [("rs[0]", temporary, true), ("rs[1]", kept, true)];
        assert!(spent_of(&alone).is_empty(), "nothing after it is its own");
        let above = [("rs[0]", temporary, true), ("rs[0]", kept, true), ("", kept, false)];
        assert!(spent_of(&above).is_empty(), "the parent may build on it");
    }

    #[test]
    fn a_temporary_phase_is_spent_once_all_after_it_are_complete() {
        let (kept, temporary) = (false, true);
        assert_eq!(spent(&[(temporary, false), (kept, true), (kept, true)]), [0]);
        assert!(spent(&[(temporary, true), (kept, true), (kept, false)]).is_empty());
        assert!(spent(&[(kept, false), (kept, true)]).is_empty(), "what is kept must be there");
        // The second is only there for the third, as the first is.
        assert_eq!(spent(&[(temporary, false), (temporary, false), (kept, true)]), [0, 1]);
        assert!(spent(&[(kept, true), (temporary, true)]).is_empty(), "there is nothing after it");
        assert!(spent(&[(temporary, true), (temporary, false)]).is_empty());
    }
}
