//! What a run may take of disk and memory, and what is said when it would take more.

use std::path::Path;

use deft_core::{Error, ErrorKind, Phase, Result};
use serde::Serialize;
use serde_json::Value;

use super::units::threads_of_unit;
use super::{Prepared, Run};
use crate::console::{human_size, whole_number};
use crate::machine;

/// What a run may take, as its user says.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitOptions {
    /// Bytes on disk instead of what is free.
    pub disk: Option<u64>,
    /// Bytes of memory instead of what is available.
    pub memory: Option<u64>,
    /// Whether what does not fit is tried all the same.
    pub ignored: bool,
}

/// What there is for a run, in bytes; `None` where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// On the disk of the store.
    pub store_disk: Option<u64>,
    /// On the disk of the run's folder.
    pub run_disk: Option<u64>,
    /// Whether these are one disk.
    pub is_one_disk: bool,
    /// Memory.
    pub memory: Option<u64>,
}

/// Of what there is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Disk,
    Memory,
}

/// A stage that takes more than there is.
pub(super) struct Excess<'a> {
    pub(super) stage: &'a str,
    pub(super) of: &'a str,
    pub(super) resource: Resource,
    pub(super) needed: u64,
    /// What the stages before it take of the same.
    pub(super) before: u64,
    pub(super) available: u64,
    pub(super) folder: Option<&'a Path>,
    pub(super) remedies: &'a [String],
}

impl Excess<'_> {
    pub(super) fn error(&self) -> Error {
        let (place, has) = match self.resource {
            Resource::Disk => ("on the disk", "free"),
            Resource::Memory => ("in memory", "available"),
        };
        let message = format!("`{}` ({}) does not fit {place}", self.stage, self.of);
        let mut error = Error::new(ErrorKind::Unsupported, message)
            .with_context("needed, about", human_size(self.needed));
        if self.before > 0 {
            error = error.with_context("by stages before it", human_size(self.before));
        }
        error = error.with_context(has, human_size(self.available));
        if let Some(folder) = self.folder {
            error = error.with_context("folder", folder.display());
        }
        let what = self.remedies.join("; ");
        error.with_hint(format!("{what}; `--ignore-limits` tries all the same"))
    }
}

/// Options of retrievers, by agreement, that decide how much a stage takes; a dot leads to a child's.
const KNOBS: [(&str, &str, Resource, &str); 6] = [
    ("encode", "vectors", Resource::Disk, "store smaller numbers"),
    ("index", "index.factory", Resource::Disk, "take shorter codes"),
    ("index", "rows_per_unit", Resource::Memory, "build fewer rows at once"),
    ("index", "index.factory", Resource::Memory, "take shorter codes"),
    ("index", "index_memory_mb", Resource::Memory, "lower the budget"),
    ("search", "index.factory", Resource::Memory, "take shorter codes"),
];

impl Run {
    pub(super) fn limits(&self) -> Limits {
        let LimitOptions { disk, memory, .. } = self.options.limits;
        let (store, run) = (self.store.root(), self.dir());
        Limits {
            store_disk: disk.or_else(|| machine::free_disk(store)),
            run_disk: disk.or_else(|| machine::free_disk(run)),
            is_one_disk: disk.is_some() || machine::disk_of(store) == machine::disk_of(run),
            memory: memory.or_else(machine::available_memory),
        }
    }

    /// How many units of a phase are done at once, of so many.
    pub(super) fn units_at_once(&self, phase: &Phase, units: usize) -> usize {
        let at_once = match self.options.workers {
            0 => self.threads / threads_of_unit(phase, self.threads).max(1),
            workers => workers,
        };
        at_once.clamp(1, units.max(1))
    }

    /// Refuses, or warns of, the units of a phase that would not fit by the retriever's own word.
    pub(super) fn check_limits(
        &self,
        prepared: &Prepared,
        phase: &Phase,
        missing: usize,
    ) -> Result<()> {
        let limits = self.limits();
        let disk = phase.disk.map(|disk| share_of(disk, missing, phase.units));
        let at_once = self.units_at_once(phase, missing) as u64;
        let memory = phase.memory.map(|memory| memory.saturating_mul(at_once));
        let (owner, (_, own_name)) = (prepared.owner(phase), phase.owner());
        let block = (owner.completed(), owner.path());
        for (resource, needed, available) in
            [(Resource::Disk, disk, limits.store_disk), (Resource::Memory, memory, limits.memory)]
        {
            let (Some(needed), Some(available)) = (needed, available) else { continue };
            if needed <= available {
                continue;
            }
            let excess = Excess {
                stage: &phase.name,
                of: prepared.plan.name(),
                resource,
                needed,
                before: 0,
                available,
                folder: (resource == Resource::Disk).then(|| self.store.root()),
                remedies: &self.remedies(own_name, resource, Some((&block.0, block.1))),
            };
            if !self.options.limits.ignored {
                return Err(excess.error());
            }
            log::warn!("{}", excess.error());
        }
        Ok(())
    }

    /// What to change for a stage to take less, the most telling first.
    pub(super) fn remedies(
        &self,
        stage: &str,
        resource: Resource,
        block: Option<(&Value, &str)>,
    ) -> Vec<String> {
        let mut found = block.map_or_else(Vec::new, |block| knobs(stage, resource, block));
        let mut add = |text: &str| found.push(text.to_owned());
        match (resource, stage) {
            (Resource::Disk, "train" | "evaluate") => add("train fewer arms or seeds"),
            (Resource::Memory, "train" | "evaluate") => {
                add("take a smaller model, or smaller batches, in `trainer`");
            }
            _ => add("take fewer rows with `limit` in the entries of `pool`"),
        }
        if resource == Resource::Disk {
            add("free space, or give a larger disk with --store or --run");
        } else if self.options.workers > 1 {
            add("give fewer --workers");
        } else if self.threads > 1 {
            add("give fewer --threads, so that fewer units are done at once");
        }
        found
    }
}

/// The options of a component's block that a stage's need follows from.
fn knobs(stage: &str, resource: Resource, (block, path): (&Value, &str)) -> Vec<String> {
    let fits = |knob: &&(&str, &str, Resource, &str)| (knob.0, knob.2) == (stage, resource);
    let tell = |(_, option, _, what): &(&str, &str, Resource, &str)| {
        let pointer = format!("/{}", option.replace('.', "/"));
        let value = block.pointer(&pointer)?;
        Some(format!("{what} with `{path}.{option}` (now {value})"))
    };
    KNOBS.iter().filter(fits).filter_map(tell).collect()
}

/// What so many of a phase's units take of what all take.
pub(super) fn share_of(all: u64, units: usize, of: usize) -> u64 {
    whole_number(all as f64 * units as f64 / of.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_excess_names_stage_need_what_there_is_and_what_to_change() {
        let remedies = ["take less".to_owned(), "free space".to_owned()];
        let excess = Excess {
            stage: "index",
            of: "dense",
            resource: Resource::Disk,
            needed: 413_000_000_000,
            before: 4_000_000,
            available: 68_000_000_000,
            folder: Some(Path::new("runs/.store")),
            remedies: &remedies,
        };
        let error = excess.error();
        let told = "`index` (dense) does not fit on the disk (needed, about: 413 GB, \
                    by stages before it: 4.0 MB, free: 68 GB, folder: runs/.store)";
        assert_eq!(error.to_string(), told);
        let hint = "take less; free space; `--ignore-limits` tries all the same";
        assert_eq!(error.hint(), Some(hint));
        let excess = Excess { resource: Resource::Memory, before: 0, folder: None, ..excess };
        let told = "`index` (dense) does not fit in memory (needed, about: 413 GB, \
                    available: 68 GB)";
        assert_eq!(excess.error().to_string(), told);
    }

    #[test]
    fn the_options_named_are_those_that_the_retriever_has() {
        let block = json!({
            "use": "dense", "vectors": "f32", "rows_per_unit": 300,
            "index": { "use": "faiss", "factory": "Flat" },
        });
        let knobs = |stage, resource| knobs(stage, resource, (&block, "retriever"));
        let disk = knobs("encode", Resource::Disk);
        assert_eq!(disk, ["store smaller numbers with `retriever.vectors` (now \"f32\")"]);
        let memory = knobs("index", Resource::Memory);
        assert_eq!(memory.len(), 2);
        assert!(memory[0].contains("`retriever.rows_per_unit` (now 300)"), "{memory:?}");
        assert!(knobs("search", Resource::Disk).is_empty());
    }

    #[test]
    fn the_units_that_are_left_take_their_share() {
        assert_eq!(share_of(1000, 1, 4), 250);
        assert_eq!(share_of(u64::MAX, 0, 4), 0);
        assert_eq!(share_of(7, 0, 0), 0);
    }
}
