//! Where in the store the stages of a run are.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use deft_core::{Phase, Result, part_name};
use serde::{Deserialize, Serialize};

use super::arms;
use super::prepared::is_spent;
use crate::manifest::Manifest;
use crate::store;

/// `stages.json` of a run: where in the store the stages are that it works on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Stages {
    #[serde(skip)]
    path: PathBuf,
    #[serde(default)]
    pub(super) pool: PathBuf,
    /// The phases of each arm that searches.
    #[serde(default)]
    arms: BTreeMap<String, Vec<StagePlace>>,
}

/// A phase, and the folder of its stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StagePlace {
    pub(super) retriever: String,
    pub(super) phase: String,
    pub(super) units: usize,
    pub(super) suffix: String,
    pub(super) dir: PathBuf,
    /// Whether what lies there may be removed once the phases after it are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) temporary: bool,
    /// The place of the component below the retriever whose phase it is; empty for the retriever's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) owner: String,
}

impl StagePlace {
    /// The unit whose output has this name.
    pub(super) fn unit_of(&self, name: &str) -> Option<usize> {
        let number = name.strip_prefix("part-")?.strip_suffix(&self.suffix)?;
        let unit = number.parse().ok().filter(|unit| *unit < self.units)?;
        (part_name(unit, &self.suffix) == name).then_some(unit)
    }
}

impl Stages {
    pub(super) fn of_run(dir: &Path) -> Self {
        Self { path: dir.join("stages.json"), ..Self::default() }
    }

    pub(super) fn set_pool(&mut self, dir: &Path) -> Result<()> {
        dir.clone_into(&mut self.pool);
        self.write()
    }

    /// The phases of an arm, instead of those that it had.
    pub(super) fn set_phases(
        &mut self,
        arm: &str,
        retriever: &str,
        phases: &[(Phase, store::Stage)],
    ) -> Result<()> {
        let place = |(phase, stage): &(Phase, store::Stage)| StagePlace {
            retriever: retriever.to_owned(),
            phase: phase.name.clone(),
            units: phase.units,
            suffix: phase.suffix.clone(),
            dir: stage.dir().to_owned(),
            temporary: phase.temporary,
            owner: phase.owner().0.to_owned(),
        };
        self.arms.insert(arm.to_owned(), phases.iter().map(place).collect());
        self.write()
    }

    /// The names of all stages, as folders of the store.
    pub(super) fn names(&self) -> Vec<String> {
        let dirs = self.arms.values().flatten().map(|place| &place.dir);
        let mut names: Vec<String> = std::iter::once(&self.pool)
            .chain(dirs)
            .filter_map(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Writes the file where it would change: several units of one run may start at once.
    fn write(&self) -> Result<()> {
        let known: Self = store::read_json(&self.path).unwrap_or_default();
        let mut wanted = self.clone();
        if known.pool == self.pool {
            // A unit knows the phases of one arm.
            for (arm, places) in &known.arms {
                wanted.arms.entry(arm.clone()).or_insert_with(|| places.clone());
            }
        }
        let is_known = known.pool == wanted.pool && known.arms == wanted.arms;
        if is_known { Ok(()) } else { store::write_json(&self.path, &wanted) }
    }

    /// The phases of the arms that search, each once though several arms may share it.
    pub(super) fn places(&self, manifest: &Manifest) -> Vec<&StagePlace> {
        let mut met = HashSet::new();
        self.searching(manifest).flatten().filter(|place| met.insert(&place.dir)).collect()
    }

    /// The phases of each arm that searches.
    fn searching<'a>(&'a self, manifest: &Manifest) -> impl Iterator<Item = &'a Vec<StagePlace>> {
        let searching = manifest.arms.keys().filter(move |arm| arms::needs_hits(manifest, arm));
        searching.filter_map(move |arm| self.arms.get(arm))
    }

    /// The places that are temporary and that no arm needs any more: all after them has been done, by
    /// what `has_all` says of a place.
    pub(super) fn spent(
        &self,
        manifest: &Manifest,
        has_all: impl Fn(&StagePlace) -> bool,
    ) -> HashSet<&Path> {
        let (mut spent, mut needed) = (HashSet::new(), HashSet::new());
        for places in self.searching(manifest) {
            let phases: Vec<_> =
                places.iter().map(|place| (place.owner.as_str(), place.temporary)).collect();
            for (at, place) in places.iter().enumerate() {
                let is_spent = is_spent(&phases, at, |later| has_all(&places[later]));
                let one_of = if is_spent { &mut spent } else { &mut needed };
                one_of.insert(place.dir.as_path());
            }
        }
        spent.retain(|dir| !needed.contains(dir));
        spent
    }
}
