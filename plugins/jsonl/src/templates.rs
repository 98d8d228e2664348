//! Templates and expressions of `MiniJinja`, compiled once and rendered for each record.

use std::collections::BTreeMap;

use deft_core::excerpt;
use deft_core::prelude::*;
use deft_records::Record;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::config::JsonlConfig;

/// The name under which templates have all fields, for names that are no words (`record["a b"]`).
const RECORD: &str = "record";

/// The templates of a reader, by the options that they are.
#[derive(Debug)]
pub(crate) struct Templates(Environment<'static>);

/// A record's fields as the variables of templates.
pub(crate) struct Row<'a> {
    templates: &'a Templates,
    record: &'a Record,
    variables: Value,
}

impl Templates {
    /// Compiles all templates, and checks all expressions.
    pub(crate) fn compile(config: &JsonlConfig) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        for (option, source) in config.templates() {
            environment
                .add_template_owned(option.clone(), source.to_owned())
                .map_err(|error| malformed(&option, "template", &error))?;
        }
        for (option, source) in config.expressions() {
            environment.compile_expression_owned(source.to_owned()).map_err(|error| {
                malformed(option, "expression", &error)
                    .with_hint("an expression stands without braces: `label`, `choices`")
            })?;
        }
        Ok(Self(environment))
    }

    /// The variables of a record. A field that is null is no variable, as if it were absent.
    pub(crate) fn row<'a>(&'a self, record: &'a Record) -> Row<'a> {
        let fields = record.fields().iter().filter(|(_, value)| !value.is_null());
        let fields = Value::from_serialize(fields.collect::<BTreeMap<_, _>>());
        Row { templates: self, record, variables: context! { record => &fields, ..fields.clone() } }
    }
}

impl Row<'_> {
    /// What the template of an option says of the record.
    pub(crate) fn text(&self, option: &str) -> Result<String> {
        let template = self.templates.0.get_template(option).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "an option has no template")
                .with_context("option", option)
                .with_source(&error)
        })?;
        template.render(&self.variables).map_err(|error| {
            let used = template.undeclared_variables(false);
            self.failed(option, "template", used.iter().map(String::as_str), &error)
        })
    }

    /// What the expression of an option gives for the record.
    pub(crate) fn value(&self, option: &str, expression: &str) -> Result<Value> {
        let compiled =
            self.templates.0.compile_expression_owned(expression.to_owned()).map_err(|error| {
                Error::new(ErrorKind::Unexpected, "an expression is malformed")
                    .with_context("option", option)
                    .with_source(&error)
            })?;
        compiled.eval(&self.variables).map_err(|error| {
            let used = compiled.undeclared_variables(false);
            self.failed(option, "expression", used.iter().map(String::as_str), &error)
        })
    }

    /// An error about the record, for an option.
    pub(crate) fn error(&self, option: &str, message: impl Into<String>) -> Error {
        self.record.error(message).with_context("option", option)
    }

    fn failed<'a>(
        &self,
        option: &str,
        what: &str,
        used: impl Iterator<Item = &'a str>,
        error: &minijinja::Error,
    ) -> Error {
        let is_known = |name: &str| {
            name == RECORD
                || self.record.get(name).is_some()
                || self.templates.0.globals().any(|(global, _)| global == name)
        };
        let mut missing: Vec<&str> = used.filter(|name| !is_known(name)).collect();
        missing.sort_unstable();
        if missing.is_empty() || !is_undefined(error) {
            return self
                .error(option, format!("the {what} cannot be applied to the record"))
                .with_source(error);
        }
        let names: Vec<&str> = self.record.fields().keys().map(String::as_str).collect();
        self.error(option, format!("the {what} uses a field that the record lacks"))
            .with_context("field", missing.join(", "))
            .with_context("found", format!("the fields {}", excerpt(&names.join(" "))))
            .with_hint("a field that may be absent is asked for first: `{% if NAME is defined %}`")
    }
}

/// Whether something undefined is at the bottom of an error: filters wrap what they are given.
fn is_undefined(error: &minijinja::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let error_of_template = error.downcast_ref::<minijinja::Error>();
        if error_of_template.is_some_and(|it| it.kind() == minijinja::ErrorKind::UndefinedError) {
            return true;
        }
        next = error.source();
    }
    false
}

fn malformed(option: &str, what: &str, error: &minijinja::Error) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let line = error.line().filter(|&line| line > 1);
    let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
    Error::option_at(option, format!("malformed {what}{place}: {detail}"))
}
