//! What an accuracy must be held against: chance, the majority class, what is predicted at all.

use serde::{Deserialize, Serialize};

use super::{ExampleScore, mean};
use crate::Example;

/// What an accuracy must be held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Expected accuracy of a uniform guess among each example's options.
    pub chance: f64,
    /// Accuracy of always answering the most frequent class.
    pub majority: f64,
    /// That class.
    pub majority_class: String,
}

/// The names of the classes: the options' texts where every example has the same options, their
/// positions otherwise (`option 1`); none where no example has more than one option.
pub fn class_names(examples: &[Example]) -> Vec<String> {
    let most = examples.iter().map(|example| example.options.len()).max().unwrap_or(0);
    if most < 2 {
        return Vec::new();
    }
    let first = &examples[0].options;
    if examples.iter().all(|example| example.options == *first) {
        return first.clone();
    }
    (1..=most).map(|position| format!("option {position}")).collect()
}

/// Chance and majority class of an evaluation set with options to choose among; `None` without.
pub fn baselines(examples: &[Example]) -> Option<Baselines> {
    let names = class_names(examples);
    let mut counts = vec![0.0; names.len()];
    for example in examples {
        *counts.get_mut(example.gold?)? += 1.0;
    }
    let majority = (0..counts.len()).reduce(|a, b| if counts[b] > counts[a] { b } else { a })?;
    Some(Baselines {
        chance: mean(examples.iter().map(|example| 1.0 / example.options.len() as f64)),
        majority: counts[majority] / examples.len() as f64,
        majority_class: names[majority].clone(),
    })
}

/// The share of each class among the predictions, in the order of `names`.
pub fn predicted_shares(names: &[String], scores: &[ExampleScore]) -> Vec<(String, f64)> {
    let share =
        |class| mean(scores.iter().map(|s| f64::from(u8::from(s.predicted == Some(class)))));
    names.iter().enumerate().map(|(class, name)| (name.clone(), share(class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(options: &[&str], gold: usize) -> Example {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Example { options, gold: Some(gold), ..Example::default() }
    }

    #[test]
    fn baselines_count_gold_labels_and_options() {
        let examples = [example(&["y", "n"], 0), example(&["y", "n"], 0), example(&["y", "n"], 1)];
        let found = baselines(&examples).expect("options");
        assert_eq!((found.chance, found.majority_class.as_str()), (0.5, "y"));
        assert!((found.majority - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(baselines(&[Example::default()]), None);
    }

    #[test]
    fn a_single_option_is_no_choice_and_options_that_differ_have_positions() {
        let single = [example(&["4"], 0), example(&["Mare"], 0)];
        assert_eq!(baselines(&single), None);
        assert_eq!(class_names(&single), [""; 0]);
        assert_eq!(class_names(&[]), [""; 0]);
        let other = [example(&["a", "b"], 0), example(&["c", "d", "e"], 2)];
        assert_eq!(class_names(&other), ["option 1", "option 2", "option 3"]);
    }
}
