//! Which examples are trained on when.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::config::TrainerConfig;

/// The examples of every optimizer step.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    examples: usize,
    /// Examples of a full step.
    group: usize,
    total_steps: usize,
    /// Steps from one validation to the next.
    validate_every: usize,
    /// The seed of the epochs' orders; `None` keeps the given order.
    shuffle: Option<u64>,
}

/// The examples of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) positions: Vec<usize>,
    /// Times that all examples have been trained on before.
    pub(crate) epoch: u64,
}

impl Order {
    /// An order of at least one example.
    pub(crate) fn new(config: &TrainerConfig, examples: usize, seed: u64) -> Self {
        let group = config.batch_size.saturating_mul(config.gradient_accumulation);
        let epoch_steps = examples.div_ceil(group);
        let total_steps = config.steps.unwrap_or(config.epochs.saturating_mul(epoch_steps));
        // With `steps` an epoch may be a few of them: they would do little but validate.
        let between = config.steps.unwrap_or(epoch_steps);
        Self {
            examples,
            group,
            total_steps,
            validate_every: config.validate_every.unwrap_or(between),
            shuffle: config.shuffle.then_some(seed),
        }
    }

    pub(crate) fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// Whether a step is the last of its epoch, or of all.
    pub(crate) fn ends_epoch(&self, step: usize) -> bool {
        self.is_last_of(step, self.examples.div_ceil(self.group))
    }

    /// Whether the model is validated after so many steps.
    pub(crate) fn is_validated(&self, step: usize) -> bool {
        self.is_last_of(step, self.validate_every)
    }

    fn is_last_of(&self, step: usize, every: usize) -> bool {
        step > 0 && (step == self.total_steps || step.is_multiple_of(every))
    }

    /// All steps: epoch after epoch; an epoch's last group may be smaller.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        (0..).flat_map(|epoch| self.epoch(epoch)).take(self.total_steps)
    }

    fn epoch(&self, epoch: u64) -> impl Iterator<Item = Group> + use<> {
        let mut positions: Vec<usize> = (0..self.examples).collect();
        if let Some(seed) = self.shuffle {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(epoch);
            positions.shuffle(&mut rng);
        }
        let (size, steps) = (self.group, self.examples.div_ceil(self.group));
        (0..steps).map(move |step| Group {
            positions: positions[step * size..positions.len().min((step + 1) * size)].to_vec(),
            epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(shuffle: Option<u64>, total_steps: usize) -> Order {
        Order { examples: 5, group: 2, total_steps, validate_every: 3, shuffle }
    }

    #[test]
    fn the_given_order_goes_round_until_the_steps_are_done() {
        let groups: Vec<_> = order(None, 5).groups().map(|group| group.positions).collect();
        assert_eq!(groups, [vec![0, 1], vec![2, 3], vec![4], vec![0, 1], vec![2, 3]]);
        let order = order(None, 5);
        assert_eq!(
            [1, 2, 3, 4, 5].map(|step| order.ends_epoch(step)),
            [false, false, true, false, true]
        );
    }

    #[test]
    fn validations_follow_epochs_unless_steps_or_their_distance_are_given() {
        let check = |options: serde_json::Value, wanted: &[usize]| {
            let mut all = serde_json::json!({"model": "m", "gradient_accumulation": 2});
            for (key, value) in options.as_object().expect("an object") {
                all[key] = value.clone();
            }
            let config = deft_core::options::parse(&all).expect("options");
            let order = Order::new(&config, 5, 1);
            let steps: Vec<_> =
                (0..=order.total_steps()).filter(|&step| order.is_validated(step)).collect();
            assert_eq!(steps, wanted, "{options}");
        };
        check(serde_json::json!({"epochs": 3}), &[3, 6, 9]);
        check(serde_json::json!({"steps": 20}), &[20]);
        check(serde_json::json!({"steps": 20, "validate_every": 8}), &[8, 16, 20]);
        check(serde_json::json!({"epochs": 2, "validate_every": 4}), &[4, 6]);
    }

    #[test]
    fn shuffled_epochs_differ_hold_every_example_and_are_repeatable() {
        let epochs = |seed| -> Vec<Vec<usize>> {
            let groups: Vec<_> = order(Some(seed), 6).groups().collect();
            groups.chunks(3).map(|e| e.iter().flat_map(|g| g.positions.clone()).collect()).collect()
        };
        let (first, mut sorted) = (epochs(1), epochs(1)[0].clone());
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4]);
        assert_ne!(first[0], first[1]);
        assert_eq!(first, epochs(1));
        assert_ne!(first, epochs(2));
    }
}
