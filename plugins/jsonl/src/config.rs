//! Options of the reader.

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader `jsonl`. Templates are of `MiniJinja`, which is Jinja2: a record's fields are
/// their variables.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonlConfig {
    /// Template of the prompt: `"{{premise}} Does this imply {{hypothesis}}?"`.
    pub(crate) input: String,
    /// Template of the wanted output; none by default. Where there are options, it is one of them.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// The answers to choose from: a list of templates (`["yes", "no"]`, `["{{a}}", "{{b}}"]`), or
    /// an expression that gives a list, such as the field that has them (`choices`). None by
    /// default: the answer is generated.
    #[serde(default)]
    pub(crate) options: Option<Choices>,
    /// An expression that gives the position of the right option, from 0: `label`, or `answer - 1`.
    /// None by default. A record where it gives -1 or null, or is a field that is absent, is
    /// unlabelled.
    #[serde(default)]
    pub(crate) gold: Option<String>,
    /// Template of the data set's name, kept with each example; none by default.
    #[serde(default)]
    pub(crate) dataset: Option<String>,
    /// Template of the prompt's name, kept with each example; none by default.
    #[serde(default)]
    pub(crate) template: Option<String>,
    /// Fields that are kept with each example as they are; none by default.
    #[serde(default)]
    pub(crate) keep: Vec<String>,
}

/// The answers to choose from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a list of templates, or an expression that gives a list")]
pub(crate) enum Choices {
    /// A template for each.
    Templates(Vec<String>),
    /// What gives all of them.
    Expression(String),
}

impl JsonlConfig {
    /// The templates by their options.
    pub(crate) fn templates(&self) -> Vec<(String, &str)> {
        let mut templates = vec![("input".to_owned(), self.input.as_str())];
        let single =
            [("target", &self.target), ("dataset", &self.dataset), ("template", &self.template)];
        for (name, template) in single {
            templates.extend(template.as_deref().map(|template| (name.to_owned(), template)));
        }
        if let Some(Choices::Templates(list)) = &self.options {
            let names = (0..list.len()).map(option_name);
            templates.extend(names.zip(list.iter().map(String::as_str)));
        }
        templates
    }

    /// The expressions by their options.
    pub(crate) fn expressions(&self) -> Vec<(&'static str, &str)> {
        let mut expressions = Vec::new();
        if let Some(Choices::Expression(expression)) = &self.options {
            expressions.push(("options", expression.as_str()));
        }
        expressions.extend(self.gold.as_deref().map(|gold| ("gold", gold)));
        expressions
    }

    /// Whether examples have a right answer to be scored against.
    pub(crate) fn is_labelled(&self) -> bool {
        self.target.is_some() || self.gold.is_some()
    }

    /// Checks that the options fit together.
    pub(crate) fn check(&self) -> Result<()> {
        match (&self.options, &self.target, &self.gold) {
            (None, _, Some(_)) => {
                let message = "`gold` is a position among `options`, of which there are none";
                Err(Error::option_at("gold", message)
                    .with_hint("give `options`, or `target` in place of `gold`"))
            }
            (Some(_), Some(_), Some(_)) => {
                Err(Error::option_at("gold", "`gold` and `target` both say which option is right")
                    .with_hint("leave one of them out"))
            }
            (Some(Choices::Templates(list)), ..) if list.is_empty() => {
                Err(Error::option_at("options", "`options` is empty")
                    .with_hint("leave it out where the answer is generated"))
            }
            _ => Ok(()),
        }
    }
}

/// The name of a template in the list `options`.
pub(crate) fn option_name(place: usize) -> String {
    format!("options[{place}]")
}
