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
    /// The seed of the epochs' orders; `None` keeps the given order.
    shuffle: Option<u64>,
}

/// The examples of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) positions: Vec<usize>,
    /// Times that all examples have been trained on before.
    pub(crate) epoch: u64,
    pub(crate) ends_epoch: bool,
}

impl Order {
    /// An order of at least one example.
    pub(crate) fn new(config: &TrainerConfig, examples: usize, seed: u64) -> Self {
        let group = config.batch_size.saturating_mul(config.gradient_accumulation);
        let total_steps =
            config.steps.unwrap_or(config.epochs.saturating_mul(examples.div_ceil(group)));
        Self { examples, group, total_steps, shuffle: config.shuffle.then_some(seed) }
    }

    pub(crate) fn total_steps(&self) -> usize {
        self.total_steps
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
            ends_epoch: step + 1 == steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(shuffle: Option<u64>, total_steps: usize) -> Order {
        Order { examples: 5, group: 2, total_steps, shuffle }
    }

    #[test]
    fn the_given_order_goes_round_until_the_steps_are_done() {
        let groups: Vec<_> = order(None, 5).groups().map(|group| group.positions).collect();
        assert_eq!(groups, [vec![0, 1], vec![2, 3], vec![4], vec![0, 1], vec![2, 3]]);
        let ends: Vec<_> = order(None, 5).groups().map(|group| group.ends_epoch).collect();
        assert_eq!(ends, [false, false, true, false, false]);
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
