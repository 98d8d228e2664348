//! Which options of a selection belong to which policy.

use deft_core::{Error, Result};

use super::{BelowMinRecall, Policy, Selection};

/// The ways to say how much is selected.
const SIZES: &str = "`size`, `share`, `target_words` or `same_as`";

impl Selection {
    pub(super) fn check(&self) -> Result<()> {
        self.check_search()?;
        self.check_sizes()?;
        self.check_numbers()?;
        self.check_ids()?;
        self.contamination.check().map_err(|error| error.within_option("contamination"))
    }

    fn check_search(&self) -> Result<()> {
        if self.policy.needs_hits() {
            for (name, value) in [("queries", self.queries), ("neighbors", self.neighbors)] {
                if value == 0 {
                    return Err(Error::option_at(name, "must be at least 1"));
                }
            }
            return self.check_recall();
        }
        if self.min_recall.is_some() {
            let policy = self.policy.name();
            let message = format!("is for policies that search the pool, and `{policy}` does not");
            return Err(Error::option_at("min_recall", message));
        }
        Ok(())
    }

    fn check_recall(&self) -> Result<()> {
        let Some(least) = self.min_recall else {
            if self.below_min_recall == BelowMinRecall::Refuse {
                return Ok(());
            }
            return Err(Error::option_at("below_min_recall", "needs `min_recall`")
                .with_hint("say how much is to be found: `min_recall: 0.95`"));
        };
        if !(0.0..=1.0).contains(&least) {
            let message = format!("must be from 0 to 1 (min_recall: {least})");
            let error = Error::option_at("min_recall", message);
            return Err(error.with_hint("it is a share: 0.95 for 95 %"));
        }
        if self.recall_queries == 0 {
            return Err(Error::option_at("min_recall", "needs `recall_queries` of at least 1")
                .with_hint("without queries to measure with, nobody knows what is found"));
        }
        Ok(())
    }

    /// The options given that say how much is selected.
    fn sizes(&self) -> Vec<&'static str> {
        [
            ("size", self.size.is_some()),
            ("share", self.share.is_some()),
            ("target_words", self.target_words.is_some()),
            ("same_as", self.same_as.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
    }

    fn check_sizes(&self) -> Result<()> {
        let (name, given) = (self.policy.name(), self.sizes());
        let refused = |message: String| Err(Error::option_at("policy", message));
        match self.policy {
            Policy::All if !given.is_empty() => {
                return refused(format!("`all` takes none of {SIZES}"));
            }
            Policy::Union => {
                let other = given.iter().find(|name| ["target_words", "same_as"].contains(name));
                if let Some(other) = other {
                    let message = "is for policies that take one example after the other; `union` \
                                   takes `size` or `share`";
                    return Err(Error::option_at(*other, message).with_hint(
                        "`round_robin` has the hits of a union, and just as many as asked",
                    ));
                }
            }
            Policy::All | Policy::Ids => {}
            _ if given.is_empty() => return refused(format!("`{name}` needs either {SIZES}")),
            _ => {}
        }
        if given.len() > 1 {
            return refused(format!("`{name}` takes one of {SIZES} (given: {})", given.join(", ")));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        for (name, value) in [
            ("size", self.size),
            ("target_words", self.target_words),
            ("max_per_dataset", self.max_per_dataset),
        ] {
            if value == Some(0) {
                return Err(Error::option_at(name, "must be at least 1"));
            }
        }
        match self.share {
            Some(share) if share > 0.0 && share <= 1.0 => Ok(()),
            Some(share) => {
                let message = format!("must be above 0 and at most 1 (share: {share})");
                Err(Error::option_at("share", message).with_hint("0.02 for 2 % of the pool"))
            }
            None => Ok(()),
        }
    }

    fn check_ids(&self) -> Result<()> {
        match (&self.ids, self.policy) {
            (None, Policy::Ids) => {
                Err(Error::option_at("policy", "`ids` needs a file, `ids: FILE`")
                    .with_hint("one id on each line, as a run's `selection.ids` has them"))
            }
            (Some(_), policy) if policy != Policy::Ids => {
                Err(Error::option_at("ids", "is for policy `ids`"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use deft_core::Error;

    use super::super::testing::{HEAD, load};

    /// These options are refused at the place of a text, with these words.
    fn refused(options: &str, place: &str, message: &str) -> Error {
        let text = format!("{HEAD}selection: {{ {options} }}\n");
        let error = load(&text).expect_err(options);
        let column = text.lines().last().unwrap().find(place).unwrap() + 1;
        let at = error.context("at").unwrap();
        assert!(at.ends_with(&format!("m.yaml:7:{column}")), "{error} for {options}");
        assert!(error.message().contains(message), "{error} for {options}");
        error
    }

    /// These options are accepted, and what a run writes down of them can be read again.
    fn accepted(options: &str) {
        let (manifest, _) = load(&format!("{HEAD}selection: {{ {options} }}\n"))
            .unwrap_or_else(|error| panic!("{options}: {error}"));
        let written = serde_yaml::to_string(&manifest).unwrap();
        assert_eq!(load(&written).unwrap().0.selection, manifest.selection, "{options}");
    }

    #[test]
    fn what_is_said_of_recall_is_checked_with_its_place() {
        for value in ["1.01", "-0.5", "95"] {
            refused(&format!("min_recall: {value}"), "min_recall", "must be from 0 to 1");
        }
        refused("below_min_recall: exact", "below_min", "needs `min_recall`");
        refused("min_recall: 1, recall_queries: 0", "min_recall", "`recall_queries`");
        let message = "is for policies that search the pool, and `all` does not";
        refused("policy: all, min_recall: 0.9", "min_recall", message);
        let misspelt = refused("below_min_recall: exat", "below_min", "unknown value `exat`");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `exact`?"), "{misspelt}");
        let misspelt = refused("recall_querys: 3", "recall_querys", "unknown option");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `recall_queries`?"));
        for options in ["min_recall: 0", "min_recall: 1.0, below_min_recall: exact", "queries: 3"] {
            accepted(options);
        }
    }

    #[test]
    fn each_policy_takes_the_sizes_that_it_can_keep_to() {
        let sizes = ["size: 5", "share: 0.02", "target_words: 900"];
        for policy in ["round_robin", "frequency", "top_score", "coreset", "random", "balanced"] {
            let needs =
                format!("`{policy}` needs either `size`, `share`, `target_words` or `same_as`");
            refused(&format!("policy: {policy}"), "policy", &needs);
            let two = format!("policy: {policy}, size: 5, share: 0.5");
            refused(
                &two,
                "policy",
                "takes one of `size`, `share`, `target_words` or `same_as` (given: size, share)",
            );
            for size in sizes {
                accepted(&format!("policy: {policy}, {size}"));
            }
        }
        accepted("policy: union");
        for size in &sizes[..2] {
            accepted(&format!("policy: union, {size}"));
        }
        for option in ["target_words: 5", "same_as: retrieved"] {
            let name = option.split(':').next().unwrap();
            refused(option, name, "`union` takes `size` or `share`");
        }
        refused("policy: union, size: 5, share: 0.1", "policy", "`union` takes one of");
        refused("policy: all, size: 5", "policy", "`all` takes none of `size`");
        for (option, place) in [("size: 0", "size"), ("policy: random, target_words: 0", "target")]
        {
            refused(option, place, "must be at least 1");
        }
        for share in ["0", "1.5", "-1"] {
            refused(&format!("share: {share}"), "share", "must be above 0 and at most 1");
        }
    }

    #[test]
    fn a_list_of_ids_is_for_its_policy_and_needed_there() {
        refused("policy: ids", "policy", "`ids` needs a file");
        refused("ids: a.ids", "ids", "is for policy `ids`");
        accepted("policy: ids, ids: a.ids");
        accepted("policy: ids, ids: a.ids, size: 3");
    }

    #[test]
    fn contamination_is_a_word_or_a_map() {
        use crate::manifest::{ContaminationAction, ContaminationCheck};
        let of = |options: &str| {
            let text = format!("{HEAD}selection: {{ {options} }}\n");
            load(&text).unwrap().0.selection.contamination
        };
        let default = ContaminationCheck::default();
        assert_eq!(default.action, ContaminationAction::Drop);
        assert_eq!(of("queries: 3"), default);
        let kept = ContaminationCheck { action: ContaminationAction::Keep, ..default };
        assert_eq!(of("contamination: keep"), kept);
        assert_eq!(of("contamination: { ngram: 5 }"), ContaminationCheck { ngram: 5, ..default });
        for options in ["contamination: fail", "contamination: { action: keep, threshold: 1 }"] {
            accepted(options);
        }
        refused("contamination: { ngram: 0 }", "ngram", "must be at least 1");
        refused("contamination: { threshold: 2 }", "threshold", "must be above 0 and at most 1");
        let misspelt = refused("contamination: dorp", "contamination", "unknown value `dorp`");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `drop`?"), "{misspelt}");
        let misspelt = refused("contamination: { ngrams: 3 }", "ngrams", "unknown option `ngrams`");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `ngram`?"), "{misspelt}");
    }

    #[test]
    fn admission_has_options_of_any_policy() {
        accepted("policy: all, max_per_dataset: 7, duplicates: near");
        accepted("duplicates: exact");
        refused("max_per_dataset: 0", "max_per", "must be at least 1");
        refused("duplicates: nearly", "duplicates", "unknown value `nearly`");
    }
}
