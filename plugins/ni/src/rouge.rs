//! ROUGE-L as the package `rouge_score` computes it with its stemmer: F1 of the longest common
//! subsequence of words.

use crate::stem::stem;

/// The words of a text: runs of `a`–`z` and digits in lower case, stemmed where they are longer
/// than three. All else, letters of other scripts too, only ends a word.
pub(crate) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|word| !word.is_empty())
        .map(|word| if word.len() > 3 { stem(word) } else { word.to_owned() })
        .collect()
}

/// ROUGE-L of predicted words, 0 to 1; 0 where either side has no words.
pub(crate) fn rouge_l(predicted: &[String], reference: &[String]) -> f64 {
    let common = common_subsequence(predicted, reference);
    if common == 0 {
        return 0.0;
    }
    let precision = common as f64 / predicted.len() as f64;
    let recall = common as f64 / reference.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// Length of the longest common subsequence.
fn common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut lengths = vec![0; b.len() + 1];
    for word in a {
        // What the row above has at this place and at the one before it.
        let mut before = 0;
        for (place, other) in b.iter().enumerate() {
            let above = lengths[place + 1];
            lengths[place + 1] = if word == other { before + 1 } else { above.max(lengths[place]) };
            before = above;
        }
    }
    lengths[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(predicted: &str, reference: &str) -> f64 {
        rouge_l(&words(predicted), &words(reference))
    }

    #[test]
    fn words_are_lower_case_ascii_and_stemmed_where_they_are_long() {
        assert_eq!(
            words("The cats' BUSES, don't; naïve 3-year"),
            ["the", "cat", "buse", "don", "t", "na", "ve", "3", "year"]
        );
        assert!(words("… ¡你好!").is_empty());
    }

    #[test]
    fn order_counts_and_gaps_do_not() {
        let check = |predicted, reference, f1: f64| {
            assert!((of(predicted, reference) - f1).abs() < 1e-12, "{predicted}");
        };
        check("a b c", "a b c", 1.0);
        check("a x b y c", "a b c", 0.75);
        check("c b a", "a b c", 1.0 / 3.0);
        check("a b", "b a b a", 2.0 / 3.0);
    }

    #[test]
    fn nothing_has_nothing_in_common_with_anything() {
        for (predicted, reference) in [("", ""), ("a", ""), ("", "a"), ("...", "!"), ("a", "b")] {
            assert_eq!(of(predicted, reference), 0.0);
        }
    }
}
