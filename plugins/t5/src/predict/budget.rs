//! How much of predictions is computed at once, and what happens where that does not fit.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Failure, Tokenised};
use crate::device::{self, Computing, Placement, split_on_oom};
use crate::network::{NetworkConfig, multiple};

/// Padded tokens of a batch on a CPU: so few suit its caches.
const ON_CPU: usize = 2048;
/// Most padded tokens of a batch on a GPU: more make it little faster.
const MOST_ON_GPU: usize = 16_384;
/// Logits for each token: 32 MB of them on a CPU.
const LOGITS: usize = 4096;
/// Bytes that a logit takes on a GPU, counted as if all that is made of it were there at once, and as
/// much again to spare.
const LOGIT_BYTES: u64 = 32;

/// An example with its place among those of a call.
pub(super) type Numbered<'a> = (usize, &'a Tokenised);

/// What predictions may take at once of the place where they are computed.
#[derive(Debug)]
pub(crate) struct Budget {
    placement: Placement,
    tokens: usize,
    logits: usize,
    /// Padded tokens that are tried at once: fewer, where so many have had no room.
    most_tokens: AtomicUsize,
}

impl Budget {
    /// That of what is free now, for inputs of up to `longest` tokens.
    ///
    /// Half of it is for what a block of the encoder computes, or for the keys and values that
    /// generation keeps of all the decoder's blocks.
    pub(crate) fn of(placement: &Placement, network: &NetworkConfig, longest: usize) -> Self {
        let Some(free) = placement.free_bytes() else {
            return Self::new(placement, ON_CPU, ON_CPU * LOGITS);
        };
        let tokens = device::batch_tokens(Some(free), network, longest, placement.precision);
        let kept =
            2 * network.decoder_layers * network.inner() * placement.precision.size_in_bytes();
        let tokens = tokens.min(whole(free / 2 / kept as u64).max(1)).min(MOST_ON_GPU);
        Self::new(placement, tokens, whole(free / LOGIT_BYTES).min(tokens * LOGITS))
    }

    fn new(placement: &Placement, tokens: usize, logits: usize) -> Self {
        let most_tokens = AtomicUsize::new(usize::MAX);
        Self { placement: placement.clone(), tokens, logits, most_tokens }
    }

    /// That of a CPU.
    #[cfg(test)]
    pub(super) fn on_cpu() -> Self {
        Self::new(&Placement::host(), ON_CPU, ON_CPU * LOGITS)
    }

    /// Padded tokens of a batch, inputs and what is scored or generated for them.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.min(self.most_tokens.load(Ordering::Relaxed))
    }

    /// A length with its padding.
    pub(super) fn padded(&self, length: usize) -> usize {
        length.next_multiple_of(multiple(self.placement.is_host()))
    }

    /// Logits that are there at once.
    pub(super) fn logits(&self) -> usize {
        self.logits
    }

    /// Computes something of each of a batch's examples, in parts where a GPU has no memory for all;
    /// `tokens` are those of an example that the batch is made by.
    pub(super) fn in_parts<T>(
        &self,
        batch: &[Numbered<'_>],
        tokens: impl Fn(&Tokenised) -> usize,
        compute: impl Fn(&[Numbered<'_>]) -> Result<Vec<T>, Failure>,
    ) -> Result<Vec<T>, Failed> {
        let compute = |part: &[Numbered<'_>]| {
            compute(part).map_err(|failure| match failure {
                Failure::Network(error) => Failed::Network(error),
                Failure::NotFinite { row } => Failed::NotFinite { example: part[row].0 },
            })
        };
        let padded = |part: &[Numbered<'_>]| {
            part.len() * part.iter().map(|(_, example)| tokens(example)).max().unwrap_or(0)
        };
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

/// Why a batch has no predictions, whatever its parts were.
#[derive(Debug)]
pub(super) enum Failed {
    Network(candle_core::Error),
    /// What the network makes of this example of the call are no numbers.
    NotFinite {
        example: usize,
    },
}

impl Computing for Failed {
    fn cause(&self) -> Option<&candle_core::Error> {
        match self {
            Self::Network(error) => Some(error),
            Self::NotFinite { .. } => None,
        }
    }
}

fn whole(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
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
        let tokens = |example: &Tokenised| example.input.ids.len();
        let found = budget.in_parts(&batch, tokens, compute(usize::MAX)).expect("numbers");
        assert_eq!((found, tried.take()), (vec![10, 11, 12, 13], vec![4, 2, 2]));
        let failed = budget.in_parts(&batch, tokens, compute(13)).expect_err("not finite");
        assert!(matches!(failed, Failed::NotFinite { example: 13 }), "{failed:?}");
    }
}
