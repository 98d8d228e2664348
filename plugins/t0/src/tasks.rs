//! The tasks: where their data come from, and the prompt that each makes of a record.
//!
//! The prompts are those of the published code, with their odd spaces, unless the variant is `fixed`
//! and a comment says what was wrong. Models were trained and compared on these very strings.

use deft_core::Result;

use crate::config::Variant;
use crate::record::Record;

/// A held-out task of T0.
pub(crate) trait Task: Send + Sync + 'static {
    /// Name of the reader: `t0/` and the name of the task.
    const NAME: &'static str;
    /// One line about it.
    const SUMMARY: &'static str;
    /// The Hugging Face data set.
    const DATASET: &'static str;

    /// The prompt for a record.
    fn prompt(record: &Record<'_>, variant: Variant) -> Result<Prompt>;

    /// Name of the task, without the plugin's.
    fn task() -> &'static str {
        Self::NAME.rsplit_once('/').map_or(Self::NAME, |(_, task)| task)
    }
}

/// What a task makes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The text given to the model.
    pub(crate) input: String,
    /// The answers to choose from.
    pub(crate) options: Vec<String>,
    /// Position of the right one, if it is known.
    pub(crate) gold: Option<usize>,
}

impl Prompt {
    fn new(input: String, options: &[&str], gold: Option<usize>) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { input, options, gold }
    }
}

/// Recognizing textual entailment.
#[derive(Debug)]
pub(crate) struct Rte;

impl Task for Rte {
    const NAME: &'static str = "t0/rte";
    const SUMMARY: &'static str = "SuperGLUE RTE: does a premise imply a hypothesis";
    const DATASET: &'static str = "super_glue";

    fn prompt(record: &Record<'_>, _variant: Variant) -> Result<Prompt> {
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

    fn prompt(record: &Record<'_>, _variant: Variant) -> Result<Prompt> {
        let (premise, hypothesis) = (record.text("premise")?, record.text("hypothesis")?);
        let input = format!("{premise}\nQuestion: {hypothesis} True, False, or Neither?");
        Ok(Prompt::new(input, &["true", "false", "neither"], record.label("label", 3)?))
    }
}

/// Choice of plausible alternatives.
#[derive(Debug)]
pub(crate) struct Copa;

impl Task for Copa {
    const NAME: &'static str = "t0/copa";
    const SUMMARY: &'static str = "SuperGLUE COPA: the more plausible cause or effect";
    const DATASET: &'static str = "super_glue";

    fn prompt(record: &Record<'_>, variant: Variant) -> Result<Prompt> {
        const QUESTIONS: [(&str, &str); 2] =
            [("cause", "This happened because..."), ("effect", "As a consequence...")];
        let lead = match variant {
            // The published code asks every record for the effect, whatever its `question`.
            Variant::Paper => QUESTIONS[1].1,
            Variant::Fixed => QUESTIONS[record.one_of("question", &QUESTIONS.map(|q| q.0))?].1,
        };
        let premise = record.text("premise")?;
        let choices = [record.text("choice1")?, record.text("choice2")?];
        let input = format!(
            "{premise}  {lead} \nHelp me pick the more plausible option:\n- {}\n- {}",
            choices[0], choices[1]
        );
        Ok(Prompt::new(input, &choices, record.label("label", 2)?))
    }
}
