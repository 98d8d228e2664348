//! What an answer is worth beside its references.

use crate::rouge::{rouge_l, words};

/// The worth of an answer: that of the reference that it is nearest to, for each number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worth {
    /// 0 or 1.
    pub(crate) exact_match: f64,
    /// 0 to 1.
    pub(crate) rouge_l: f64,
}

/// The worth of a prediction; `None` without a reference.
pub(crate) fn worth(prediction: &str, references: &[&str]) -> Option<Worth> {
    let (plain, predicted) = (normalized(prediction), words(prediction));
    let of = |reference: &&str| Worth {
        exact_match: f64::from(u8::from(normalized(reference) == plain)),
        rouge_l: rouge_l(&predicted, &words(reference)),
    };
    references.iter().map(of).reduce(|a, b| Worth {
        exact_match: a.exact_match.max(b.exact_match),
        rouge_l: a.rouge_l.max(b.rouge_l),
    })
}

/// A text in lower case, without ASCII's punctuation, with single spaces.
fn normalized(text: &str) -> String {
    let lower = text.to_lowercase().replace(|c: char| c.is_ascii_punctuation(), "");
    lower.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// White space to Python: Unicode's, and the four separators of ASCII.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A name as the published evaluation writes it: `Textual Entailment` is `textual_entailment`.
pub(crate) fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    lower.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spaces_do_not_keep_an_answer_from_matching_but_articles_do() {
        let exact = |prediction, reference| worth(prediction, &[reference]).unwrap().exact_match;
        assert_eq!(exact(" It's  A\tDog. ", "its a dog"), 1.0);
        assert_eq!(exact("...", "!!!"), 1.0);
        assert_eq!(exact("a dog", "dog"), 0.0);
        assert_eq!(exact("«dog»", "dog"), 0.0, "only ASCII's punctuation goes");
    }

    #[test]
    fn each_number_is_of_its_best_reference() {
        let worth = worth("the dogs", &["a dog", "the dog", "The dogs!"]).unwrap();
        assert_eq!(worth, Worth { exact_match: 1.0, rouge_l: 1.0 });
        assert_eq!(super::worth("x", &[]), None);
    }

    #[test]
    fn categories_become_names_without_spaces() {
        assert_eq!(slug("Textual  Entailment"), "textual_entailment");
    }
}
