//! The rules that make an example of a row: those of the original's reader `p3_jsonl`.

use std::borrow::Cow;

use deft_core::prelude::*;
use serde_json::{Map, Value};

use crate::config::{P3Config, Unlabelled, Variant};

/// Why a row is no example, in words that are the same for every such row.
pub(crate) const NO_INPUT: &str = "input missing";
pub(crate) const NO_TARGET: &str = "target missing";
pub(crate) const NOT_A_STRING: &str = "target is not a string";
pub(crate) const EMPTY_LINE: &str = "empty line";

/// The fields of a row, whatever kind of file it comes from.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) input: Option<Cow<'a, str>>,
    pub(crate) target: Option<Cow<'a, str>>,
    pub(crate) choices: Vec<Cow<'a, str>>,
    pub(crate) dataset: Option<Cow<'a, str>>,
    pub(crate) template: Option<Cow<'a, str>>,
    pub(crate) extra: Map<String, Value>,
}

/// The example of a row, or why it is none.
///
/// The input stays as it is; the target and the answer choices are trimmed, and the target becomes
/// the last option if it is none yet. An empty target is a target.
pub(crate) fn example(fields: Fields<'_>, config: P3Config) -> Result<Example, &'static str> {
    let input = fields.input.ok_or(NO_INPUT)?.into_owned();
    let target = fields.target.map(strip);
    if target.is_none() && config.unlabelled == Unlabelled::Skip {
        return Err(NO_TARGET);
    }
    let mut options: Vec<String> = fields.choices.into_iter().map(strip).collect();
    let has_options = !options.is_empty() || config.variant == Variant::Paper;
    if let Some(target) = target.as_ref().filter(|target| has_options && !options.contains(target))
    {
        options.push(target.clone());
    }
    let is_gold = |option: &String| match (&target, config.variant) {
        (None, _) => false,
        (Some(target), Variant::Fixed) => option == target,
        (Some(target), Variant::Paper) => option.contains(target),
    };
    let gold = options.iter().position(is_gold);
    let provenance = Provenance {
        dataset: fields.dataset.unwrap_or_default().into_owned(),
        template: fields.template.unwrap_or_default().into_owned(),
    };
    Ok(Example { input, target, options, gold, provenance, extra: fields.extra })
}

/// Removes white space at both ends, as Python's `str.strip` does: beside Unicode's white space,
/// the four separators of ASCII.
fn strip(text: Cow<'_, str>) -> String {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let stripped = text.trim_matches(is_space);
    if stripped.len() == text.len() { text.into_owned() } else { stripped.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        target: &str,
        choices: &[&str],
        variant: Variant,
    ) -> (String, Vec<String>, Option<usize>) {
        let fields = Fields {
            input: Some(" in ".into()),
            target: Some(target.to_owned().into()),
            choices: choices.iter().map(|&choice| choice.into()).collect(),
            ..Fields::default()
        };
        let example = example(fields, P3Config { variant, ..P3Config::default() }).unwrap();
        assert_eq!(example.input, " in ");
        (example.target.unwrap(), example.options, example.gold)
    }

    fn check(
        target: &str,
        choices: &[&str],
        variant: Variant,
        options: &[&str],
        gold: Option<usize>,
    ) {
        let (_, found, position) = of(target, choices, variant);
        assert_eq!(found, options);
        assert_eq!(position, gold);
    }

    #[test]
    fn target_and_choices_are_trimmed_as_python_does() {
        let (target, options, gold) =
            of("\n\u{1f} no\u{a0}", &["yes ", "\u{2003}no\t"], Variant::Fixed);
        assert_eq!(target, "no");
        assert_eq!(options, ["yes", "no"]);
        assert_eq!(gold, Some(1));
    }

    #[test]
    fn a_target_that_is_no_choice_becomes_the_last_option() {
        for variant in [Variant::Fixed, Variant::Paper] {
            check("c", &["a", "b"], variant, &["a", "b", "c"], Some(2));
        }
    }

    #[test]
    fn the_paper_takes_an_option_that_contains_the_target() {
        check("1", &["10", "1"], Variant::Fixed, &["10", "1"], Some(1));
        check("1", &["10", "1"], Variant::Paper, &["10", "1"], Some(0));
    }

    #[test]
    fn without_choices_only_the_paper_has_an_option() {
        check("free", &[], Variant::Fixed, &[], None);
        check("free", &[], Variant::Paper, &["free"], Some(0));
    }

    #[test]
    fn rows_without_target_are_left_out_unless_they_are_to_be_kept_as_unlabelled() {
        let row = || Fields {
            input: Some("a query".into()),
            choices: vec!["yes".into(), "no".into()],
            ..Fields::default()
        };
        assert_eq!(example(row(), P3Config::default()).unwrap_err(), NO_TARGET);
        let keep = P3Config { unlabelled: Unlabelled::Keep, ..P3Config::default() };
        let kept = example(row(), keep).unwrap();
        assert_eq!((kept.target, kept.gold, kept.options.len()), (None, None, 2));
    }

    #[test]
    fn an_empty_target_is_a_target() {
        check(" ", &["a"], Variant::Fixed, &["a", ""], Some(1));
        check(" ", &["a"], Variant::Paper, &["a", ""], Some(0));
    }

    #[test]
    fn a_row_without_input_is_no_example() {
        let no_input = Fields { target: Some("t".into()), ..Fields::default() };
        assert_eq!(example(no_input, P3Config::default()), Err(NO_INPUT));
    }
}
