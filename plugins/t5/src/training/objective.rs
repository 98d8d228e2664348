//! Objectives of pre-training: inputs and targets made from texts without labels.
//!
//! Both are those of T5 (Raffel et al., “Exploring the Limits of Transfer Learning with a Unified
//! Text-to-Text Transformer”, 2020).

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of the tokens that are hidden (section 3.3.3 of the paper: 15 %).
const NOISE_DENSITY: f32 = 0.15;
/// Mean number of tokens in a hidden span (section 3.3.4 of the paper: 3).
const MEAN_SPAN_LENGTH: f32 = 3.0;
/// More sentinels than any T5 vocabulary has; it has 100.
const MAX_SENTINELS: usize = 1000;

/// Hides spans of a text: (input ids, target ids), both ended by `eos`, which `ids` do not have.
///
/// In the input a sentinel takes each span's place; the target has every sentinel with its span.
/// Spans are drawn as by T5's `random_spans_noise_mask`: a text begins with a token that is kept
/// and ends with one that is hidden, so that T5's code, unlike the paper's figure, makes no
/// sentinel after the last span.
///
/// A text of fewer than 2 tokens has nothing to hide, nor has any text without sentinels: its input
/// is the text, its target `eos` alone.
pub(crate) fn span_corruption(
    ids: &[u32],
    sentinels: &[u32],
    eos: u32,
    rng: &mut ChaCha8Rng,
) -> (Vec<u32>, Vec<u32>) {
    if ids.len() < 2 || sentinels.is_empty() {
        return (ended(ids, eos), vec![eos]);
    }
    let (noise, spans) = amounts(ids.len(), sentinels.len());
    let hidden_lengths = segments(noise, spans, rng);
    let kept_lengths = segments(ids.len() - noise, spans, rng);
    let (mut input, mut target, mut rest) = (Vec::new(), Vec::new(), ids);
    for ((kept, hidden), &sentinel) in kept_lengths.into_iter().zip(hidden_lengths).zip(sentinels) {
        let (span, after) = rest.split_at(kept);
        input.extend_from_slice(span);
        input.push(sentinel);
        let (span, after) = after.split_at(hidden);
        target.push(sentinel);
        target.extend_from_slice(span);
        rest = after;
    }
    input.push(eos);
    target.push(eos);
    (input, target)
}

/// Splits a text anywhere: (input ids, target ids), both ended by `eos`, which `ids` do not have.
///
/// Both sides get a token at least. A text of fewer than 2 tokens is all target, its input `eos`
/// alone.
pub(crate) fn prefix_lm(ids: &[u32], eos: u32, rng: &mut ChaCha8Rng) -> (Vec<u32>, Vec<u32>) {
    if ids.len() < 2 {
        return (vec![eos], ended(ids, eos));
    }
    let (prefix, rest) = ids.split_at(rng.random_range(1..ids.len()));
    (ended(prefix, eos), ended(rest, eos))
}

/// A run of `length` ids, drawn anywhere in a text, or all of a text that is no longer.
pub(crate) fn window<'a>(ids: &'a [u32], length: usize, rng: &mut ChaCha8Rng) -> &'a [u32] {
    match ids.len().checked_sub(length) {
        None | Some(0) => ids,
        Some(last) => &ids[rng.random_range(0..=last)..][..length],
    }
}

/// The ids of `<extra_id_0>`, `<extra_id_1>` and so on until one is missing, at most 1000.
pub(crate) fn sentinels(lookup: impl Fn(&str) -> Option<u32>) -> Vec<u32> {
    (0..MAX_SENTINELS).map_while(|number| lookup(&format!("<extra_id_{number}>"))).collect()
}

/// The random numbers of an example: the same at any thread count and after any restart.
pub(crate) fn rng(seed: u64, epoch: u64, position: u64) -> ChaCha8Rng {
    // The three numbers side by side are the cipher's key. A stream number would have 64 bits for
    // both epoch and position, so that two examples might share it; keys are never the same.
    let mut key = [0_u8; 32];
    for (bytes, number) in key.as_chunks_mut::<8>().0.iter_mut().zip([seed, epoch, position]) {
        *bytes = number.to_le_bytes();
    }
    ChaCha8Rng::from_seed(key)
}

/// How many of at least 2 tokens are hidden, and in how many spans: both at least 1.
///
/// Computed in `f32` with halves rounded to even as in T5's code. Each span follows a kept token
/// and has a sentinel of its own, which T5's code takes for granted.
fn amounts(tokens: usize, sentinels: usize) -> (usize, usize) {
    let noise = round(tokens as f32 * NOISE_DENSITY).clamp(1, tokens - 1);
    let most = sentinels.min(tokens - noise);
    (noise, round(noise as f32 / MEAN_SPAN_LENGTH).clamp(1, most))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and ≥ 0")]
fn round(number: f32) -> usize {
    number.round_ties_even() as usize
}

/// The lengths of `parts` parts of `items` items, each at least 1; all divisions are as likely.
fn segments(items: usize, parts: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    // Which items after the first begin a part.
    let mut begins: Vec<bool> = (1..items).map(|item| item < parts).collect();
    begins.shuffle(rng);
    let (mut lengths, mut length) = (Vec::with_capacity(parts), 1);
    for begins_part in begins {
        if begins_part {
            lengths.push(length);
            length = 0;
        }
        length += 1;
    }
    lengths.push(length);
    lengths
}

fn ended(ids: &[u32], eos: u32) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.push(eos);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const EOS: u32 = 1;

    fn text(length: u32) -> Vec<u32> {
        (1000..1000 + length).collect()
    }

    /// Ids that descend, as T5's do.
    fn some_sentinels(count: u32) -> Vec<u32> {
        (0..count).map(|number| 999 - number).collect()
    }

    /// The sentinels of a text, as they come.
    fn used(ids: &[u32], sentinels: &[u32]) -> Vec<u32> {
        ids.iter().copied().filter(|id| sentinels.contains(id)).collect()
    }

    /// The input with the target's spans in the places of the sentinels, without `EOS`.
    fn joined(input: &[u32], target: &[u32], sentinels: &[u32]) -> Vec<u32> {
        let is_sentinel = |id: &u32| sentinels.contains(id);
        let mut spans = target[..target.len() - 1].split(is_sentinel).skip(1);
        let mut text = Vec::new();
        for id in &input[..input.len() - 1] {
            if is_sentinel(id) {
                text.extend_from_slice(spans.next().expect("a span"));
            } else {
                text.push(*id);
            }
        }
        text
    }

    #[test]
    fn input_and_target_make_the_text_again() {
        for length in 2..300 {
            for count in [1, 3, 100] {
                let (ids, sentinels) = (text(length), some_sentinels(count));
                let mut rng = rng(1, 2, u64::from(length));
                let (input, target) = span_corruption(&ids, &sentinels, EOS, &mut rng);
                assert_eq!((input.last(), target.last()), (Some(&EOS), Some(&EOS)));
                assert_eq!(joined(&input, &target, &sentinels), ids, "{count} sentinels");
            }
        }
    }

    #[test]
    fn as_much_is_hidden_in_as_many_spans_as_by_the_original() {
        // T5 makes 512 input and 114 target ids of 568 tokens, sentinels and end counted.
        let cases = [(2, 1, 1), (10, 2, 1), (30, 4, 1), (50, 8, 3), (512, 77, 26), (568, 85, 28)];
        for (tokens, noise, spans) in cases {
            assert_eq!(amounts(tokens, 100), (noise, spans), "{tokens} tokens");
        }
        let (input, target) =
            span_corruption(&text(568), &some_sentinels(28), EOS, &mut rng(1, 2, 3));
        assert_eq!((input.len(), target.len()), (512, 114));
    }

    #[test]
    fn sentinels_are_used_in_order_on_both_sides() {
        let (ids, all) = (text(60), some_sentinels(100));
        let (input, target) = span_corruption(&ids, &all, EOS, &mut rng(1, 2, 3));
        assert_eq!(used(&input, &all), &all[..3]);
        assert_eq!(used(&target, &all), &all[..3]);
        assert_eq!(target.last(), Some(&EOS));
    }

    #[test]
    fn there_are_no_more_spans_than_sentinels() {
        let (ids, two) = (text(200), some_sentinels(2));
        let (input, target) = span_corruption(&ids, &two, EOS, &mut rng(1, 2, 3));
        assert_eq!((used(&input, &two), used(&target, &two)), (two.clone(), two));
        assert_eq!(input.len() + target.len(), 200 + 2 * 2 + 2);
    }

    #[test]
    fn parts_of_every_length_are_drawn() {
        let draw = |position| segments(5, 3, &mut rng(1, 2, position));
        let drawn: HashSet<Vec<usize>> = (0..200).map(draw).collect();
        assert!(drawn.iter().all(|parts| parts.len() == 3 && parts.iter().sum::<usize>() == 5));
        // All ways to divide 5 in 3 parts of at least 1.
        assert_eq!(drawn.len(), 6);
    }

    #[test]
    fn where_nothing_can_be_hidden_the_target_is_empty() {
        for (length, count) in [(0, 9), (1, 9), (5, 0)] {
            let (ids, sentinels) = (text(length), some_sentinels(count));
            let made = span_corruption(&ids, &sentinels, EOS, &mut rng(1, 2, 3));
            assert_eq!(made, (ended(&ids, EOS), vec![EOS]));
        }
    }

    #[test]
    fn two_tokens_are_one_kept_and_one_hidden() {
        let made = span_corruption(&[7, 8], &[99, 98], EOS, &mut rng(1, 2, 3));
        assert_eq!(made, (vec![7, 99, EOS], vec![99, 8, EOS]));
    }

    #[test]
    fn a_prefix_is_cut_anywhere_inside_the_text() {
        let mut lengths = HashSet::new();
        for position in 0..100 {
            let (input, target) = prefix_lm(&text(4), EOS, &mut rng(1, 2, position));
            assert_eq!((input.last(), target.last()), (Some(&EOS), Some(&EOS)));
            lengths.insert(input.len() - 1);
            let whole = [&input[..input.len() - 1], &target[..target.len() - 1]].concat();
            assert_eq!(whole, text(4));
        }
        assert_eq!(lengths, HashSet::from([1, 2, 3]));
    }

    #[test]
    fn a_text_too_short_for_a_prefix_is_all_target() {
        let split = |ids: &[u32]| prefix_lm(ids, EOS, &mut rng(1, 2, 3));
        assert_eq!(split(&[]), (vec![EOS], vec![EOS]));
        assert_eq!(split(&[7]), (vec![EOS], vec![7, EOS]));
        assert_eq!(split(&[7, 8]), (vec![7, EOS], vec![8, EOS]));
    }

    #[test]
    fn a_window_lies_anywhere_in_a_long_text_and_is_all_of_a_short_one() {
        let draw = |length, epoch| window(&text(7), length, &mut rng(1, epoch, 3)).to_vec();
        assert_eq!((draw(7, 0), draw(9, 0), draw(0, 0)), (text(7), text(7), Vec::new()));
        let starts: HashSet<u32> = (0..100).map(|epoch| draw(4, epoch)[0]).collect();
        assert_eq!(starts, HashSet::from([1000, 1001, 1002, 1003]));
        assert!((0..100).all(|epoch| draw(4, epoch).windows(2).all(|two| two[0] + 1 == two[1])));
        // A short text leaves the numbers to what comes after.
        let (mut used, mut fresh) = (rng(1, 2, 3), rng(1, 2, 3));
        window(&text(7), 7, &mut used);
        assert_eq!(used.random::<u64>(), fresh.random::<u64>());
    }

    #[test]
    fn sentinels_end_before_the_first_that_is_missing() {
        let ids = [("<extra_id_0>", 32), ("<extra_id_1>", 31), ("<extra_id_3>", 29)];
        let lookup = |token: &str| ids.iter().find(|(name, _)| *name == token).map(|(_, id)| *id);
        assert_eq!(sentinels(lookup), [32, 31]);
        assert_eq!(sentinels(|_| Some(5)).len(), 1000);
    }

    #[test]
    fn every_example_of_every_epoch_has_random_numbers_of_its_own() {
        let numbers = [0, 1, 2, u64::MAX];
        let mut firsts = HashSet::new();
        for (seed, epoch) in numbers.iter().flat_map(|&seed| numbers.map(|epoch| (seed, epoch))) {
            for position in numbers {
                let first: u64 = rng(seed, epoch, position).random();
                assert_eq!(first, rng(seed, epoch, position).random::<u64>());
                firsts.insert(first);
            }
        }
        assert_eq!(firsts.len(), 4 * 4 * 4);
    }
}
