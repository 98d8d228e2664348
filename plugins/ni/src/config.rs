//! Options of the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader `ni`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NiConfig {
    /// Whose rules hold where the published code has a fault; `fixed` by default. The README lists
    /// what differs.
    #[serde(default)]
    pub(crate) variant: Variant,
    /// Which tasks of a folder are read, by the lists in its folder `splits`; none by default,
    /// which reads all. Of a task of `test`, only the first 100 instances are used, as in the
    /// benchmark.
    #[serde(default)]
    pub(crate) split: Option<SplitName>,
    /// The folder in `splits` that has the lists: `default` by default.
    #[serde(default = "default_splits")]
    pub(crate) splits: String,
    /// Only tasks of these categories (`Textual Entailment`); all by default.
    #[serde(default)]
    pub(crate) categories: Vec<String>,
    /// Only these tasks, by number (`task937`) or whole name; all by default.
    #[serde(default)]
    pub(crate) tasks: Vec<String>,
    /// The most instances taken of a task: 100 by default, `null` takes all.
    #[serde(default = "a_hundred")]
    pub(crate) instances_per_task: Option<usize>,
    /// Seed of the instances taken and of the output chosen where there are several, as of Python's
    /// `random`: 42 by default, the published code's.
    #[serde(default = "papers_seed")]
    pub(crate) seed: u64,
    /// Whether the prompt begins with the task's name; false by default.
    #[serde(default)]
    pub(crate) task_name: bool,
    /// Whether the prompt has the task's definition; true by default.
    #[serde(default = "yes")]
    pub(crate) definition: bool,
    /// The most positive examples in the prompt; 0 by default, 2 for Tk-Instruct.
    #[serde(default)]
    pub(crate) positive_examples: usize,
    /// The most negative examples in the prompt; 0 by default.
    #[serde(default)]
    pub(crate) negative_examples: usize,
    /// Whether the examples in the prompt are explained; false by default.
    #[serde(default)]
    pub(crate) explanations: bool,
    /// A folder with a `tokenizer.json`, such a file, or `org/name` on the Hugging Face Hub: what
    /// counts the tokens of a prompt. None by default: prompts have any length.
    #[serde(default)]
    pub(crate) tokenizer: Option<String>,
    /// The most tokens of a prompt, the end token among them, by the `tokenizer`, without which it is
    /// refused: 1024 by default. Examples that do not fit are left out; then the end of the input is.
    #[serde(default)]
    pub(crate) max_tokens: Option<usize>,
}

/// The most tokens of a prompt that a tokenizer counts, as in the published code.
pub(crate) const PAPERS_TOKENS: usize = 1024;

impl Default for NiConfig {
    fn default() -> Self {
        Self {
            variant: Variant::default(),
            split: None,
            splits: default_splits(),
            categories: Vec::new(),
            tasks: Vec::new(),
            instances_per_task: a_hundred(),
            seed: papers_seed(),
            task_name: false,
            definition: yes(),
            positive_examples: 0,
            negative_examples: 0,
            explanations: false,
            tokenizer: None,
            max_tokens: None,
        }
    }
}

/// Whose rules hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The rules as they were meant.
    #[default]
    Fixed,
    /// Those of the published code, to the letter.
    Paper,
}

/// A list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SplitName {
    /// Tasks to train on.
    Train,
    /// Tasks to evaluate on.
    Test,
}

impl SplitName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

fn default_splits() -> String {
    "default".to_owned()
}

#[allow(clippy::unnecessary_wraps, reason = "serde wants the option's type")]
fn a_hundred() -> Option<usize> {
    Some(100)
}

fn papers_seed() -> u64 {
    42
}

fn yes() -> bool {
    true
}
