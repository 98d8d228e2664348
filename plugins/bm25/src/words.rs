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

/// The most bytes of so many units.
const MAX_BYTES: usize = 3 * MAX_UNITS;

/// Bytes that the grammar looks at together, about: any number well above [`MAX_BYTES`].
const WINDOW: usize = 2048;

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

    /// The same by the grammar alone. Lucene sees no further than its buffer: at each character it
    /// takes the longest word within the next [`MAX_UNITS`], or goes on to the next character. Nor is
    /// more than a window looked at here: the rest of a long word would be read for each piece of it.
    fn find_any(&self, text: &str, mut at: usize) -> Option<Range<usize>> {
        loop {
            let end = text.floor_char_boundary(at + WINDOW);
            // Of a word that begins no later, all that Lucene sees is in the window.
            let seen =
                if end < text.len() { text.floor_char_boundary(end - MAX_BYTES) } else { end };
            let word = self.0.find_at(&text[..end], at).map(|word| word.range());
            let Some(word) = word.filter(|word| word.start <= seen) else {
                if end == text.len() {
                    return None;
                }
                at = seen;
                continue;
            };
            if word.len() <= MAX_UNITS {
                return Some(word);
            }
            let limit = word.start + prefix_of_units(&text[word.start..], MAX_UNITS);
            let cut = self.0.find_at(&text[..limit], word.start).map(|word| word.range());
            if let Some(cut) = cut.filter(|cut| cut.start == word.start) {
                return Some(cut);
            }
            // Joiners alone fill the buffer: the word begins with fewer of them.
            at = text.ceil_char_boundary(word.start + 1);
        }
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
                let limit = start + MAX_UNITS;
                let end = end_of_ascii(text, at, limit).filter(|&end| end <= limit);
                return end.map(|end| Some(start..end)).ok_or(start);
            }
            _ => {}
        }
    }
}

/// Where the word ends that has a letter or digit at `at`; `None` where that is not for ASCII alone to
/// tell, and for a word that has one at `limit` or later.
fn end_of_ascii(text: &[u8], mut at: usize, limit: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(b' ');
    while at < limit {
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
    None
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
#[path = "words_tests.rs"]
mod tests;
