//! A text as words: what comparisons of texts see of it.
//!
//! - A word is a run of alphanumeric characters as Unicode has them (letters, digits and the vowel
//!   signs of Indic scripts), in lower case, character by character.
//! - Everything else separates words and is not seen: punctuation, white space, line breaks,
//!   underscores. Apostrophes do so too: `don't` is `don` and `t`, and so is `don 't` in data sets that
//!   were tokenised before; `Clinton's` and `Clinton 's` are the same words.
//! - Chinese characters and Japanese kana are words of their own, as these languages put no spaces;
//!   Thai and its like have no such rule, and a sentence of theirs is a word.
//! - Nothing is normalised: `é` written as two characters is not `é` written as one.

use std::ops::Range;

/// Calls `each` with the words of a text, in lower case, and the bytes that each stands in.
pub fn each_word(text: &str, mut each: impl FnMut(&str, Range<usize>)) {
    let mut word = String::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let (in_word, alone) = (c.is_alphanumeric(), stands_alone(c));
        if !word.is_empty() && (alone || !in_word) {
            each(&word, start..at);
            word.clear();
        }
        if !in_word {
            continue;
        }
        if word.is_empty() {
            start = at;
        }
        word.extend(c.to_lowercase());
        if alone {
            each(&word, start..at + c.len_utf8());
            word.clear();
        }
    }
    if !word.is_empty() {
        each(&word, start..text.len());
    }
}

/// The bytes that the words of a text stand in.
pub fn spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    each_word(text, |_, span| spans.push(span));
    spans
}

/// Whether a character is a word, however many stand in a row.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{30ff}' // kana
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
        && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        each_word(text, |word, span| found.push((word.to_owned(), &text[span])));
        found
    }

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = words(text).into_iter().map(|(word, _)| word).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_are_alphanumeric_and_in_lower_case() {
        check("", &[]);
        check(" .\n-", &[]);
        check(
            "The U.S. has 3.5% more_of it",
            &["the", "u", "s", "has", "3", "5", "more", "of", "it"],
        );
        check("don't don 't", &["don", "t", "don", "t"]);
        check("Élan, ÀÉ ΔΥΟ straße", &["élan", "àé", "δυο", "straße"]);
    }

    #[test]
    fn characters_of_languages_without_spaces_are_words() {
        check("我有3只猫，ネコ。cats", &["我", "有", "3", "只", "猫", "ネ", "コ", "cats"]);
    }

    #[test]
    fn spans_give_the_text_back_where_lower_case_is_longer() {
        let text = "a İzmir-ẞ b";
        let found = words(text);
        assert_eq!(
            found.iter().map(|(_, text)| *text).collect::<Vec<_>>(),
            ["a", "İzmir", "ẞ", "b"]
        );
        assert_eq!(spans(text).len(), 4);
        assert_eq!(&text[spans(text)[3].clone()], "b");
    }
}
