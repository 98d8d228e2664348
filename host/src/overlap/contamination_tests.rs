use std::collections::HashSet;

use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;

/// Premises and hypotheses.
const PAIRS: [(&str, &str); 6] = [
    (
        "A man in a blue shirt plays the guitar on stage while a large crowd listens to him.",
        "A musician performs for other people.",
    ),
    (
        "The committee rejected on Tuesday every proposal that its own members had brought forward.",
        "No proposal of a member was accepted.",
    ),
    (
        "Two children were rescued by fishermen after their boat had capsized near the harbour.",
        "The children drowned before anybody came.",
    ),
    ("Sales of umbrellas doubled last year in both of the cities.", "Fewer umbrellas were sold."),
    (
        "Her grandmother, who never went to school, spoke six languages without any accent.",
        "Grandmother knew several languages.",
    ),
    (
        "Snow closed the mountain road between November and the end of April.",
        "It never snows there.",
    ),
];

fn rte((premise, hypothesis): (&str, &str)) -> String {
    format!("{premise}\n Question: Does this imply that \"{hypothesis}\"? Yes or no?")
}

fn other_prompt((premise, hypothesis): (&str, &str)) -> String {
    format!("Suppose {premise} Can we infer that {hypothesis} Answer yes, no, or maybe.")
}

fn prepare(inputs: &[String], options: &ContaminationOptions) -> Contamination {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Contamination::new(&inputs, options)
}

fn of_pairs(pairs: &[(&str, &str)]) -> Contamination {
    let inputs: Vec<String> = pairs.iter().map(|&pair| rte(pair)).collect();
    prepare(&inputs, &ContaminationOptions::default())
}

#[test]
fn a_record_under_another_prompt_is_found_and_its_span_is_the_examples_text() {
    let inputs = of_pairs(&PAIRS);
    assert_eq!(inputs.comparable(), PAIRS.len());
    for (position, &pair) in PAIRS.iter().enumerate() {
        let found = inputs.look(&other_prompt(pair)).unwrap();
        assert_eq!((found.evaluation, found.kind, found.share), (position, MatchKind::Exact, 1.0));
        let premise = pair.0.trim_end_matches('.');
        assert_eq!(found.span, premise, "{pair:?}");
    }
}

#[test]
fn another_record_under_the_same_prompt_is_none() {
    let inputs = of_pairs(&PAIRS[..5]);
    assert_eq!(inputs.look(&rte(PAIRS[5])), None);
    assert_eq!(inputs.look("Does this imply that no? Yes or no?"), None);
    assert_eq!(inputs.look(""), None);
}

#[test]
fn a_part_of_a_record_counts_by_its_words() {
    let inputs = of_pairs(&PAIRS);
    let (premise, hypothesis) = PAIRS[1];
    let found = inputs.look(&format!("He wrote: {premise} And so on.")).unwrap();
    // 14 words of premise are 7 grams of 8 words; the hypothesis is one gram of 7.
    assert_eq!((found.evaluation, found.kind), (1, MatchKind::Ngram));
    assert_eq!(found.share, 56.0 / 63.0);
    assert_eq!(inputs.look(hypothesis), None, "7 of 63");
}

#[test]
fn short_fields_are_found_whole_and_in_any_order() {
    let records = [
        ("My foot went completely numb", "I put on my shoes", "I shook it hard"),
        ("The pond froze over night", "People skated on it", "People brought their boats"),
        ("She lost her new job", "She was often late", "She got a prize"),
        ("The cup fell off here", "It broke in two", "It stayed on top"),
        ("He forgot his own keys", "He rang the bell", "He opened with them"),
    ];
    let inputs: Vec<String> = records
        .iter()
        .map(|(premise, one, other)| {
            format!("{premise}. As a consequence...\nPick the more plausible option:\n- {one}.\n- {other}.")
        })
        .collect();
    let prepared = prepare(&inputs, &ContaminationOptions::default());
    let (premise, one, other) = records[1];
    let text = format!("Effect? {other} | {one} | {premise}");
    let found = prepared.look(&text).unwrap();
    assert_eq!((found.evaluation, found.kind), (1, MatchKind::Exact));
    let found = prepared.look(&format!("{premise}, and {other}")).unwrap();
    assert_eq!((found.kind, found.share), (MatchKind::Ngram, 9.0 / 13.0));
    assert_eq!(prepared.look(premise), None, "5 of 13 words");
}

#[test]
fn three_words_are_no_evidence_though_they_are_half_of_an_input() {
    let prepared =
        prepare(&["we all agree\nthey do not".to_owned()], &ContaminationOptions::default());
    assert_eq!(prepared.look("so we all agree"), None);
    assert_eq!(prepared.look("they do not, we all agree").unwrap().kind, MatchKind::Exact);
}

#[test]
fn without_inputs_or_without_words_nothing_matches() {
    let options = ContaminationOptions::default();
    assert_eq!(Contamination::new(&[], &options).look("any text of some words"), None);
    let short = Contamination::new(&["", "yes", "two words"], &options);
    assert_eq!((short.comparable(), short.look("yes two words")), (0, None));
}

#[test]
fn of_equal_shares_the_exact_one_and_then_the_first_is_reported() {
    let options = ContaminationOptions { ngram: 3, threshold: 0.5 };
    let texts = ["d b c a b c d", "a b c d b c", "a b c d b c"].map(str::to_owned);
    let prepared = prepare(&texts, &options);
    // All three have every gram in it, the first not in its order.
    let found = prepared.look("a b c d b c x d b c a x c a b").unwrap();
    assert_eq!((found.evaluation, found.kind, found.share), (1, MatchKind::Exact, 1.0));
}

#[test]
fn long_spans_are_cut_between_characters() {
    let words: Vec<String> = (0..60).map(|i| format!("wört{i}")).collect();
    let text = words.join(" ");
    let prepared = prepare(std::slice::from_ref(&text), &ContaminationOptions::default());
    let span = prepared.look(&text).unwrap().span;
    assert_eq!(span.chars().count(), SPAN + 1);
    assert!(text.starts_with(span.trim_end_matches('…')));
}

/// Texts of few words, so that runs repeat.
fn texts(count: usize, words: usize) -> impl Strategy<Value = Vec<String>> {
    let word = select(vec!["a", "b", "c", "d", "it's", "É"]);
    let between = select(vec![" ", " ", " ", ", ", "\n", ": "]);
    let text = vec((word, between), 0..words).prop_map(|pieces| {
        pieces.into_iter().flat_map(|(word, between)| [word, between]).collect::<String>()
    });
    vec(text, 0..count)
}

/// What [`Contamination`] is to find, slowly: words as texts, everything compared with everything.
struct Naive<'a> {
    options: &'a ContaminationOptions,
    segments: Vec<Vec<Vec<String>>>,
}

impl Naive<'_> {
    fn look(&self, text: &str) -> Option<(usize, bool, f64)> {
        let words = tokens(text).0;
        let mut best: Option<(usize, bool, f64)> = None;
        for (evaluation, segments) in self.segments.iter().enumerate() {
            let grams: HashSet<&[String]> =
                segments.iter().flat_map(|s| s.windows(self.options.ngram.min(s.len()))).collect();
            let is_in = |gram: &[String]| words.windows(gram.len()).any(|at| at == gram);
            let all: usize = grams.iter().map(|gram| gram.len()).sum();
            let found: usize = grams.iter().filter(|gram| is_in(gram)).map(|gram| gram.len()).sum();
            let share = found as f64 / all as f64;
            let exact = all > 0 && segments.iter().all(|segment| is_in(segment));
            let enough = found >= 5 && share >= self.options.threshold;
            let better = best.is_none_or(|(_, was, other)| (share, exact) > (other, was));
            if (exact || enough) && better {
                best = Some((evaluation, exact, share));
            }
        }
        best
    }
}

/// Words, and what is before each and after the last: `|` for a line break, `:` for a colon.
fn tokens(text: &str) -> (Vec<String>, Vec<char>) {
    let (mut words, mut breaks, mut seen) = (Vec::new(), vec!['|'], ' ');
    for piece in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word: String = piece.chars().filter(|c| c.is_alphanumeric()).collect();
        if !word.is_empty() {
            if !words.is_empty() {
                breaks.push(seen);
            }
            words.push(word.to_lowercase());
            seen = ' ';
        }
        match piece.chars().next_back() {
            Some('\n') => seen = '|',
            Some(':') if seen != '|' => seen = ':',
            _ => {}
        }
    }
    if !words.is_empty() {
        breaks.push('|');
    }
    (words, breaks)
}

/// The runs of an input that may be a template's, each as a text, with its words.
fn template_runs(words: &[String], breaks: &[char]) -> Vec<(String, Range<usize>, bool)> {
    let mut runs = Vec::new();
    for length in 1..=3 {
        for start in 0..(words.len() + 1).saturating_sub(length) {
            let (run, end) = (words[start..start + length].join(" "), start + length);
            if length == 3 {
                runs.push((run, start..end, true));
                continue;
            }
            if breaks[start] != ' ' {
                runs.push((format!("^{run}"), start..end, false));
            }
            if breaks[end] != ' ' {
                runs.push((format!("{run}$"), start..end, false));
            }
        }
    }
    runs
}

fn naive_segments(inputs: &[String]) -> Vec<Vec<Vec<String>>> {
    let read: Vec<(Vec<String>, Vec<char>)> = inputs.iter().map(|text| tokens(text)).collect();
    let all: Vec<HashSet<String>> = read
        .iter()
        .map(|(words, breaks)| template_runs(words, breaks).into_iter().map(|run| run.0).collect())
        .collect();
    let count = |run: &String| all.iter().filter(|runs| runs.contains(run)).count() as f64;
    let of_input = |(words, breaks): &(Vec<String>, Vec<char>)| {
        let mut marks = vec![false; words.len()];
        for (run, place, is_long) in template_runs(words, breaks) {
            let least =
                if is_long { (0.2 * all.len() as f64).max(3.0) } else { 0.8 * all.len() as f64 };
            // What 0.2 and 0.8 are in binary must not decide.
            if all.len() >= 5 && count(&run) >= least - 1e-9 {
                marks[place].fill(true);
            }
        }
        let (mut segments, mut segment) = (Vec::new(), Vec::new());
        for (place, word) in words.iter().enumerate() {
            if marks[place] || breaks[place] == '|' {
                segments.push(std::mem::take(&mut segment));
            }
            if !marks[place] {
                segment.push(word.clone());
            }
        }
        segments.push(segment);
        segments.retain(|segment: &Vec<String>| segment.len() >= 3);
        let words: usize = segments.iter().map(Vec::len).sum();
        if words < 5 { Vec::new() } else { segments }
    };
    read.iter().map(of_input).collect()
}

#[test]
fn what_is_found_is_what_a_naive_comparison_finds() {
    let config = Config {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    let options = (1..6_usize, select(vec![0.1, 0.5, 0.75, 1.0]));
    let cases = (texts(9, 16), texts(6, 24), options);
    let matches = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&cases, |(inputs, pool, (ngram, threshold))| {
        let options = ContaminationOptions { ngram, threshold };
        let prepared = prepare(&inputs, &options);
        let naive = Naive { options: &options, segments: naive_segments(&inputs) };
        for text in inputs.iter().chain(&pool) {
            let found = prepared.look(text);
            matches.set(matches.get() + usize::from(found.is_some()));
            let found =
                found.map(|found| (found.evaluation, found.kind == MatchKind::Exact, found.share));
            assert_eq!(found, naive.look(text), "{text:?} in {inputs:?} by {options:?}");
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(matches.get() > 500, "hardly anything matched: {}", matches.get());
}
