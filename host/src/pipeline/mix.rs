//! What an arm trains on: parts of selections and of tasks' own examples, mixed into an epoch.

use std::collections::BTreeMap;

use deft_core::{Error, ErrorKind, Example, Examples, Fingerprint, Result};

use super::labelled::{Labelled, LabelledSources};
use super::schedule::{self, Place, Share};
use super::select::{Selection, Selections};
use super::{Run, arms};
use crate::manifest::{PartSource, Task};

/// Examples that a message names at most.
const NAMED: usize = 16;

/// What parts are taken from.
#[derive(Clone, Copy)]
pub(super) struct Supplies<'a> {
    pub(super) pool: &'a dyn Examples,
    pub(super) selections: &'a Selections,
    pub(super) labelled: &'a LabelledSources,
}

impl<'a> Supplies<'a> {
    /// The examples of a part for a task.
    fn origin(&self, source: PartSource<'a>, task: &str) -> Result<Origin<'a>> {
        let found = match source {
            PartSource::Selection(arm) => {
                let selection = self.selections.get(&(task.to_owned(), arm.to_owned()));
                selection.map(|selection| Origin::Selection { arm, pool: self.pool, selection })
            }
            PartSource::Task(task) => {
                self.labelled.training(task).map(|source| Origin::Task { task, source })
            }
        };
        found.ok_or_else(|| {
            let message = "what is to be trained on was neither selected nor read";
            Error::new(ErrorKind::Unexpected, message).with_context("source", format!("{source:?}"))
        })
    }
}

/// Where the examples of a part are.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// In the pool, read as they are asked for.
    Selection { arm: &'a str, pool: &'a dyn Examples, selection: &'a Selection },
    /// In memory.
    Task { task: &'a str, source: &'a Labelled },
}

impl Origin<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Selection { selection, .. } => selection.ids.len(),
            Self::Task { source, .. } => source.examples.len(),
        }
    }

    fn fingerprint(&self) -> &str {
        match self {
            Self::Selection { selection, .. } => &selection.fingerprint,
            Self::Task { source, .. } => &source.fingerprint,
        }
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        match self {
            Self::Selection { pool, selection, .. } => {
                let ids: Vec<usize> = positions.iter().map(|&i| selection.ids[i]).collect();
                pool.get(&ids)
            }
            Self::Task { source, .. } => source.examples.get(positions),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Selection { arm, .. } => format!("the selection of `{arm}`"),
            Self::Task { task, .. } => format!("the training_source of `{task}`"),
        }
    }

    /// These examples as the user knows them.
    fn name_examples(&self, positions: &[usize]) -> String {
        let word = match self {
            Self::Selection { .. } => "index_id",
            Self::Task { .. } => "position",
        };
        let number = |&position: &usize| match self {
            Self::Selection { selection, .. } => selection.ids[position].to_string(),
            Self::Task { .. } => position.to_string(),
        };
        let numbers: Vec<String> = positions.iter().map(number).collect();
        format!("{word} {} of {}", numbers.join(", "), self.name())
    }
}

/// A part of a mix.
#[derive(Clone, Copy)]
struct Part<'a> {
    origin: Origin<'a>,
    weight: f64,
    limit: Option<usize>,
}

impl Part<'_> {
    fn count(&self) -> usize {
        self.limit.map_or(self.origin.len(), |limit| limit.min(self.origin.len()))
    }

    fn share(&self) -> Share {
        Share { count: self.count(), weight: self.weight }
    }
}

/// The examples of an epoch.
pub(super) struct Mix<'a> {
    parts: Vec<Part<'a>>,
    order: Vec<Place>,
}

impl<'a> Mix<'a> {
    fn new(parts: Vec<Part<'a>>, seed: u64) -> Self {
        let shares: Vec<Share> = parts.iter().map(Part::share).collect();
        let order = schedule::epoch(&shares, seed);
        Self { parts, order }
    }

    /// Everything that can change an epoch, but the seed.
    pub(super) fn fingerprint(&self) -> String {
        let mut fingerprint = Fingerprint::new();
        for part in &self.parts {
            fingerprint = fingerprint
                .with(part.origin.fingerprint())
                .with(part.count().to_string())
                .with(part.weight.to_string());
        }
        fingerprint.short()
    }

    /// How many examples an epoch has and, of several parts, of each.
    pub(super) fn describe(&self) -> String {
        let all = format!("{} examples", self.order.len());
        if self.parts.len() == 1 {
            return all;
        }
        let of_part =
            |part: &Part<'_>| format!("{} of {}", part.share().entries(), part.origin.name());
        format!("{all} ({})", self.parts.iter().map(of_part).collect::<Vec<_>>().join(", "))
    }

    /// The pool examples in it, each once for each part that has it.
    pub(super) fn pool_ids(&self) -> Vec<usize> {
        let mut ids = Vec::new();
        for part in &self.parts {
            if let Origin::Selection { selection, .. } = part.origin {
                ids.extend_from_slice(&selection.ids[..part.count()]);
            }
        }
        ids
    }

    /// A trainer's error, with the user's names of the examples that it is about.
    pub(super) fn name_examples(&self, error: Error) -> Error {
        let one: Option<usize> = error.context("position").and_then(|text| text.parse().ok());
        let some: Option<Vec<usize>> =
            error.context("positions").and_then(|list| serde_json::from_str(list).ok());
        let positions = one.map(|position| vec![position]).or(some).unwrap_or_default();
        let known: Vec<Place> =
            positions.iter().filter_map(|&i| self.order.get(i).copied()).collect();
        if known.is_empty() { error } else { error.with_context("examples", self.names(&known)) }
    }

    fn names(&self, places: &[Place]) -> String {
        let mut by_part: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &(part, position) in places.iter().take(NAMED) {
            by_part.entry(part).or_default().push(position);
        }
        let name = |(part, positions): (usize, Vec<usize>)| {
            self.parts[part].origin.name_examples(&positions)
        };
        let mut names: Vec<String> = by_part.into_iter().map(name).collect();
        if places.len() > NAMED {
            names.push(format!("{} more", places.len() - NAMED));
        }
        names.join("; ")
    }

    fn place(&self, position: usize) -> Result<Place> {
        self.order.get(position).copied().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the mix has no such example")
                .with_context("position", position)
        })
    }
}

impl Examples for Mix<'_> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let mut by_part: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut places = Vec::with_capacity(positions.len());
        for &position in positions {
            let place = self.place(position)?;
            by_part.entry(place.0).or_default().push(place.1);
            places.push(place);
        }
        // One call for each part, as a pool wants it; then back into the order asked for.
        let mut found = BTreeMap::new();
        for (part, positions) in by_part {
            found.insert(part, self.parts[part].origin.get(&positions)?.into_iter());
        }
        let next = |(part, _): Place| found.get_mut(&part).and_then(Iterator::next);
        let examples: Vec<Example> = places.into_iter().filter_map(next).collect();
        if examples.len() == positions.len() {
            return Ok(examples);
        }
        Err(Error::new(ErrorKind::Unexpected, "a part of the mix gave fewer examples than asked"))
    }
}

impl Run {
    /// What an arm trains on for a task; `None` where it does not train.
    pub(super) fn mix<'a>(
        &'a self,
        task: &'a Task,
        arm: &'a str,
        seed: u64,
        supplies: &Supplies<'a>,
    ) -> Result<Option<Mix<'a>>> {
        if !arms::has_model(&self.manifest, arm) {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for (i, part) in self.manifest.parts_of(arm).iter().enumerate() {
            let origin = supplies.origin(part.source(arm, &task.name), &task.name)?;
            let part = Part { origin, weight: part.weight(), limit: part.limit() };
            if part.share().entries() == 0 {
                return Err(self.nothing_to_train_on(arm, i));
            }
            parts.push(part);
        }
        Ok(Some(Mix::new(parts, seed)))
    }

    fn nothing_to_train_on(&self, arm: &str, part: usize) -> Error {
        if self.manifest.arms[arm].train_on.is_none() {
            return Error::option_at(format!("arms.{arm}"), "nothing is selected to train on");
        }
        let path = format!("arms.{arm}.train_on[{part}]");
        Error::option_at(path, "no example of this part is left to train on")
            .with_hint("raise its `weight`, or what it is taken from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(name: &str, count: usize) -> Vec<Example> {
        let example = |i| Example { input: format!("{name} {i}"), ..Example::default() };
        (0..count).map(example).collect()
    }

    fn selection(ids: &[usize]) -> Selection {
        Selection { ids: ids.to_vec(), fingerprint: format!("{ids:?}") }
    }

    fn labelled(count: usize) -> Labelled {
        Labelled { examples: examples("own", count), fingerprint: count.to_string() }
    }

    fn of_pool<'a>(pool: &'a dyn Examples, selection: &'a Selection) -> Part<'a> {
        let origin = Origin::Selection { arm: "near", pool, selection };
        Part { origin, weight: 1.0, limit: None }
    }

    fn of_task(source: &Labelled) -> Part<'_> {
        Part { origin: Origin::Task { task: "mood", source }, weight: 1.0, limit: None }
    }

    fn inputs(mix: &Mix<'_>, positions: &[usize]) -> Vec<String> {
        mix.get(positions).unwrap().into_iter().map(|example| example.input).collect()
    }

    #[test]
    fn one_part_is_what_was_selected_in_its_order() {
        let (pool, selection) = (examples("pool", 9), selection(&[2, 5, 8]));
        let mix = Mix::new(vec![of_pool(&pool, &selection)], 1);
        assert_eq!(mix.len(), 3);
        assert_eq!(inputs(&mix, &[0, 1, 2]), ["pool 2", "pool 5", "pool 8"]);
        assert_eq!(mix.describe(), "3 examples");
        assert_eq!(mix.get(&[3]).unwrap_err().kind(), ErrorKind::Unexpected);
    }

    #[test]
    fn examples_of_several_parts_come_in_the_order_asked_for() {
        let (pool, selection, own) = (examples("pool", 9), selection(&[2, 5, 8, 7]), labelled(9));
        let own = Part { limit: Some(2), ..of_task(&own) };
        let mix = Mix::new(vec![of_pool(&pool, &selection), own], 1);
        let all = ["pool 2", "own 0", "pool 5", "pool 8", "own 1", "pool 7"];
        assert_eq!(inputs(&mix, &[0, 1, 2, 3, 4, 5]), all);
        assert_eq!(inputs(&mix, &[4, 0, 4]), ["own 1", "pool 2", "own 1"]);
        let told = "6 examples (4 of the selection of `near`, 2 of the training_source of `mood`)";
        assert_eq!(mix.describe(), told);
        assert_eq!(mix.pool_ids(), [2, 5, 8, 7]);
    }

    #[test]
    fn a_fingerprint_tells_parts_weights_limits_and_content_apart() {
        let (pool, few, more) = (examples("pool", 9), selection(&[2, 5]), selection(&[2, 5, 6]));
        let own = labelled(3);
        let (few, more, own) = (of_pool(&pool, &few), of_pool(&pool, &more), of_task(&own));
        let mut found = std::collections::BTreeSet::new();
        let mixes = [
            vec![few],
            vec![more],
            vec![own],
            vec![few, own],
            vec![own, few],
            vec![Part { weight: 2.0, ..few }, own],
            vec![few, Part { weight: 2.0, ..own }],
            vec![few, Part { limit: Some(2), ..own }],
        ];
        let count = mixes.len();
        found.extend(mixes.map(|parts| Mix::new(parts, 1).fingerprint()));
        assert_eq!(found.len(), count);
        // A limit that changes nothing changes no fingerprint.
        let limited = Mix::new(vec![few, Part { limit: Some(3), ..own }], 1);
        assert!(found.contains(&limited.fingerprint()));
    }

    #[test]
    fn a_trainers_error_names_examples_as_the_user_knows_them() {
        let (pool, selection, own) = (examples("pool", 9), selection(&[2, 5, 8, 7]), labelled(2));
        let mix = Mix::new(vec![of_pool(&pool, &selection), of_task(&own)], 1);
        let named = |key: &str, value: &str| {
            let error = Error::new(ErrorKind::Data, "no target").with_context(key, value);
            mix.name_examples(error).context("examples").map(str::to_owned)
        };
        let one = named("position", "2");
        assert_eq!(one.as_deref(), Some("index_id 5 of the selection of `near`"));
        let own = named("position", "4");
        assert_eq!(own.as_deref(), Some("position 1 of the training_source of `mood`"));
        let some = named("positions", "[5, 1, 0]");
        let told = "index_id 7, 2 of the selection of `near`; \
                    position 0 of the training_source of `mood`";
        assert_eq!(some.as_deref(), Some(told));
        let many = named("positions", &format!("{:?}", [0; 20])).unwrap();
        assert!(many.ends_with("; 4 more"), "{many}");
        for (key, value) in
            [("position", "6"), ("positions", "[9]"), ("positions", "x"), ("a", "1")]
        {
            assert_eq!(named(key, value), None);
        }
    }
}
