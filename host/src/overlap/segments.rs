//! What of rendered evaluation inputs are the records' own words: the text of the prompt template, which
//! many inputs share, is found and taken away.
//!
//! A run of words is the template's, in every input that has it, when
//!
//! - it is three words long, and a fifth of the inputs, three at least, have it; or
//! - it is one or two words at the beginning or the end of a line, or before or after a colon, and four
//!   fifths of the inputs have it there: `Question:`, `Answer:`, `(a)`, `Yes, No?`.
//!
//! What is left between the template's words and the line breaks are the segments: the record's fields,
//! as far as they can be seen. Of fewer than five inputs nothing is taken away, since what they share
//! says little.

use super::hash::QuickMap;
use super::words::each_word;

/// Words of the shortest segment: fewer say nothing.
const SHORTEST: usize = 3;

/// Words that the segments of an input have together at least; those of fewer are left out.
pub(super) const FEWEST: usize = 5;

/// Inputs from which on a template can be told.
const MANY: usize = 5;

/// In place of a word: the edge of a line, or a colon.
const EDGE: u32 = u32::MAX;

/// In place of a word: there is none.
const NONE: u32 = u32::MAX - 1;

/// A word that is in no evaluation input.
pub(super) const UNKNOWN: u32 = u32::MAX - 2;

/// A position or a count in the half of the space that most of them never fill.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("four billion words of evaluation inputs do not fit into memory")
}

/// Words as numbers: two are the same if their numbers are.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(QuickMap<Box<str>, u32>);

impl Vocabulary {
    /// The number of a word, which is added if it is new.
    fn add(&mut self, word: &str) -> u32 {
        if let Some(&number) = self.0.get(word) {
            return number;
        }
        let number = number(self.0.len());
        self.0.insert(word.into(), number);
        number
    }

    /// The numbers of a text's words, [`UNKNOWN`] for one that was never added.
    pub(super) fn read(&self, text: &str) -> Vec<u32> {
        let mut words = Vec::new();
        each_word(text, |word, _| words.push(self.0.get(word).copied().unwrap_or(UNKNOWN)));
        words
    }
}

/// What stands between two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    None,
    Colon,
    Line,
}

impl Break {
    fn of(between: &str) -> Self {
        let is_line = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if between.contains(is_line) {
            Self::Line
        } else if between.contains([':', '：']) {
            Self::Colon
        } else {
            Self::None
        }
    }
}

/// The words of an evaluation input, with what stands before each of them and after the last.
#[derive(Debug)]
pub(super) struct Input {
    words: Vec<u32>,
    breaks: Vec<Break>,
}

impl Input {
    pub(super) fn read(text: &str, vocabulary: &mut Vocabulary) -> Self {
        let (mut words, mut breaks, mut end) = (Vec::new(), Vec::new(), 0);
        each_word(text, |word, span| {
            let is_first = words.is_empty();
            breaks.push(if is_first { Break::Line } else { Break::of(&text[end..span.start]) });
            words.push(vocabulary.add(word));
            end = span.end;
        });
        breaks.push(Break::Line);
        Self { words, breaks }
    }

    /// Whether a line or what a colon separates ends before the word at this place.
    fn is_edge(&self, place: usize) -> bool {
        self.breaks[place] != Break::None
    }
}

/// Up to three words that may be a template's, with the edge that they are at.
type Run = [u32; 3];

/// Calls `each` with every run that may be a template's: its key, its first word and its length.
fn each_run(input: &Input, mut each: impl FnMut(Run, usize, usize)) {
    let words = &input.words;
    for (place, &word) in words.iter().enumerate() {
        let next = words.get(place + 1).copied();
        if let (Some(next), Some(&last)) = (next, words.get(place + 2)) {
            each([word, next, last], place, 3);
        }
        if input.is_edge(place) {
            each([EDGE, word, NONE], place, 1);
            if let Some(next) = next {
                each([EDGE, word, next], place, 2);
            }
        }
        if input.is_edge(place + 1) {
            each([NONE, word, EDGE], place, 1);
            if place > 0 {
                each([words[place - 1], word, EDGE], place - 1, 2);
            }
        }
    }
}

/// How many inputs have each run.
fn count_runs(inputs: &[Input]) -> QuickMap<Run, usize> {
    let mut counts: QuickMap<Run, (usize, usize)> = QuickMap::default();
    for (number, input) in inputs.iter().enumerate() {
        each_run(input, |run, _, _| {
            let (count, last) = counts.entry(run).or_insert((0, usize::MAX));
            if *last != number {
                (*count, *last) = (*count + 1, number);
            }
        });
    }
    counts.into_iter().map(|(run, (count, _))| (run, count)).collect()
}

/// Which words of an input are the template's.
fn marked(input: &Input, counts: &QuickMap<Run, usize>, inputs: usize) -> Vec<bool> {
    let (common, constant) = (inputs.div_ceil(5).max(3), (4 * inputs).div_ceil(5));
    let mut marks = vec![false; input.words.len()];
    each_run(input, |run, first, length| {
        let needed = if length == 3 { common } else { constant };
        if counts.get(&run).is_some_and(|&count| count >= needed) {
            marks[first..first + length].fill(true);
        }
    });
    marks
}

/// The segments of each input; none of an input whose own words are too few to tell it by.
pub(super) fn segments(inputs: &[Input]) -> Vec<Vec<&[u32]>> {
    let can_tell = inputs.len() >= MANY;
    let counts = if can_tell { count_runs(inputs) } else { QuickMap::default() };
    let of_input = |input| {
        let found = runs_between(input, &marked(input, &counts, inputs.len()));
        let words: usize = found.iter().map(|segment: &&[u32]| segment.len()).sum();
        if words < FEWEST { Vec::new() } else { found }
    };
    inputs.iter().map(of_input).collect()
}

/// The runs of words that are not marked and that no line break divides.
fn runs_between<'a>(input: &'a Input, marks: &[bool]) -> Vec<&'a [u32]> {
    let (mut found, mut start) = (Vec::new(), 0);
    for place in 0..=input.words.len() {
        let is_marked = marks.get(place).copied().unwrap_or(false);
        if is_marked || input.breaks[place] == Break::Line {
            if place - start >= SHORTEST {
                found.push(&input.words[start..place]);
            }
            start = if is_marked { place + 1 } else { place };
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The segments of texts, as texts.
    fn segments_of(texts: &[&str]) -> Vec<Vec<String>> {
        let mut vocabulary = Vocabulary::default();
        let inputs: Vec<Input> =
            texts.iter().map(|text| Input::read(text, &mut vocabulary)).collect();
        let word_of = |number: &u32| {
            let word = vocabulary.0.iter().find(|(_, known)| *known == number);
            word.map(|(word, _)| String::from(&**word)).unwrap()
        };
        let text =
            |segment: &&[u32]| segment.iter().map(word_of).collect::<Vec<String>>().join(" ");
        segments(&inputs).iter().map(|found| found.iter().map(text).collect()).collect()
    }

    #[test]
    fn the_fields_of_records_are_what_their_prompts_do_not_share() {
        let records = [
            ("Dogs bark at night.", "Animals make noise in the dark"),
            ("Rain fell on Monday", "The week began wet and cold"),
            ("Prices rose by 3.5%", "Goods became dearer last year"),
            ("She sold her car", "He owns no bicycle any more"),
            ("Nobody came to tea", "All guests stayed at home"),
        ];
        let texts: Vec<String> = records
            .iter()
            .map(|(one, other)| {
                format!("Passage: {one}\nQuestion: {other} True, False, or Neither?")
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = segments_of(&texts);
        assert_eq!(found[0], ["dogs bark at night", "animals make noise in the dark"]);
        assert_eq!(found[2], ["prices rose by 3 5", "goods became dearer last year"]);
        assert_eq!(found[4], ["nobody came to tea", "all guests stayed at home"]);
    }

    #[test]
    fn one_or_two_words_are_a_template_only_at_an_edge_that_most_inputs_have() {
        let text = |i: usize| {
            format!("one{i} two{i} the three{i} four{i} five{i}\n(a) six{i} sev{i} no{i}\nYes, No?")
        };
        let texts: Vec<String> = (0..6).map(text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(segments_of(&texts)[1], ["one1 two1 the three1 four1 five1", "six1 sev1 no1"]);
    }

    #[test]
    fn of_few_inputs_nothing_is_taken_away() {
        let texts =
            ["say the word one", "say the word two plainly", "say the word three", "say it"];
        let found = segments_of(&texts);
        assert_eq!(found[1], ["say the word two plainly"]);
        assert_eq!(found[0], [""; 0], "four words tell no input");
        assert_eq!(segments_of(&[]), Vec::<Vec<String>>::new());
    }

    #[test]
    fn segments_end_at_line_breaks_and_short_ones_are_left_out() {
        let texts = ["a b c d e\nf g\r\nh i j\u{2028}k l m n"];
        assert_eq!(segments_of(&texts)[0], ["a b c d e", "h i j", "k l m n"]);
    }
}
