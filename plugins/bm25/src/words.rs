//! Cuts a text into words, as Lucene's `StandardTokenizer` (version 9) does.
//!
//! That is the word segmentation of Unicode (UAX #29) with these turns of its own: only words and
//! emoji come out, no blanks and no punctuation; a Chinese or Hiragana character is a word by
//! itself; a run of Thai, Lao, Khmer or the like, which separate no words, is one word; and no word
//! is longer than 255 UTF-16 units.
//!
//! Not followed: the rules that join Hebrew letters across quotation marks (its rules 7a to 7c). The
//! character classes are those of a newer Unicode than Lucene's.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// The most UTF-16 units in a word: the size of Lucene's buffer.
const MAX_UNITS: usize = 255;

/// The words of texts.
///
/// A clone has its own working memory, so that threads with a clone each do not wait.
#[derive(Debug, Clone)]
pub(crate) struct WordPattern(Regex);

impl WordPattern {
    pub(crate) fn new() -> Self {
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
            regex::RegexBuilder::new(&grammar())
                .size_limit(1 << 26)
                .dfa_size_limit(1 << 24)
                .build()
                .expect("the grammar is a constant, and the tests compile it")
        });
        Self(PATTERN.clone())
    }

    /// Range of the first word that starts at byte `at` or later.
    pub(crate) fn find(&self, text: &str, at: usize) -> Option<Range<usize>> {
        match find_ascii(text.as_bytes(), at) {
            Ok(word) => word,
            Err(at) => self.find_any(text, at),
        }
    }

    fn find_any(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let word = self.0.find_at(text, at)?.range();
        if word.len() <= MAX_UNITS {
            return Some(word);
        }
        // Lucene sees no further than its buffer: the longest word within it is the one it takes.
        let end = word.start + prefix_of_units(&text[word.start..], MAX_UNITS);
        self.0.find_at(&text[..end], word.start).map(|word| word.range())
    }
}

/// The first word, if it and its neighbours are ASCII, as nearly all are; otherwise the byte from which
/// the grammar must look for it. This is the grammar again, in a tenth of its time.
fn find_ascii(text: &[u8], mut at: usize) -> Result<Option<Range<usize>>, usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(b' ');
    loop {
        // “#” and “*” may begin a keycap, “_” a word.
        let matters = |byte: &u8| {
            byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'_' | b'#' | b'*')
        };
        let Some(skipped) = text[at..].iter().position(matters) else { return Ok(None) };
        let start = at + skipped;
        at = match byte(start) {
            b'#' | b'*' => start + 1,
            _ => after_joiners(text, start),
        };
        match byte(at) {
            next if !next.is_ascii() => return Err(start),
            next if next.is_ascii_alphanumeric() && !matches!(byte(start), b'#' | b'*') => {
                let end = end_of_ascii(text, at).filter(|end| end - start <= MAX_UNITS);
                return end.map(|end| Some(start..end)).ok_or(start);
            }
            _ => {}
        }
    }
}

/// Where the word ends that has a letter or digit at `at`; `None` where that is not for ASCII alone to
/// tell.
fn end_of_ascii(text: &[u8], mut at: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(b' ');
    loop {
        let (last, next) = (byte(at), byte(at + 1));
        // What joins two letters, or two digits, and nothing else.
        let joins = match next {
            b'.' | b'\'' => true,
            b':' => last.is_ascii_alphabetic(),
            b',' | b';' => last.is_ascii_digit(),
            _ => false,
        };
        let after = if joins { at + 2 } else { after_joiners(text, at + 1) };
        let follows = byte(after);
        if !next.is_ascii() || ((joins || next == b'_') && !follows.is_ascii()) {
            return None;
        }
        let goes_on = match joins {
            true if last.is_ascii_digit() => follows.is_ascii_digit(),
            true => follows.is_ascii_alphabetic(),
            false => follows.is_ascii_alphanumeric(),
        };
        if !goes_on {
            // Joiners at the end belong to the word.
            return Some(if joins { at + 1 } else { after });
        }
        at = after;
    }
}

/// The first byte from `at` that is not “_”.
fn after_joiners(text: &[u8], at: usize) -> usize {
    let joiners = text.get(at..).unwrap_or_default().iter().take_while(|&&byte| byte == b'_');
    at + joiners.count()
}

/// Bytes of the longest start of `text` that has no more than `units` UTF-16 units.
fn prefix_of_units(text: &str, units: usize) -> usize {
    let mut used = 0;
    text.char_indices()
        .find(|(_, character)| {
            used += character.len_utf16();
            used > units
        })
        .map_or(text.len(), |(at, _)| at)
}

/// The grammar, in the terms of UAX #29: `X (Extend | Format | ZWJ)*` counts as `X` (rule WB4).
fn grammar() -> String {
    let class =
        |members: &str| format!(r"(?:{members}[\p{{wb=Extend}}\p{{wb=Format}}\p{{wb=ZWJ}}]*)");
    let letter = class(r"[\p{wb=ALetter}\p{wb=Hebrew_Letter}]");
    let digit = class(r"[\p{wb=Numeric}\x{FF10}-\x{FF19}]");
    let katakana = class(r"\p{wb=Katakana}");
    // “_” and its kind, which join words.
    let joiner = class(r"\p{wb=ExtendNumLet}");
    // “don't”, “e.g”, and “3.14”, “1,000”.
    let mid_letter = class(r"[:\p{wb=MidLetter}\p{wb=MidNumLet}\p{wb=Single_Quote}]");
    let mid_digit = class(r"[\p{wb=MidNum}\p{wb=MidNumLet}\p{wb=Single_Quote}]");
    let letters = format!("{letter}(?:(?:{joiner}*|{mid_letter}){letter})*");
    let digits = format!("{digit}(?:(?:{joiner}*|{mid_digit}){digit})*");
    let run = format!("(?:{katakana}(?:{joiner}*{katakana})*|(?:{digits}|{letters})+)");
    let word = format!("{joiner}*{run}(?:{joiner}+{run})*{joiner}*");
    let unspaced = class(
        r"[[\p{Thai}\p{Lao}\p{Myanmar}\p{Khmer}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Ahom}]&&[\p{L}\p{M}]]",
    );
    let single = class(r"[\p{Han}\p{Hiragana}]");
    format!("{word}|{unspaced}+|{single}|{}", emoji())
}

/// An emoji sequence (UTS #51): pictographs joined by ZWJ, a keycap or a flag.
///
/// Skin tones and the tags of regional flags need no rule: they are `Extend`.
fn emoji() -> String {
    let mark = r"[[\p{wb=Extend}\p{wb=Format}]--[\x{FE0E}\x{FE0F}]]";
    let mark_or_joiner = r"[[\p{wb=Extend}\p{wb=Format}\p{wb=ZWJ}]--[\x{FE0E}\x{FE0F}]]";
    let pictograph = r"[\p{Extended_Pictographic}\p{Emoji_Modifier}[\p{Emoji}--[\p{wb=Regional_Indicator}0-9\#*]]]";
    let element = format!(r"\p{{wb=ZWJ}}*{pictograph}{mark}*");
    let sequence =
        format!(r"(?:{element}\x{{FE0F}}?\p{{wb=ZWJ}}+)*{element}(?:\x{{FE0F}}|{mark_or_joiner}*)");
    let keycap = format!(r"[0-9\#*]{mark_or_joiner}*\x{{FE0F}}?\x{{20E3}}{mark_or_joiner}*");
    let flag = r"(?:\p{wb=Regional_Indicator}[\p{wb=Extend}\p{wb=Format}\p{wb=ZWJ}]*){2}";
    format!("{sequence}|{keycap}|{flag}")
}

#[cfg(test)]
mod tests {
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
}
