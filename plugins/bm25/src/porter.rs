//! Porter's stemmer, as Lucene's `PorterStemFilter` has it.
//!
//! This is the algorithm of M. F. Porter, “An algorithm for suffix stripping” (1980), with the two
//! departures of its author's own later programs: `-bli` becomes `-ble` (and not `-abli`, `-able`),
//! and `-logi` becomes `-log`. It is not Snowball's English stemmer, which came after.

/// Replaces a lower-case word by its stem.
///
/// Letters are units of whatever size a caller has: bytes of an ASCII word, or UTF-16 units of
/// another, which is what Lucene counts. What is no `a`–`z` is a consonant.
pub(crate) fn stem<U: Copy + Eq + From<u8>>(word: &mut Vec<U>) {
    if word.len() <= 2 {
        return;
    }
    let mut stemmer = Stemmer(word);
    stemmer.plural();
    stemmer.past_and_participle();
    stemmer.final_y();
    stemmer.double_suffix();
    stemmer.single_suffix();
    stemmer.last_suffix();
    stemmer.final_e();
}

/// Step 2 of the paper: `-ization` → `-ize`, if a syllable is left before it. The first suffix that
/// fits decides, whether or not enough is left.
const DOUBLE: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

/// Step 3: `-icate`, `-ful`, `-ness` and so on.
const SINGLE: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

/// Step 4: what goes if two syllables are left before it. `-ion` goes only after `s` or `t`.
const LAST: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

struct Stemmer<'a, U>(&'a mut Vec<U>);

impl<U: Copy + Eq + From<u8>> Stemmer<'_, U> {
    /// Step 1a: `caresses` → `caress`, `ponies` → `poni`, `cats` → `cat`.
    fn plural(&mut self) {
        if self.stem_before("sses").is_some() || self.stem_before("ies").is_some() {
            self.0.truncate(self.0.len() - 2);
        } else if self.stem_before("s").is_some() && self.stem_before("ss").is_none() {
            self.0.pop();
        }
    }

    /// Step 1b: `feed` → `feed`, `agreed` → `agree`, `disabled` → `disable`, `matting` → `mat`.
    fn past_and_participle(&mut self) {
        if let Some(stem) = self.stem_before("eed") {
            if self.measure(stem) > 0 {
                self.0.pop();
            }
            return;
        }
        let Some(stem) = self.stem_before("ed").or_else(|| self.stem_before("ing")) else { return };
        if !self.has_vowel(stem) {
            return;
        }
        self.0.truncate(stem);
        let ends = |suffix| self.stem_before(suffix).is_some();
        if ends("at") || ends("bl") || ends("iz") {
            self.push("e");
        } else if self.ends_in_double_consonant() {
            if !["l", "s", "z"].into_iter().any(ends) {
                self.0.pop();
            }
        } else if self.measure(stem) == 1 && self.ends_short(stem) {
            self.push("e");
        }
    }

    /// Step 1c: `happy` → `happi`, but `sky` → `sky`.
    fn final_y(&mut self) {
        if let Some(stem) = self.stem_before("y")
            && self.has_vowel(stem)
        {
            self.replace(stem, "i");
        }
    }

    fn double_suffix(&mut self) {
        self.replace_first_of(DOUBLE);
    }

    fn single_suffix(&mut self) {
        self.replace_first_of(SINGLE);
    }

    fn replace_first_of(&mut self, suffixes: &[(&str, &str)]) {
        for (suffix, replacement) in suffixes {
            if let Some(stem) = self.stem_before(suffix) {
                if self.measure(stem) > 0 {
                    self.replace(stem, replacement);
                }
                return;
            }
        }
    }

    fn last_suffix(&mut self) {
        for suffix in LAST {
            let Some(stem) = self.stem_before(suffix) else { continue };
            let allowed = *suffix != "ion"
                || self.0[..stem].last().is_some_and(|&unit| unit == of(b's') || unit == of(b't'));
            if allowed {
                if self.measure(stem) > 1 {
                    self.0.truncate(stem);
                }
                return;
            }
        }
    }

    /// Step 5: `probate` → `probat`, `rate` → `rate`, `controll` → `control`.
    fn final_e(&mut self) {
        let measure = self.measure(self.0.len());
        if let Some(stem) = self.stem_before("e")
            && (measure > 1 || measure == 1 && !self.ends_short(stem))
        {
            self.0.pop();
        }
        if self.stem_before("ll").is_some() && measure > 1 {
            self.0.pop();
        }
    }

    /// Length of what stands before a suffix, if the word has it.
    fn stem_before(&self, suffix: &str) -> Option<usize> {
        let stem = self.0.len().checked_sub(suffix.len())?;
        let is_it = self.0[stem..].iter().zip(suffix.bytes()).all(|(&unit, byte)| unit == of(byte));
        is_it.then_some(stem)
    }

    fn replace(&mut self, stem: usize, suffix: &str) {
        self.0.truncate(stem);
        self.push(suffix);
    }

    fn push(&mut self, suffix: &str) {
        self.0.extend(suffix.bytes().map(of::<U>));
    }

    /// Number of times that vowels are followed by consonants in the first `length` letters: the
    /// paper's *m*, which is about the number of syllables.
    fn measure(&self, length: usize) -> usize {
        let mut count = 0;
        let mut after_vowel = false;
        for at in 0..length {
            let consonant = self.is_consonant(at);
            if consonant && after_vowel {
                count += 1;
            }
            after_vowel = !consonant;
        }
        count
    }

    fn has_vowel(&self, length: usize) -> bool {
        (0..length).any(|at| !self.is_consonant(at))
    }

    fn ends_in_double_consonant(&self) -> bool {
        match self.0.as_slice() {
            [.., a, b] => a == b && self.is_consonant(self.0.len() - 1),
            _ => false,
        }
    }

    /// Whether the first `length` letters end in consonant, vowel, consonant, the last of which is
    /// not `w`, `x` or `y`: the paper's *o*, as in `hop(e)`.
    fn ends_short(&self, length: usize) -> bool {
        length >= 3
            && self.is_consonant(length - 1)
            && !self.is_consonant(length - 2)
            && self.is_consonant(length - 3)
            && !b"wxy".iter().any(|&letter| self.0[length - 1] == of(letter))
    }

    /// A `y` is a consonant at the start and after a vowel, so that a run of them alternates.
    fn is_consonant(&self, at: usize) -> bool {
        let is_vowel = |unit| b"aeiou".iter().any(|&vowel| unit == of(vowel));
        let run = self.0[..=at].iter().rev().take_while(|&&unit| unit == of(b'y')).count();
        if run == 0 {
            return !is_vowel(self.0[at]);
        }
        let first = at + 1 - run;
        let first_is_consonant = first == 0 || is_vowel(self.0[first - 1]);
        first_is_consonant == (run % 2 == 1)
    }
}

fn of<U: From<u8>>(letter: u8) -> U {
    U::from(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stemmed(word: &str) -> String {
        let mut bytes = word.as_bytes().to_vec();
        stem(&mut bytes);
        let mut units: Vec<u16> = word.encode_utf16().collect();
        stem(&mut units);
        let text = String::from_utf8(bytes).expect("ASCII");
        assert_eq!(text, String::from_utf16(&units).expect("ASCII"));
        text
    }

    #[test]
    fn the_examples_of_the_paper_hold() {
        let pairs = "caresses caress, ponies poni, ties ti, caress caress, cats cat, feed feed, \
            agreed agre, plastered plaster, bled bled, motoring motor, sing sing, conflated conflat, \
            troubled troubl, sized size, hopping hop, tanned tan, falling fall, hissing hiss, \
            fizzed fizz, failing fail, filing file, happy happi, sky sky, relational relat, \
            conditional condit, rational ration, valenci valenc, hesitanci hesit, digitizer digit, \
            conformabli conform, radicalli radic, differentli differ, vileli vile, analogousli analog, \
            vietnamization vietnam, predication predic, operator oper, feudalism feudal, \
            decisiveness decis, hopefulness hope, callousness callous, formaliti formal, \
            sensitiviti sensit, sensibiliti sensibl, triplicate triplic, formative form, \
            formalize formal, electriciti electr, electrical electr, hopeful hope, goodness good, \
            revival reviv, allowance allow, inference infer, airliner airlin, gyroscopic gyroscop, \
            adjustable adjust, defensible defens, irritant irrit, replacement replac, \
            adjustment adjust, dependent depend, adoption adopt, homologou homolog, \
            communism commun, activate activ, angulariti angular, homologous homolog, \
            effective effect, bowdlerize bowdler, probate probat, rate rate, cease ceas, \
            controll control, roll roll";
        for pair in pairs.split(", ") {
            let (word, stem) = pair.split_once(' ').expect("two words");
            assert_eq!(stemmed(word), stem, "{word}");
        }
    }

    #[test]
    fn the_departures_of_the_published_programs_hold() {
        assert_eq!(stemmed("possibly"), "possibl");
        assert_eq!(stemmed("archaeology"), "archaeolog");
    }

    #[test]
    fn short_words_and_numbers_stay_as_they_are() {
        for word in ["as", "is", "y", "6.05", "1990"] {
            assert_eq!(stemmed(word), word);
        }
        assert_eq!(stemmed("1990s"), "1990");
    }

    #[test]
    fn y_is_a_consonant_at_the_start_and_after_a_vowel() {
        let mut word = b"yaysyyy".to_vec();
        let stemmer = Stemmer(&mut word);
        let consonants: Vec<_> = (0..7).map(|at| stemmer.is_consonant(at)).collect();
        assert_eq!(consonants, [true, false, true, true, false, true, false]);
    }
}
