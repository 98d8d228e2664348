//! Policies that draw at random.

use std::collections::{BTreeMap, HashSet};

use deft_core::Provenance;
use rand::seq::index;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The examples of a pool in a random order, each once: the first `size` of them in pool order, and
/// then those that take the place of refused ones.
pub fn random(pool: usize, size: usize, seed: u64) -> Drawn {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut first: Vec<u64> =
        index::sample(&mut rng, pool, size.min(pool)).into_iter().map(|id| id as u64).collect();
    first.sort_unstable();
    let known = first.iter().copied().collect();
    Drawn { pool: pool as u64, rng, first: first.into_iter(), known }
}

/// Ids that are drawn without replacement; memory grows with those drawn.
#[derive(Debug)]
pub struct Drawn {
    pool: u64,
    rng: ChaCha8Rng,
    first: std::vec::IntoIter<u64>,
    known: HashSet<u64>,
}

impl Iterator for Drawn {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if let Some(id) = self.first.next() {
            return Some(id);
        }
        if self.known.len() as u64 == self.pool {
            return None;
        }
        loop {
            let id = self.rng.random_range(0..self.pool);
            if self.known.insert(id) {
                return Some(id);
            }
        }
    }
}

/// Examples drawn evenly over data sets, then over the templates of each, then over the examples of
/// each: the balanced baseline of the paper.
///
/// Without replacement. A template, or a data set, that runs out leaves the draw: the others are then
/// drawn more often. Memory: 8 bytes for each example of the pool.
#[derive(Debug, Default)]
pub struct Balanced {
    /// Data sets by name, their templates by name, and the examples of each.
    groups: BTreeMap<String, BTreeMap<String, Vec<u64>>>,
}

impl Balanced {
    /// Adds an example of the pool.
    pub fn add(&mut self, id: u64, provenance: &Provenance) {
        let Provenance { dataset, template } = provenance;
        // Names are many times the same: they are copied for a new group alone.
        if let Some(ids) =
            self.groups.get_mut(dataset).and_then(|templates| templates.get_mut(template))
        {
            ids.push(id);
            return;
        }
        let templates = self.groups.entry(dataset.clone()).or_default();
        templates.insert(template.clone(), vec![id]);
    }

    /// Draws all examples, one after the other.
    pub fn draw(self, seed: u64) -> impl Iterator<Item = u64> {
        let templates = |templates: BTreeMap<String, Vec<u64>>| templates.into_values().collect();
        let mut datasets: Vec<Vec<Vec<u64>>> = self.groups.into_values().map(templates).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        std::iter::from_fn(move || {
            if datasets.is_empty() {
                return None;
            }
            let dataset = rng.random_range(0..datasets.len());
            let template = rng.random_range(0..datasets[dataset].len());
            let ids = &mut datasets[dataset][template];
            let id = ids.swap_remove(rng.random_range(0..ids.len()));
            if ids.is_empty() {
                datasets[dataset].swap_remove(template);
            }
            if datasets[dataset].is_empty() {
                datasets.swap_remove(dataset);
            }
            Some(id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_draws_are_distinct_seeded_and_all_of_the_pool_in_the_end() {
        let drawn = |seed| random(100, 10, seed).take(10).collect::<Vec<_>>();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).is_sorted());
        for size in [0, 3, 5, 9] {
            let mut all: Vec<u64> = random(5, size, 1).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4], "{size}");
        }
    }

    #[test]
    fn another_size_leaves_the_draw_uniform() {
        let mut counts = [0_u32; 10];
        for seed in 0..2000 {
            random(10, 2, seed).take(4).for_each(|id| counts[usize::try_from(id).unwrap()] += 1);
        }
        // 800 each, with a standard deviation of 22.
        assert!(counts.iter().all(|&count| (690..910).contains(&count)), "{counts:?}");
    }

    fn balanced(sizes: &[(&str, &str, usize)]) -> Balanced {
        let mut balanced = Balanced::default();
        let mut id = 0;
        for &(dataset, template, size) in sizes {
            let (dataset, template) = (dataset.to_owned(), template.to_owned());
            for _ in 0..size {
                let provenance =
                    Provenance { dataset: dataset.clone(), template: template.clone() };
                balanced.add(id, &provenance);
                id += 1;
            }
        }
        balanced
    }

    #[test]
    fn data_sets_and_then_templates_are_drawn_alike_whatever_their_size() {
        let sizes = [("a", "x", 4000), ("a", "y", 1000), ("b", "", 2000)];
        let drawn: Vec<u64> = balanced(&sizes).draw(3).take(1000).collect();
        let count =
            |range: std::ops::Range<u64>| drawn.iter().filter(|id| range.contains(id)).count();
        // 250, 250 and 500, with a standard deviation of at most 16.
        assert!((180..320).contains(&count(0..4000)), "{}", count(0..4000));
        assert!((180..320).contains(&count(4000..5000)));
        assert!((420..580).contains(&count(5000..7000)));
    }

    #[test]
    fn what_runs_out_leaves_the_draw_and_everything_is_drawn_once() {
        let sizes = [("a", "x", 3), ("a", "y", 1), ("b", "", 50)];
        let mut drawn: Vec<u64> = balanced(&sizes).draw(1).collect();
        assert_eq!(drawn, balanced(&sizes).draw(1).collect::<Vec<_>>());
        assert_ne!(drawn, balanced(&sizes).draw(2).collect::<Vec<_>>());
        drawn.sort_unstable();
        assert_eq!(drawn, (0..54).collect::<Vec<_>>());
    }
}
