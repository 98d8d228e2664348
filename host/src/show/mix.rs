//! What a selection is made of.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use deft_core::excerpt;
use serde::{Deserialize, Serialize};

use crate::pool::Sources;

/// How many of the most selected examples are told.
const MOST: usize = 10;

/// What a selection is made of, held against the pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mix {
    /// Examples selected.
    pub examples: usize,
    /// Examples whose input, letter for letter, another one has that comes before.
    pub repeated_inputs: usize,
    /// Where they come from, the largest share first.
    pub datasets: Vec<DatasetShare>,
    /// The ten that most queries have among their hits, where a search selected.
    pub most_selected: Vec<Frequent>,
}

/// A data set's part of a selection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetShare {
    /// The data set; empty where the source does not tell.
    pub dataset: String,
    /// What it has of the selection, and of the pool.
    #[serde(flatten)]
    pub part: Part,
    /// Its templates, the largest share first.
    pub templates: Vec<TemplateShare>,
}

/// A template's part of a selection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TemplateShare {
    /// The template; empty where the source does not tell.
    pub template: String,
    /// What it has of the selection, and of the pool.
    #[serde(flatten)]
    pub part: Part,
}

/// A part of a selection, and the same part of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Part {
    /// Examples of the selection.
    pub examples: usize,
    /// They as a share of the selection.
    pub share: f64,
    /// The share of the pool; not told where the pool is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_share: Option<f64>,
    /// The one by the other: above 1, the selection prefers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// An example that many queries have among their hits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frequent {
    /// Its position in the pool.
    pub index_id: u64,
    /// How many queries have it.
    pub attribution_frequency: u32,
    /// Its data set.
    pub dataset: String,
    /// Its template.
    pub template: String,
    /// The beginning of its input.
    pub head: String,
}

/// A line of `selection.jsonl`, as far as it is looked at.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SelectedLine {
    input: String,
    index_id: u64,
    #[serde(default)]
    dataset: String,
    #[serde(default)]
    template: String,
    #[serde(default)]
    attribution_frequency: Option<u32>,
}

/// A selection, counted line by line: what is kept of an example are two numbers.
#[derive(Debug, Default)]
pub(super) struct Counted {
    ids: Vec<u64>,
    inputs: HashSet<u64>,
    sources: Sources,
    most: Vec<Frequent>,
}

impl Counted {
    pub(super) fn add(&mut self, line: SelectedLine) {
        self.ids.push(line.index_id);
        let mut hasher = DefaultHasher::new();
        line.input.hash(&mut hasher);
        self.inputs.insert(hasher.finish());
        if let Some(frequency) = line.attribution_frequency {
            self.add_frequent(frequency, &line);
        }
        let templates = self.sources.entry(line.dataset).or_default();
        *templates.entry(line.template).or_default() += 1;
    }

    fn add_frequent(&mut self, frequency: u32, line: &SelectedLine) {
        let key = (Reverse(frequency), line.index_id);
        let is_before = |one: &Frequent| (Reverse(one.attribution_frequency), one.index_id) < key;
        let place = self.most.partition_point(is_before);
        if place == MOST {
            return;
        }
        let one = Frequent {
            index_id: line.index_id,
            attribution_frequency: frequency,
            dataset: line.dataset.clone(),
            template: line.template.clone(),
            head: excerpt(&line.input),
        };
        self.most.insert(place, one);
        self.most.truncate(MOST);
    }

    /// What was counted, held against the pool, and the ids in order.
    pub(super) fn finish(mut self, pool: Option<&Sources>) -> (Mix, Vec<u64>) {
        self.ids.sort_unstable();
        let examples = self.ids.len();
        let pool = pool.map(|sources| (sources, total(sources)));
        let mix = Mix {
            examples,
            repeated_inputs: examples - self.inputs.len(),
            datasets: shares(self.sources, examples, pool),
            most_selected: self.most,
        };
        (mix, self.ids)
    }
}

/// Examples of all sources together.
fn total(sources: &Sources) -> usize {
    sources.values().flat_map(BTreeMap::values).sum()
}

fn shares(sources: Sources, size: usize, pool: Option<(&Sources, usize)>) -> Vec<DatasetShare> {
    let part = |examples: usize, in_pool: Option<usize>| {
        let share = examples as f64 / size.max(1) as f64;
        let pool_share =
            pool.map(|(_, rows)| in_pool.unwrap_or_default() as f64 / rows.max(1) as f64);
        // Of a pool that has none of it, the selection is not made.
        let ratio = pool_share.filter(|share| *share > 0.0).map(|pool| share / pool);
        Part { examples, share, pool_share, ratio }
    };
    let mut datasets = Vec::with_capacity(sources.len());
    for (dataset, templates) in sources {
        let known = pool.and_then(|(sources, _)| sources.get(&dataset));
        let of_template = |(template, &examples): (&String, &usize)| {
            let in_pool = known.and_then(|known| known.get(template)).copied();
            TemplateShare { template: template.clone(), part: part(examples, in_pool) }
        };
        let mut found: Vec<TemplateShare> = templates.iter().map(of_template).collect();
        // Among equals the order is that of their names.
        found.sort_by_key(|one| Reverse(one.part.examples));
        let (examples, in_pool) = (templates.values().sum(), known.map(|k| k.values().sum()));
        datasets.push(DatasetShare { dataset, part: part(examples, in_pool), templates: found });
    }
    datasets.sort_by_key(|one| Reverse(one.part.examples));
    datasets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(
        index_id: u64,
        source: (&str, &str),
        input: &str,
        frequency: Option<u32>,
    ) -> SelectedLine {
        SelectedLine {
            input: input.to_owned(),
            index_id,
            dataset: source.0.to_owned(),
            template: source.1.to_owned(),
            attribution_frequency: frequency,
        }
    }

    fn counted(lines: Vec<SelectedLine>) -> Counted {
        let mut counted = Counted::default();
        for line in lines {
            counted.add(line);
        }
        counted
    }

    #[test]
    fn shares_are_held_against_those_of_the_pool_the_largest_first() {
        let lines = || {
            vec![
                line(9, ("a", "t"), "one", None),
                line(3, ("b", "t"), "two", None),
                line(5, ("b", "u"), "one", None),
                line(1, ("b", "u"), "four", None),
            ]
        };
        let pool: Sources = [("a", "t", 50), ("b", "t", 10), ("b", "u", 20), ("c", "t", 20)]
            .into_iter()
            .fold(Sources::new(), |mut pool, (dataset, template, rows)| {
                let templates = pool.entry(dataset.to_owned()).or_default();
                templates.insert(template.to_owned(), rows);
                pool
            });
        let (mix, ids) = counted(lines()).finish(Some(&pool));
        assert_eq!(ids, [1, 3, 5, 9]);
        assert_eq!((mix.examples, mix.repeated_inputs), (4, 1));
        let (first, second) = (&mix.datasets[0], &mix.datasets[1]);
        assert_eq!((first.dataset.as_str(), second.dataset.as_str()), ("b", "a"));
        let part =
            Part { examples: 3, share: 0.75, pool_share: Some(0.3), ratio: Some(0.75 / 0.3) };
        assert_eq!(first.part, part);
        assert_eq!(first.templates[0].template, "u");
        assert_eq!(first.templates[0].part.ratio, Some(0.5 / 0.2));
        let (mix, _) = counted(lines()).finish(None);
        let part = Part { examples: 1, share: 0.25, pool_share: None, ratio: None };
        assert_eq!(mix.datasets[1].part, part);
    }

    #[test]
    fn the_most_selected_are_ten_in_order_of_frequency_and_then_of_position() {
        let lines = (0..30_u32).map(|i| line(u64::from(40 - i), ("d", "t"), "x", Some(i % 3)));
        let (mix, _) = counted(lines.collect()).finish(None);
        let ids: Vec<u64> = mix.most_selected.iter().map(|one| one.index_id).collect();
        assert_eq!(ids, [11, 14, 17, 20, 23, 26, 29, 32, 35, 38]);
        assert!(mix.most_selected.iter().all(|one| one.attribution_frequency == 2));
        let none = counted(vec![line(1, ("d", "t"), "x", None)]).finish(None).0;
        assert_eq!(none.most_selected, []);
    }
}
