//! What takes how much of a GPU's memory, and whether it is there.

use candle_core::DType;
use deft_core::{Error, ErrorKind, Result};

use super::Placement;
use crate::config::{Method, Optimizer, TrainerConfig};
use crate::model::WHOLE;
use crate::network::{NetworkConfig, Parameter, Part, parameters};

/// Bytes of a number of 32 bits.
const F32: u64 = 4;
/// Tokens of a batch on a CPU: their scores stay in its cache.
const BATCH_ON_CPU: usize = 2048;
/// Most tokens of a batch that is not asked for: more does not make a GPU faster.
const MOST_IN_BATCH: u64 = 65_536;
/// Most numbers of one tensor on a GPU: candle's kernels count them in 32 bits, one of them the
/// sign.
pub(crate) const MOST_IN_TENSOR: usize = i32::MAX as usize;

/// What makes weights and what is computed with them smaller.
pub(super) const NARROWER: &str = "`precision: bf16`";
/// What is larger than what there is.
pub(super) const OTHER_GPU: &str = "a GPU with more memory that is free (`device`)";
/// What helps where weights have no room, an adapter's training included.
const FOR_WEIGHTS: &[&str] = &[NARROWER, OTHER_GPU];
/// What helps where all weights are trained: in bf16 that takes as much as in f32.
const FOR_ALL_TRAINED: &[&str] = &["`optimizer: adafactor`", "`method: ia3` or `lora`", OTHER_GPU];

/// Refuses weights that do not fit into the free memory of a GPU; `needed` are the bytes that they
/// take at least. Main memory is not looked at: how much of it can be had, a system does not say.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] with both numbers.
pub(crate) fn check_room(placement: &Placement, what: &str, needed: u64) -> Result<()> {
    placement.free_bytes().map_or(Ok(()), |free| fits(free, what, needed, FOR_WEIGHTS))
}

/// The same for a training of so many numbers.
pub(crate) fn check_training(
    placement: &Placement,
    config: &TrainerConfig,
    network: &NetworkConfig,
    trained: u64,
) -> Result<()> {
    let needed = training_bytes(config, network, trained, placement.precision);
    let remedies = remedies(config.method);
    placement.free_bytes().map_or(Ok(()), |free| fits(free, "the training", needed, remedies))
}

/// What helps where a training has no room.
fn remedies(method: Method) -> &'static [&'static str] {
    if method == Method::Full { FOR_ALL_TRAINED } else { FOR_WEIGHTS }
}

fn fits(free: u64, what: &str, needed: u64, remedies: &[&str]) -> Result<()> {
    if needed <= free {
        return Ok(());
    }
    let (needed, free) = (gigabytes(needed), gigabytes(free));
    let message =
        format!("the GPU has not enough memory for {what}: {needed} are needed, {free} are free");
    Err(Error::new(ErrorKind::Unsupported, message).with_hint(take(remedies)))
}

/// Remedies in words: `take this, that, or another`.
pub(super) fn take(remedies: &[&str]) -> String {
    match remedies {
        [first @ .., last] if !first.is_empty() => format!("take {}, or {last}", first.join(", ")),
        one => format!("take {}", one.concat()),
    }
}

/// Bytes in words: `12.3 GB`.
pub(super) fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Bytes of the weights of these parts, at least: an output layer that `config.json` leaves open
/// and only the weights have is not counted.
pub(crate) fn weight_bytes(network: &NetworkConfig, parts: &[Part], precision: DType) -> u64 {
    let numbers: u64 = parameters(network, parts).iter().map(|one| elements(&one.shape)).sum();
    numbers * bytes_of(precision)
}

/// Bytes that a model in training takes at least, `trained` being the numbers of an adapter.
///
/// What is trained is there in f32, with the sum of its gradients and what the optimizer keeps: two
/// numbers for each with Adam, one for each row and column with Adafactor. In bf16 the network
/// computes with a copy. A micro-batch's own gradients are there, in the precision, until all of
/// them are added to the sums; those of the two tables of the vocabulary are rows of the texts
/// alone. What is not trained is there once, in the precision. What a micro-batch computes comes on
/// top: that depends on the lengths of the texts.
fn training_bytes(
    config: &TrainerConfig,
    network: &NetworkConfig,
    trained: u64,
    precision: DType,
) -> u64 {
    let size = bytes_of(precision);
    let copy = if precision == DType::F32 { 0 } else { size };
    let (always, adam) = (2 * F32 + copy, 2 * F32);
    if config.method != Method::Full {
        // An adapter is so small that the optimizer makes no difference.
        return weight_bytes(network, &WHOLE, precision) + trained * (always + adam + size);
    }
    let of = |one: &Parameter| {
        let kept = if config.optimizer == Optimizer::Adafactor {
            F32 * sides(&one.shape)
        } else {
            adam * elements(&one.shape)
        };
        let gradient = if is_table(&one.name) { 0 } else { size };
        (always + gradient) * elements(&one.shape) + kept
    };
    parameters(network, &WHOLE).iter().map(of).sum()
}

/// Whether a parameter is the embeddings or the output layer.
fn is_table(name: &str) -> bool {
    ["shared.weight", "lm_head.weight"].contains(&name)
}

/// Tokens of a batch of texts of up to `longest` tokens where `free` bytes of a GPU are free after
/// loading; `None` is a CPU, or a GPU that does not tell.
///
/// Half of the memory is for what a block computes, the rest for what is on the way to the next and
/// for libraries. The number is a power of two, so that a little more or less that is free makes the
/// same batches.
pub(crate) fn batch_tokens(
    free: Option<u64>,
    network: &NetworkConfig,
    longest: usize,
    precision: DType,
) -> usize {
    let Some(free) = free else { return BATCH_ON_CPU };
    let in_memory = free / 2 / token_bytes(network, longest, precision);
    // Half of what can be counted: texts are padded.
    let in_tensor = MOST_IN_TENSOR.div_ceil(2) as u64 / scores(network, longest);
    let tokens = in_memory.min(in_tensor).clamp(1, MOST_IN_BATCH);
    1 << tokens.ilog2()
}

/// Bytes that a block of the encoder takes for one token of a text, all that it computes counted as
/// if it were there at once: the states before and after each half, normed and not; queries, keys,
/// values and what attention makes of them; the hidden layers of the feed-forward; and for each head
/// a score and a share for each token of the text.
fn token_bytes(network: &NetworkConfig, longest: usize, precision: DType) -> u64 {
    let hidden = if network.gated { 3 } else { 2 };
    let numbers = 4 * network.d_model + 4 * network.inner() + hidden * network.d_ff;
    let size = bytes_of(precision);
    (numbers as u64 + 2 * scores(network, longest)) * size
}

/// The scores of a token's attention to all the others, in all heads.
fn scores(network: &NetworkConfig, longest: usize) -> u64 {
    network.heads as u64 * longest as u64
}

fn bytes_of(precision: DType) -> u64 {
    precision.size_in_bytes() as u64
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|&side| side as u64).product()
}

/// What Adafactor keeps: a number for each row and column of a matrix, else one for each number.
fn sides(shape: &[usize]) -> u64 {
    match shape {
        [rows, columns] => (rows + columns) as u64,
        other => elements(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    /// T5 v1.1 small.
    fn network() -> NetworkConfig {
        let file = json!({
            "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8,
            "num_heads": 6, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
        });
        NetworkConfig::parse(&file.to_string(), Path::new("config.json")).expect("a network")
    }

    fn training(options: &Value, trained: u64, precision: DType) -> u64 {
        let mut all = json!({"model": "m"});
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        let config = deft_core::options::parse(&all).expect("options");
        training_bytes(&config, &network(), trained, precision)
    }

    /// Numbers of the whole network, as Hugging Face counts them.
    const WHOLE_NUMBERS: u64 = 76_961_152;

    #[test]
    fn weights_take_their_numbers_times_their_size() {
        assert_eq!(weight_bytes(&network(), &WHOLE, DType::F32), 4 * WHOLE_NUMBERS);
        assert_eq!(weight_bytes(&network(), &WHOLE, DType::BF16), 2 * WHOLE_NUMBERS);
        let encoder = weight_bytes(&network(), &[Part::Encoder], DType::F32);
        assert!(encoder < 2 * WHOLE_NUMBERS, "{encoder}");
    }

    /// Of them those of the embeddings and of the output layer.
    const TABLE_NUMBERS: u64 = 2 * 32_128 * 512;

    #[test]
    fn training_takes_four_numbers_for_each_a_micro_batchs_gradients_and_a_copy_in_bf16() {
        let (adam, rest) = (json!({"optimizer": "adamw"}), WHOLE_NUMBERS - TABLE_NUMBERS);
        assert_eq!(training(&adam, 0, DType::F32), 16 * WHOLE_NUMBERS + 4 * rest);
        assert_eq!(training(&adam, 0, DType::BF16), 18 * WHOLE_NUMBERS + 2 * rest);
        let adafactor = training(&json!({"optimizer": "adafactor"}), 0, DType::F32) - 4 * rest;
        assert!((8 * WHOLE_NUMBERS..9 * WHOLE_NUMBERS).contains(&adafactor), "{adafactor}");
    }

    #[test]
    fn training_an_adapter_takes_the_weights_and_a_little() {
        let ia3 = json!({"method": "ia3"});
        assert_eq!(training(&ia3, 1000, DType::F32), 4 * WHOLE_NUMBERS + 20_000);
        assert_eq!(training(&ia3, 1000, DType::BF16), 2 * WHOLE_NUMBERS + 20_000);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        fits(10, "a model", 10, FOR_WEIGHTS).expect("it fits");
        let error =
            fits(3_100_000_000, "a model", 12_340_000_000, FOR_WEIGHTS).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.message(),
            "the GPU has not enough memory for a model: 12.3 GB are needed, 3.1 GB are free"
        );
        assert_eq!(error.hint(), Some(take(FOR_WEIGHTS).as_str()));
        check_room(&Placement::host(), "a model", u64::MAX).expect("main memory is not looked at");
    }

    #[test]
    fn what_is_offered_makes_what_does_not_fit_smaller() {
        let full = take(remedies(Method::Full));
        assert_eq!(
            full,
            "take `optimizer: adafactor`, `method: ia3` or `lora`, or a GPU with more memory that \
             is free (`device`)"
        );
        for method in [Method::Ia3, Method::Lora] {
            assert_eq!(
                take(remedies(method)),
                "take `precision: bf16`, or a GPU with more memory that is free (`device`)"
            );
        }
    }

    #[test]
    fn batches_grow_with_the_memory_up_to_a_limit_and_in_powers_of_two() {
        let tokens = |free, longest| batch_tokens(free, &network(), longest, DType::BF16);
        assert_eq!(tokens(None, 512), 2048);
        assert_eq!(tokens(Some(80 << 30), 512), 65_536);
        assert_eq!(tokens(Some(1 << 30), 512), tokens(Some((1 << 30) + (1 << 20)), 512));
        assert!(tokens(Some(1 << 30), 512).is_power_of_two());
        assert!(tokens(Some(1 << 30), 512) < tokens(Some(4 << 30), 512));
        assert!(tokens(Some(1 << 30), 2048) < tokens(Some(1 << 30), 512));
        assert_eq!(tokens(Some(0), 512), 1);
    }

    #[test]
    fn no_tensor_of_a_batch_has_more_numbers_than_can_be_counted() {
        let tokens = batch_tokens(Some(1 << 40), &network(), 32_768, DType::BF16);
        assert!(tokens * 6 * 32_768 <= MOST_IN_TENSOR, "{tokens}");
    }
}
