//! Does one text follow from another?

use deft_core::Result;
use deft_records::Record;

use super::{Prompt, Task};
use crate::config::Variant;

/// Recognizing textual entailment.
#[derive(Debug)]
pub(crate) struct Rte;

impl Task for Rte {
    const NAME: &'static str = "t0/rte";
    const SUMMARY: &'static str = "SuperGLUE RTE: does a premise imply a hypothesis";
    const DATASET: &'static str = "super_glue";
    const KEPT: &'static [&'static str] = &["idx"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        let (premise, hypothesis) = (record.text("premise")?, record.text("hypothesis")?);
        let input =
            format!("{premise}\n Question: Does this imply that \"{hypothesis}\"? Yes or no?");
        Ok(Prompt::new(input, &["yes", "no"], record.label("label", 2)?))
    }
}

/// The commitment bank.
#[derive(Debug)]
pub(crate) struct Cb;

impl Task for Cb {
    const NAME: &'static str = "t0/cb";
    const SUMMARY: &'static str = "SuperGLUE CB: is a hypothesis true, false or neither";
    const DATASET: &'static str = "super_glue";
    const KEPT: &'static [&'static str] = &["idx"];

    fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
        true_false_or_neither(record, &["true", "false", "neither"])
    }
}

macro_rules! anli {
    ($task:ident, $round:literal) => {
        /// A round of Adversarial NLI.
        #[derive(Debug)]
        pub(crate) struct $task;

        impl Task for $task {
            const NAME: &'static str = concat!("t0/anli_r", $round);
            const SUMMARY: &'static str =
                concat!("ANLI, round ", $round, ": is a hypothesis true, false or neither");
            const DATASET: &'static str = "anli";
            const KEPT: &'static [&'static str] = &["uid"];

            fn prompt(record: &Record, _variant: Variant) -> Result<Prompt> {
                true_false_or_neither(record, &["true", "neither", "false"])
            }
        }
    };
}

anli!(Anli1, 1);
anli!(Anli2, 2);
anli!(Anli3, 3);

/// The prompt that CB and ANLI share; the options are in the order of the set's labels.
fn true_false_or_neither(record: &Record, options: &[&str; 3]) -> Result<Prompt> {
    let (premise, hypothesis) = (record.text("premise")?, record.text("hypothesis")?);
    let input = format!("{premise}\nQuestion: {hypothesis} True, False, or Neither?");
    Ok(Prompt::new(input, options, record.label("label", options.len())?))
}
