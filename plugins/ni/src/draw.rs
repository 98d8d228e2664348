//! Which instances of a task are taken.

use std::collections::HashMap;

use deft_splits::PythonRandom;

use crate::config::{NiConfig, SplitName, Variant};
use crate::task::Instance;

/// Of a task to evaluate on, these instances are the benchmark: its authors put them first, and
/// balanced their labels.
const BENCHMARK: usize = 100;

/// The instances that are taken of a task, in a random order where their number is capped.
pub(crate) fn taken(mut instances: Vec<Instance>, config: &NiConfig) -> Vec<Instance> {
    if config.split == Some(SplitName::Test) {
        instances.truncate(BENCHMARK);
    }
    if let Some(most) = config.instances_per_task {
        PythonRandom::new(config.seed).shuffle(&mut instances);
        match config.variant {
            Variant::Paper => instances.truncate(most),
            Variant::Fixed => instances = balanced(instances, most),
        }
    }
    instances
}

/// At most so many instances, as evenly of all labels as there are instances of them, in their
/// order. A label is the first output: where each instance has its own, the first are taken.
fn balanced(instances: Vec<Instance>, most: usize) -> Vec<Instance> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut places: Vec<(usize, usize)> = Vec::with_capacity(instances.len());
    for (place, instance) in instances.iter().enumerate() {
        let label = instance.output.first().map(|output| output.trim().to_lowercase());
        let before = seen.entry(label.unwrap_or_default()).or_default();
        places.push((*before, place));
        *before += 1;
    }
    // The first of every label come before the second of any.
    places.sort_unstable();
    let mut is_taken = vec![false; instances.len()];
    for &(_, place) in places.iter().take(most) {
        is_taken[place] = true;
    }
    let taken = instances.into_iter().zip(is_taken).filter(|(_, is_taken)| *is_taken);
    taken.map(|(instance, _)| instance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instances(outputs: &[&str]) -> Vec<Instance> {
        let instance = |(id, output): (usize, &&str)| Instance {
            id: id.to_string(),
            input: String::new(),
            output: vec![(*output).to_owned()],
        };
        outputs.iter().enumerate().map(instance).collect()
    }

    fn ids(instances: &[Instance]) -> Vec<&str> {
        instances.iter().map(|instance| instance.id.as_str()).collect()
    }

    #[test]
    fn the_paper_takes_the_first_of_pythons_shuffle() {
        let config = NiConfig {
            variant: Variant::Paper,
            instances_per_task: Some(4),
            ..NiConfig::default()
        };
        let taken = taken(instances(&["x"; 10]), &config);
        assert_eq!(ids(&taken), ["7", "3", "2", "8"]);
    }

    #[test]
    fn labels_are_taken_evenly_as_far_as_they_go() {
        let few = balanced(instances(&["a", "A ", "a", "b", "a", "c"]), 4);
        assert_eq!(ids(&few), ["0", "1", "3", "5"]);
        let distinct = balanced(instances(&["a", "b", "c", "d"]), 2);
        assert_eq!(ids(&distinct), ["0", "1"]);
        assert_eq!(balanced(instances(&["a", "b"]), 9).len(), 2);
    }

    #[test]
    fn a_test_task_has_its_first_hundred_and_no_cap_keeps_the_order() {
        let all = || instances(&["x"; 150]);
        let config = NiConfig { instances_per_task: None, ..NiConfig::default() };
        assert_eq!(taken(all(), &config), all());
        let config = NiConfig { split: Some(SplitName::Test), ..config };
        assert_eq!(taken(all(), &config), all()[..100]);
        let capped = NiConfig { instances_per_task: Some(1000), ..config };
        let mut taken = taken(all(), &capped);
        assert_ne!(ids(&taken[..3]), ["0", "1", "2"]);
        taken.sort_by_key(|instance| instance.id.parse::<usize>().unwrap());
        assert_eq!(taken, all()[..100]);
    }
}
