use std::cell::Cell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::Strategy as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// So many words of a large vocabulary.
fn text(words: usize, seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..words).map(|_| format!("w{}", random.random_range(0..5000))).collect()
}

/// The text with some of its words replaced.
fn changed(words: &[String], places: usize, seed: u64) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut words = words.to_vec();
    for _ in 0..places {
        let place = random.random_range(0..words.len());
        words[place] = format!("new{}", random.random_range(0..5000));
    }
    words
}

fn naive_runs(words: &[String]) -> HashSet<&[String]> {
    words.windows(3).collect()
}

fn naive_similarity(one: &[String], other: &[String]) -> f64 {
    let (one, other) = (naive_runs(one), naive_runs(other));
    one.intersection(&other).count() as f64 / one.union(&other).count().max(1) as f64
}

#[test]
fn the_same_words_are_a_duplicate_however_they_are_written() {
    let mut near = NearDuplicates::new(1.0);
    assert_eq!(near.admit(7, "A film. Good?"), None);
    assert_eq!(near.admit(8, "a film,\n\nGOOD"), Some(7));
    assert_eq!(near.admit(9, "a film good too"), None);
    assert_eq!(near.admit(10, ""), None);
    assert_eq!(near.admit(11, " .. "), Some(10));
    assert_eq!(near.admit(12, "film"), None);
}

#[test]
fn a_text_with_a_word_changed_is_a_near_duplicate_and_is_not_remembered() {
    let mut near = NearDuplicates::new(0.8);
    let first = text(100, 1);
    let second = changed(&first, 2, 2);
    let third = changed(&second, 8, 3);
    assert_eq!(near.admit(1, &first.join(" ")), None);
    assert_eq!(near.admit(2, &second.join(" ")), Some(1));
    assert!(naive_similarity(&third, &first) < 0.8 && naive_similarity(&third, &second) < 0.8);
    assert_eq!(near.admit(3, &third.join(" ")), None);
    assert_eq!(near.admit(4, &text(100, 4).join(" ")), None);
}

#[test]
fn the_most_similar_is_told_and_of_equals_the_first() {
    let mut near = NearDuplicates::new(0.3);
    let base = text(60, 1);
    let (one, other) = (changed(&base, 12, 2), changed(&base, 12, 5));
    assert!(naive_similarity(&one, &other) < 0.3);
    assert_eq!(near.admit(1, &one.join(" ")), None);
    assert_eq!(near.admit(2, &other.join(" ")), None);
    let closer = changed(&other, 1, 6);
    assert_eq!(near.admit(3, &closer.join(" ")), Some(2));
}

#[test]
fn what_is_learned_of_prompts_tells_records_from_their_prompts() {
    let prompts = [
        "Given a list of categories, company, artist, athlete, village, animal, plant, album or film, say \
         to which of them the text belongs that follows here.",
        "Here is something that was written by one of our editors in the summer of last year, please read \
         it with care and tell us what you make of it in a word or two.",
    ];
    let render =
        |prompt: usize, record: u64| format!("{} {}", prompts[prompt], text(24, record).join(" "));
    let mut untaught = NearDuplicates::new(0.7);
    assert_eq!(untaught.admit(1, &render(0, 100)), None);
    assert_eq!(untaught.admit(2, &render(1, 100)), None, "one record, and nobody sees it");
    let mut near = NearDuplicates::new(0.7);
    for record in 0..10 {
        near.learn(&render(0, record));
        near.learn(&render(1, record + 50));
    }
    assert_eq!(near.admit(1, &render(0, 100)), None);
    assert_eq!(near.admit(2, &render(1, 100)), Some(1));
    assert_eq!(near.admit(3, &render(0, 101)), None);
    let short = |record: u64| format!("{} {}", prompts[0], text(4, record).join(" "));
    assert_eq!(untaught.admit(4, &short(200)), None);
    assert_eq!(untaught.admit(5, &short(201)), Some(4), "two records of one prompt");
    assert_eq!(near.admit(4, &short(200)), None);
    assert_eq!(near.admit(5, &short(201)), None);
}

#[test]
fn long_texts_are_compared_by_a_sample_of_their_runs() {
    let base = text(4000, 1);
    for (places, seed) in [(40, 2), (150, 3), (400, 4)] {
        let other = changed(&base, places, seed);
        let sketch = |words: &[String]| Sketch::new(&runs(&word_hashes(&words.join(" "))));
        let (one, two) = (sketch(&base), sketch(&other));
        assert!(!one.is_whole && one.hashes.len() == KEPT);
        let (estimate, exact) = (one.similarity(&two), naive_similarity(&base, &other));
        assert!((estimate - exact).abs() < 0.1, "{estimate} for {exact}");
    }
}

#[test]
fn hardly_any_pair_at_the_threshold_is_missed() {
    let (mut missed, mut pairs) = (0, 0);
    for seed in 0..500 {
        let base = text(90, seed);
        let other = changed(&base, 3, seed + 1000);
        if !(0.8..0.9).contains(&naive_similarity(&base, &other)) {
            continue;
        }
        let mut near = NearDuplicates::new(0.8);
        assert_eq!(near.admit(1, &base.join(" ")), None);
        pairs += 1;
        missed += usize::from(near.admit(2, &other.join(" ")).is_none());
    }
    assert!(pairs > 200 && missed <= 2, "{missed} of {pairs}");
}

#[test]
fn what_is_reported_is_what_brute_force_finds() {
    let config = Config {
        cases: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    let base: Vec<String> = ('a'..='t').map(String::from).collect();
    // Pieces of one text, some with another word in them: many of them are alike.
    let text = (0..4_usize, 0..14_usize, 0..20_usize, select(vec!["x", "y"])).prop_map(
        move |(start, length, place, word)| {
            let mut words = base[start..start + length].to_vec();
            if let Some(changed) = words.get_mut(place) {
                word.clone_into(changed);
            }
            words
        },
    );
    let cases = (vec(text, 0..30), select(vec![0.4, 0.6, 0.8, 1.0]));
    let (reported, missed) = (Cell::new(0_usize), Cell::new(0_usize));
    let outcome = TestRunner::new(config).run(&cases, |(texts, threshold)| {
        let mut near = NearDuplicates::new(threshold);
        let mut admitted: Vec<usize> = Vec::new();
        for (id, words) in texts.iter().enumerate() {
            let is_near = |other: usize, least: f64| {
                let other = &texts[other];
                let runs = naive_runs(words).len().min(naive_runs(other).len());
                words == other || runs >= FEWEST && naive_similarity(words, other) >= least
            };
            if let Some(other) = near.admit(id as u64, &words.join(" ")) {
                let other = usize::try_from(other).unwrap();
                assert!(admitted.contains(&other) && is_near(other, threshold), "{id} and {other}");
                reported.set(reported.get() + 1);
                continue;
            }
            assert!(!admitted.iter().any(|&other| texts[other] == *words), "{id}");
            // Of pairs that are less alike many are missed.
            let is_missed = admitted.iter().any(|&other| is_near(other, threshold.max(0.8)));
            missed.set(missed.get() + usize::from(is_missed));
            admitted.push(id);
        }
        Ok(())
    });
    outcome.unwrap();
    let (reported, missed) = (reported.get(), missed.get());
    assert!(reported > 500 && missed <= reported / 100, "{missed} missed, {reported} reported");
}
