//! A child with its place, its phases' names here, and its errors.

use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;

/// A retriever among those that are fused.
#[derive(Clone)]
pub(crate) struct Member {
    retriever: Arc<dyn Retriever>,
    /// As in the manifest: `retrievers[0]`.
    place: String,
    /// The component's name.
    name: String,
    /// What its phases' names begin with here: `0-dense.`.
    prefix: String,
}

impl Member {
    /// The retrievers of a list.
    pub(crate) fn all(children: &Children, slot: &str) -> Result<Vec<Self>> {
        let retrievers = children.retrievers(slot)?;
        let named = children.list(slot)?.into_iter().zip(retrievers).enumerate();
        Ok(named
            .map(|(i, (child, retriever))| Self::new(slot, i, &child.name, retriever))
            .collect())
    }

    fn new(slot: &str, number: usize, name: &str, retriever: Arc<dyn Retriever>) -> Self {
        // `task/variant` has a separator, which no phase's name may have.
        let prefix = format!("{number}-{}.", name.replace('/', "-"));
        Self { retriever, place: format!("{slot}[{number}]"), name: name.to_owned(), prefix }
    }

    /// Its phases, passed on under names that no other member's have.
    pub(crate) fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        let phases = self.blame(self.retriever.phases(ctx, pool))?;
        let pass_on = |phase: Phase| {
            let name = format!("{}{}", self.prefix, phase.name);
            phase.passed_on(&self.place, name)
        };
        Ok(phases.into_iter().map(pass_on).collect())
    }

    /// Its own name for a phase, if it is its.
    pub(crate) fn own_name<'a>(&self, phase: &'a str) -> Option<&'a str> {
        phase.strip_prefix(self.prefix.as_str())
    }

    /// Does one unit of a phase, which has its own name for it.
    pub(crate) fn run_unit(
        &self,
        ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        let dirs = self.own_dirs(dirs);
        self.blame(self.retriever.run_unit(ctx, phase, unit, pool, &dirs, out))
    }

    /// Opens its finished phases.
    pub(crate) fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        self.blame(self.retriever.open(ctx, pool, &self.own_dirs(dirs)))
    }

    /// The folders of its phases, by its own names for them.
    fn own_dirs(&self, dirs: &PhaseDirs) -> PhaseDirs {
        let own =
            |(phase, dir): (&str, &Path)| Some((self.own_name(phase)?.to_owned(), dir.to_owned()));
        PhaseDirs::new(dirs.iter().filter_map(own).collect())
    }

    /// Names it in its error; an option in it has its whole path already.
    pub(crate) fn blame<T>(&self, result: Result<T>) -> Result<T> {
        result
            .map_err(|error| error.with_context("child", format!("{} ({})", self.place, self.name)))
    }
}
