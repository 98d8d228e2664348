//! How much of predictions is computed at once, and what happens where that does not fit.

use std::sync::atomic::AtomicUsize;

use super::{Failure, Tokenised};
use crate::device::{self, Placement, split_on_oom};
use crate::network::NetworkConfig;

/// Padded tokens of a batch on a CPU: so few suit its caches.
const ON_CPU: usize = 2048;
/// Most padded tokens of a batch on a GPU: as many as the examples of one call have.
const MOST_ON_GPU: usize = 16_384;
/// Logits for each token: 32 MB of them on a CPU.
const LOGITS: usize = 4096;

/// An example with its place among those of a call.
pub(super) type Numbered<'a> = (usize, &'a Tokenised);

/// What predictions may take at once of the place where they are computed.
#[derive(Debug)]
pub(crate) struct Budget {
    placement: Placement,
    tokens: usize,
    /// Padded tokens that are tried at once: fewer, where so many have had no room.
    most_tokens: AtomicUsize,
}

impl Budget {
    /// That of what is free now, for inputs of up to `longest` tokens.
    pub(crate) fn of(placement: &Placement, network: &NetworkConfig, longest: usize) -> Self {
        let free = placement.free_bytes();
        let tokens = free.map_or(ON_CPU, |free| {
            device::batch_tokens(Some(free), network, longest, placement.precision).min(MOST_ON_GPU)
        });
        Self { placement: placement.clone(), tokens, most_tokens: AtomicUsize::new(usize::MAX) }
    }

    /// That of a CPU.
    #[cfg(test)]
    pub(super) fn on_cpu() -> Self {
        let most_tokens = AtomicUsize::new(usize::MAX);
        Self { placement: Placement::host(), tokens: ON_CPU, most_tokens }
    }

    /// Padded tokens of a batch, inputs and what is scored or generated for them.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Logits that are there at once.
    pub(super) fn logits(&self) -> usize {
        self.tokens * LOGITS
    }

    /// Computes something of each of a batch's examples, in parts where a GPU has no memory for all.
    pub(super) fn in_parts<T>(
        &self,
        batch: &[Numbered<'_>],
        compute: impl Fn(&[Numbered<'_>]) -> Result<Vec<T>, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let compute = |part: &[Numbered<'_>]| {
            compute(part).map_err(|failure| match failure {
                Failure::NotFinite { row } => Failure::Example(part[row].0),
                other => other,
            })
        };
        let padded = |part: &[Numbered<'_>]| part.len() * longest(part);
        split_on_oom(batch, &padded, &self.placement, &self.most_tokens, &compute)
    }

    /// What a failure that is left of a batch tells the user, if it is the GPU's.
    pub(super) fn failure(
        &self,
        error: &candle_core::Error,
        batch: &[Numbered<'_>],
    ) -> Option<deft_core::Error> {
        let what = format!("predictions for an input of {} tokens", longest(batch));
        device::failure(error, Some(&self.placement), &what)
    }
}

/// Tokens of the longest input.
fn longest(batch: &[Numbered<'_>]) -> usize {
    batch.iter().map(|(_, example)| example.input.ids.len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_neural::Encoded;
    use std::cell::RefCell;

    fn example(length: usize) -> Tokenised {
        let input = Encoded { ids: vec![3; length], is_cut: false };
        Tokenised { input, options: Vec::new() }
    }

    #[test]
    fn a_batch_without_room_is_split_and_its_examples_keep_their_numbers() {
        let examples = [4, 3, 2, 1].map(example);
        let batch: Vec<Numbered<'_>> =
            examples.iter().enumerate().map(|(n, e)| (n + 10, e)).collect();
        let budget = Budget::on_cpu();
        let tried = RefCell::new(Vec::new());
        let compute = |bad: usize| {
            let tried = &tried;
            move |part: &[Numbered<'_>]| {
                tried.borrow_mut().push(part.len());
                if part.len() > 2 {
                    let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY)";
                    return Err(candle_core::Error::Cuda(text.into()).into());
                }
                match part.iter().position(|(number, _)| *number == bad) {
                    Some(row) => Err(Failure::NotFinite { row }),
                    None => Ok(part.iter().map(|(number, _)| *number).collect()),
                }
            }
        };
        let found = budget.in_parts(&batch, compute(usize::MAX)).expect("numbers");
        assert_eq!((found, tried.take()), (vec![10, 11, 12, 13], vec![4, 2, 2]));
        let failure = budget.in_parts(&batch, compute(13)).expect_err("not finite");
        assert!(matches!(failure, Failure::Example(13)), "{failure:?}");
    }
}
