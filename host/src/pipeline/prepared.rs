//! A retriever and the stages of its phases: one unit at a time.

use std::path::Path;
use std::sync::Arc;

use deft_core::{Context, Error, ErrorKind, Phase, PhaseDirs, Result, Retriever, Searcher};

use super::units::Outcome;
use crate::components::Plan;
use crate::pool::StoredPool;
use crate::store::Stage;
use crate::store::lock::Attempt;

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

    /// Does one unit of a phase, unless it is done or somebody else is doing it.
    pub(super) fn try_unit(
        &self,
        (phase, stage): &(Phase, Stage),
        unit: usize,
        pool: &StoredPool,
        ctx: &Context<'_>,
    ) -> Result<Outcome> {
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
            self.retriever.run_unit(ctx, &phase.name, unit, &pool.view(), &dirs, out)
        })?;
        Ok(Outcome::Done)
    }

    /// A phase by name, and its stage; the phases before it must be complete.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is no such phase; [`ErrorKind::Unsupported`] naming the
    /// first phase that is not complete.
    pub(super) fn startable(&self, name: &str) -> Result<&(Phase, Stage)> {
        let names: Vec<_> = self.phases.iter().map(|(phase, _)| phase.name.as_str()).collect();
        let found = names.iter().position(|phase| *phase == name).ok_or_else(|| {
            Error::option_at("", format!("there is no phase `{name}`"))
                .with_hint(format!("the phases are: {}", names.join(", ")))
        })?;
        for (earlier, stage) in &self.phases[..found] {
            let left = stage.units_left(earlier.units, &earlier.suffix).len();
            if left > 0 {
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
