//! From a text to its terms, as Lucene's `EnglishAnalyzer` does: words, without possessive `'s`, in
//! lower case, without stop words, stemmed.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::porter;
use crate::words::WordPattern;

/// Changes whenever some text's terms change: part of the fingerprint of every index.
pub(crate) const VERSION: u32 = 2;

/// The analyser, for queries as it is and for tantivy as a [`Tokenizer`].
#[derive(Debug, Clone)]
pub(crate) struct Analyzer(WordPattern);

impl Analyzer {
    pub(crate) fn new() -> Self {
        Self(WordPattern::new())
    }

    /// Calls `each` with every term of a text, in order, repetitions included.
    pub(crate) fn for_each_term(&self, text: &str, mut each: impl FnMut(&str)) {
        let mut terms = Terms::new(self, text);
        while terms.advance() {
            each(&terms.token.text);
        }
    }
}

impl Tokenizer for Analyzer {
    type TokenStream<'a> = Terms<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms<'a> {
        Terms::new(self, text)
    }
}

/// The terms of one text.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    words: &'a WordPattern,
    text: &'a str,
    /// Byte at which the next word is looked for.
    at: usize,
    token: Token,
}

impl<'a> Terms<'a> {
    fn new(analyzer: &'a Analyzer, text: &'a str) -> Self {
        Self { words: &analyzer.0, text, at: 0, token: Token::default() }
    }
}

impl TokenStream for Terms<'_> {
    fn advance(&mut self) -> bool {
        while let Some(word) = self.words.find(self.text, self.at) {
            self.at = word.end;
            term_of(&self.text[word.clone()], &mut self.token.text);
            if !self.token.text.is_empty() {
                self.token.position = self.token.position.wrapping_add(1);
                (self.token.offset_from, self.token.offset_to) = (word.start, word.end);
                return true;
            }
        }
        false
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

/// Makes a word's term; it is empty for a stop word.
fn term_of(word: &str, term: &mut String) {
    let word = without_possessive(word);
    term.clear();
    if word.is_ascii() {
        term.push_str(word);
        term.make_ascii_lowercase();
    } else {
        // Java's lower case is one character for one, without regard to the neighbours; the only
        // one that Rust makes two of is İ, which becomes i and a dot.
        term.extend(word.chars().filter_map(|character| character.to_lowercase().next()));
    }
    if is_stop_word(term) {
        term.clear();
    } else if term.is_ascii() {
        let mut bytes = std::mem::take(term).into_bytes();
        porter::stem(&mut bytes);
        *term = String::from_utf8(bytes).expect("the stemmer makes ASCII of ASCII");
    } else {
        let mut units: Vec<u16> = term.encode_utf16().collect();
        porter::stem(&mut units);
        *term = String::from_utf16_lossy(&units);
    }
}

/// Whether it is one of Lucene's 33 English stop words.
#[rustfmt::skip]
fn is_stop_word(term: &str) -> bool {
    matches!(
        term,
        "a" | "an" | "and" | "are" | "as" | "at" | "be" | "but" | "by" | "for" | "if" | "in" | "into"
            | "is" | "it" | "no" | "not" | "of" | "on" | "or" | "such" | "that" | "the" | "their"
            | "then" | "there" | "these" | "they" | "this" | "to" | "was" | "will" | "with"
    )
}

/// `dog's` → `dog`; with any of three apostrophes.
fn without_possessive(word: &str) -> &str {
    word.strip_suffix(['s', 'S'])
        .and_then(|rest| rest.strip_suffix(['\'', '\u{2019}', '\u{ff07}']))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        Analyzer::new().for_each_term(text, |term| terms.push(term.to_owned()));
        terms
    }

    #[test]
    fn a_sentence_becomes_lower_case_stems_without_stop_words() {
        let wanted = ["dog", "owner", "weren't", "walk", "dog"];
        assert_eq!(terms("The dog's owners weren't walking THEIR Dogs."), wanted);
    }

    #[test]
    fn possessives_go_with_any_apostrophe_and_before_stop_words_do() {
        assert_eq!(terms("dog’s DOG'S dog＇s dogs' it's"), ["dog", "dog", "dog", "dog"]);
    }

    #[test]
    fn other_alphabets_are_lowered_and_kept() {
        assert_eq!(terms("Ὀδυσσεύς İS Cafés"), ["ὀδυσσεύς", "café"]);
    }

    #[test]
    fn tantivy_gets_the_same_terms_at_rising_positions() {
        let mut analyzer = Analyzer::new();
        let mut stream = analyzer.token_stream("to be an example");
        assert!(stream.advance());
        assert_eq!((stream.token().text.as_str(), stream.token().position), ("exampl", 0));
        assert!(!stream.advance());
    }
}
