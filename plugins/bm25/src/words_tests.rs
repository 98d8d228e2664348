use super::*;

fn words(text: &str) -> Vec<&str> {
    let pattern = WordPattern::new();
    let mut at = 0;
    std::iter::from_fn(|| {
        let word = pattern.find(text, at)?;
        at = word.end;
        Some(&text[word])
    })
    .collect()
}

#[test]
fn words_end_at_blanks_and_punctuation() {
    let table: &[(&str, &[&str])] = &[
        ("Is this, at last, a word?", &["Is", "this", "at", "last", "a", "word"]),
        ("don't stop-words", &["don't", "stop", "words"]),
        ("3.14 or 1,000 or 2nd", &["3.14", "or", "1,000", "or", "2nd"]),
        ("snake_case _x_ ___", &["snake_case", "_x_"]),
        ("it costs £5, or €6.", &["it", "costs", "5", "or", "6"]),
        ("a:b c: d", &["a:b", "c", "d"]),
        ("x² ½", &["x"]),
        ("", &[]),
    ];
    for (text, wanted) in table {
        assert_eq!(&words(text), wanted, "{text}");
    }
}

#[test]
fn the_short_way_through_ascii_finds_what_the_grammar_finds() {
    let pattern = WordPattern::new();
    let characters: Vec<char> = "a1 .':,_-#é’日\u{301}\u{20e3}".chars().collect();
    // Every text of five of these characters.
    for number in 0..characters.len().pow(5) {
        let digits = [0, 1, 2, 3, 4].map(|at| number / characters.len().pow(at));
        let text: String =
            digits.map(|digit| characters[digit % characters.len()]).iter().collect();
        let mut at = 0;
        loop {
            let word = pattern.find(&text, at);
            assert_eq!(word, pattern.find_any(&text, at), "{text:?} from {at}");
            let Some(word) = word else { break };
            at = word.end;
        }
    }
}

#[test]
fn scripts_without_blanks_are_cut_as_lucene_cuts_them() {
    assert_eq!(words("有限公司"), ["有", "限", "公", "司"]);
    assert_eq!(words("ひらカタカナ"), ["ひ", "ら", "カタカナ"]);
    assert_eq!(words("ภาษาไทย ลาว"), ["ภาษาไทย", "ลาว"]);
    assert_eq!(words("한국어 단어"), ["한국어", "단어"]);
}

#[test]
fn emoji_are_words_with_all_that_belongs_to_them() {
    assert_eq!(words("so 😊😂 ★"), ["so", "😊", "😂", "★"]);
    assert_eq!(words("👩‍❤️‍👩 👍🏽 🇩🇪🇫🇷 #️⃣ #"), ["👩‍❤️‍👩", "👍🏽", "🇩🇪", "🇫🇷", "#️⃣"]);
}

#[test]
fn long_words_are_cut_at_255_units() {
    let text = "x".repeat(600);
    assert_eq!(words(&text).iter().map(|word| word.len()).collect::<Vec<_>>(), [255, 255, 90]);
    // Two units each: 127 of them fit.
    let text = "𝒙".repeat(130);
    let lengths: Vec<_> = words(&text).iter().map(|word| word.chars().count()).collect();
    assert_eq!(lengths, [127, 3]);
}

/// What Lucene does, step by step.
fn find_slowly(pattern: &WordPattern, text: &str, at: usize) -> Option<Range<usize>> {
    text[at..].char_indices().find_map(|(from, _)| {
        let start = at + from;
        let limit = start + prefix_of_units(&text[start..], MAX_UNITS);
        let word = pattern.0.find_at(&text[..limit], start)?.range();
        (word.start == start).then_some(word)
    })
}

#[test]
fn a_window_finds_what_lucene_finds_in_its_buffer() {
    let pattern = WordPattern::new();
    let runs = [
        "x",
        "_",
        "é",
        "𝒙",
        "日",
        "ภ",
        " ",
        ".",
        "e\u{301}",
        "_\u{301}",
        "\u{301}",
        "👩\u{200d}",
        "1,",
        "#\u{20e3}",
        "カ",
        "a.",
    ];
    for first in 0..runs.len() {
        for (second, length) in [(1, 80), (3, 300), (5, 900), (0, 2500), (7, 250)] {
            let other = runs[(first + second) % runs.len()];
            let text = runs[first].repeat(length) + &other.repeat(310) + "a, b";
            let (mut at, mut words) = (0, 0);
            loop {
                let word = pattern.find(&text, at);
                let wanted = find_slowly(&pattern, &text, at);
                assert_eq!(word, wanted, "{:?} × {length}, {other:?}", runs[first]);
                let Some(word) = word else { break };
                (at, words) = (word.end, words + 1);
            }
            assert!(words >= 2, "what follows a long run is found, too");
        }
    }
}

#[test]
fn joiners_that_fill_a_word_do_not_hide_what_follows() {
    let text = "_".repeat(300) + "a b";
    let begun = "_".repeat(254) + "a";
    assert_eq!(words(&text), [begun.as_str(), "b"]);
}

#[test]
fn a_word_of_a_megabyte_takes_no_longer_than_as_many_bytes_of_short_ones() {
    // Read to its end for each of its pieces, each would take minutes.
    let start = std::time::Instant::now();
    for (letter, pieces) in [("x", 4113), ("é", 2057), ("_", 1), ("a.", 4097)] {
        let text = letter.repeat((1 << 20) / letter.len()) + "x";
        let found = words(&text).len();
        assert_eq!(found, pieces, "{letter}");
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
