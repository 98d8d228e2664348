//! Porter's stemmer with the extensions of NLTK, which ROUGE uses.
//!
//! It is the algorithm of M. F. Porter, “An algorithm for suffix stripping” (1980), with a table of
//! irregular words, with the departures of its author's later programs (`-bli`, `-logi`, `-fulli`),
//! and with rules for short words: `died` → `die`, `enjoy` → `enjoy`, `age` → `age`. It differs from
//! Lucene's stemmer in all but the first of these.

/// The stem of a word of lower-case letters and digits.
pub(crate) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 {
        return word.to_owned();
    }
    STEPS.iter().fold(word.to_owned(), |word, step| step(&word))
}

const STEPS: [fn(&str) -> String; 8] = [
    plural,
    past_and_participle,
    final_y,
    double_suffix,
    single_suffix,
    last_suffix,
    final_e,
    final_l,
];

const IRREGULAR: &[(&str, &str)] = &[
    ("skies", "sky"),
    ("sky", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Step 2 of the paper: `-ization` → `-ize`, if a syllable is left before it.
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
    ("fulli", "ful"),
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

/// Step 1a: `caresses` → `caress`, `ponies` → `poni`, `cats` → `cat`, but `ties` → `tie`.
fn plural(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() == 1) {
        return format!("{stem}ie");
    }
    first_of(word, &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], |_| true)
}

/// Step 1b: `feed` → `feed`, `agreed` → `agree`, `disabled` → `disable`, `matting` → `mat`; and
/// `died` → `die`, `spied` → `spi`.
fn past_and_participle(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if stem.len() == 1 { "ie" } else { "i" });
    }
    if word.ends_with("eed") {
        return first_of(word, &[("eed", "ee")], |stem| measure(stem) > 0);
    }
    let stem = word.strip_suffix("ed").or_else(|| word.strip_suffix("ing"));
    match stem.filter(|stem| has_vowel(stem)) {
        Some(stem) => restored(stem),
        None => word.to_owned(),
    }
}

/// What is left of a word without `-ed` or `-ing`: `siz` → `size`, `hopp` → `hop`, `fil` → `file`.
fn restored(stem: &str) -> String {
    if ["at", "bl", "iz"].iter().any(|end| stem.ends_with(end)) {
        return format!("{stem}e");
    }
    if ends_in_double_consonant(stem) {
        let is_single = !stem.ends_with(['l', 's', 'z']);
        return stem[..stem.len() - usize::from(is_single)].to_owned();
    }
    let is_short = measure(stem) == 1 && ends_short(stem);
    if is_short { format!("{stem}e") } else { stem.to_owned() }
}

/// Step 1c: `happy` → `happi` and `fly` → `fli`, but `enjoy` → `enjoy`.
fn final_y(word: &str) -> String {
    let after_consonant = |stem: &str| stem.len() > 1 && consonants(stem).last() == Some(&true);
    first_of(word, &[("y", "i")], after_consonant)
}

/// Step 2, with `-alli` → `-al` before all, and once more after that.
fn double_suffix(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return double_suffix(&format!("{stem}al"));
    }
    if let Some(stem) = word.strip_suffix("logi") {
        // The `l` counts with what stands before it, so that `geologi` is long enough.
        return if measure(&format!("{stem}l")) > 0 {
            format!("{stem}log")
        } else {
            word.to_owned()
        };
    }
    first_of(word, DOUBLE, |stem| measure(stem) > 0)
}

fn single_suffix(word: &str) -> String {
    first_of(word, SINGLE, |stem| measure(stem) > 0)
}

fn last_suffix(word: &str) -> String {
    let found = LAST.iter().find_map(|suffix| Some((*suffix, word.strip_suffix(*suffix)?)));
    match found {
        Some((suffix, stem)) if measure(stem) > 1 => {
            let goes = suffix != "ion" || stem.ends_with(['s', 't']);
            if goes { stem.to_owned() } else { word.to_owned() }
        }
        _ => word.to_owned(),
    }
}

/// Step 5a: `probate` → `probat`, `rate` → `rate`.
fn final_e(word: &str) -> String {
    first_of(word, &[("e", "")], |stem| {
        let measure = measure(stem);
        measure > 1 || measure == 1 && !ends_short(stem)
    })
}

/// Step 5b: `controll` → `control`.
fn final_l(word: &str) -> String {
    let is_long = |_: &str| measure(&word[..word.len() - 1]) > 1;
    first_of(word, &[("ll", "l")], is_long)
}

/// Replaces the first suffix that fits, if what stands before it may stand alone.
fn first_of(word: &str, rules: &[(&str, &str)], may: impl Fn(&str) -> bool) -> String {
    let found = rules.iter().find_map(|(suffix, other)| Some((word.strip_suffix(*suffix)?, other)));
    match found {
        Some((stem, other)) if may(stem) => format!("{stem}{other}"),
        _ => word.to_owned(),
    }
}

/// For each letter whether it is a consonant; a `y` is one at the start and after a vowel.
fn consonants(stem: &str) -> Vec<bool> {
    let mut consonants: Vec<bool> = Vec::with_capacity(stem.len());
    for byte in stem.bytes() {
        let is_consonant = match byte {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => consonants.last() != Some(&true),
            _ => true,
        };
        consonants.push(is_consonant);
    }
    consonants
}

/// Number of times that vowels are followed by consonants: the paper's *m*, which is about the
/// number of syllables.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

fn ends_in_double_consonant(stem: &str) -> bool {
    match stem.as_bytes() {
        [.., a, b] => a == b && consonants(stem).last() == Some(&true),
        _ => false,
    }
}

/// Whether a stem ends in consonant, vowel, consonant, the last of which is not `w`, `x` or `y`: the
/// paper's *o*, as in `hop(e)`; or is a vowel and a consonant, as in `ag(e)`.
fn ends_short(stem: &str) -> bool {
    match consonants(stem).as_slice() {
        [first, second] => !first && *second,
        [.., first, second, third] => {
            *first && !second && *third && !stem.ends_with(['w', 'x', 'y'])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of a word and its stem, with spaces between them.
    fn check(pairs: &str) {
        for pair in pairs.split_whitespace() {
            let (word, wanted) = pair.split_once('/').unwrap();
            assert_eq!(stem(word), wanted, "{word}");
        }
    }

    #[test]
    fn stems_are_those_of_nltk() {
        check("caresses/caress ponies/poni cats/cat feed/feed agreed/agre plastered/plaster");
        check("motoring/motor sing/sing conflated/conflat troubled/troubl sized/size hopping/hop");
        check("falling/fall hissing/hiss failing/fail filing/file happy/happi relational/relat");
        check("vietnamization/vietnam electrical/electr goodness/good adoption/adopt rate/rate");
        check("replacement/replac communism/commun probate/probat cease/ceas controlling/control");
        check("rolling/roll activate/activ ability/abil owned/own 1990s/1990 yyyy/yyyi");
    }

    #[test]
    fn the_extensions_of_nltk_hold() {
        check("ties/tie died/die spied/spi fly/fli enjoy/enjoy ages/age used/use oed/o");
        check("radically/radic hopefully/hope geology/geolog analogously/analog");
        check("sky/sky skies/sky dying/die news/news innings/inning proceed/proceed");
    }

    #[test]
    fn short_words_stay_as_they_are() {
        check("as/as is/is s/s");
    }
}
