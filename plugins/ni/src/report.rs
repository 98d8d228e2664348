//! The means of categories and of tasks.

use std::collections::BTreeMap;

use crate::metric::Worth;

/// The mean worth of a group of answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mean {
    pub(crate) count: usize,
    pub(crate) worth: Worth,
}

/// The mean of each group, by its name.
pub(crate) fn means<'a>(
    answers: impl Iterator<Item = (&'a str, Worth)>,
) -> BTreeMap<&'a str, Mean> {
    let mut means: BTreeMap<&str, Mean> = BTreeMap::new();
    for (group, worth) in answers {
        let none = Worth { exact_match: 0.0, rouge_l: 0.0 };
        let sum = means.entry(group).or_insert(Mean { count: 0, worth: none });
        sum.count += 1;
        sum.worth.exact_match += worth.exact_match;
        sum.worth.rouge_l += worth.rouge_l;
    }
    for mean in means.values_mut() {
        mean.worth.exact_match /= mean.count as f64;
        mean.worth.rouge_l /= mean.count as f64;
    }
    means
}

/// A line for people about each group.
pub(crate) fn lines(means: &BTreeMap<&str, Mean>) -> String {
    let line = |(group, Mean { count, worth }): (&&str, &Mean)| {
        let Worth { exact_match, rouge_l } = worth;
        format!("{group}: rouge_l {rouge_l:.3}, exact_match {exact_match:.3} of {count}")
    };
    means.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_the_mean_of_its_answers() {
        let worth = |exact_match, rouge_l| Worth { exact_match, rouge_l };
        let answers = [("b", worth(1.0, 0.5)), ("a", worth(0.0, 0.25)), ("b", worth(0.0, 0.0))];
        let means = means(answers.into_iter());
        assert_eq!(means["b"], Mean { count: 2, worth: worth(0.5, 0.25) });
        assert_eq!(
            lines(&means),
            "a: rouge_l 0.250, exact_match 0.000 of 1\nb: rouge_l 0.250, exact_match 0.500 of 2"
        );
    }
}
