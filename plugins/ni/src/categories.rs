//! Categories: which tasks are of those that are asked for, and whether there are any of each.

use std::collections::BTreeSet;

use deft_core::options::nearest;
use deft_core::prelude::*;

use crate::metric::slug;

/// Whether a category is one of those asked for, or none is: however it is spaced and capitalised.
pub(crate) fn is_asked(category: &str, asked: &[String]) -> bool {
    asked.is_empty() || asked.iter().any(|name| is_same(name, category))
}

fn is_same(a: &str, b: &str) -> bool {
    slug(a) == slug(b)
}

/// The categories of the tasks that were read so far.
#[derive(Debug, Default)]
pub(crate) struct Categories(BTreeSet<String>);

impl Categories {
    pub(crate) fn note(&mut self, category: &str) {
        if !category.is_empty() && !self.0.contains(category) {
            self.0.insert(category.to_owned());
        }
    }

    /// Refuses categories that no task of a folder has: a misspelt one would only make a smaller set.
    /// Every task must have been read, since nothing else says what its category is.
    pub(crate) fn check(&self, asked: &[String]) -> Result<()> {
        let is_missing = |name: &String| !self.0.iter().any(|known| is_same(known, name));
        let Some(place) = asked.iter().position(is_missing) else { return Ok(()) };
        let known: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let listed = format!("its categories: {}", known.join(", "));
        let hint = match nearest(&asked[place], known) {
            Some(name) => format!("did you mean `{name}`? {listed}"),
            None => listed,
        };
        let message = format!("no task of the source is of the category `{}`", asked[place]);
        Err(Error::option_at(format!("categories[{place}]"), message).with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &[&str]) -> Result<()> {
        let mut categories = Categories::default();
        for category in ["Summarization", "Textual Entailment", "Summarization"] {
            categories.note(category);
        }
        let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
        categories.check(&asked)
    }

    #[test]
    fn a_category_that_no_task_has_is_refused_with_the_nearest_and_all() {
        check(&[]).unwrap();
        check(&["textual  entailment", "Summarization"]).unwrap();
        let error = check(&["Textual Entailment", "Summarisation"]).unwrap_err();
        assert_eq!(error.option(), Some("categories[1]"));
        assert_eq!(error.message(), "no task of the source is of the category `Summarisation`");
        assert_eq!(
            error.hint(),
            Some("did you mean `Summarization`? its categories: Summarization, Textual Entailment")
        );
        let error = check(&["Coherence"]).unwrap_err();
        assert_eq!(error.hint(), Some("its categories: Summarization, Textual Entailment"));
    }
}
