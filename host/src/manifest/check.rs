//! What the types of a manifest cannot express.
//!
//! Every check takes time in proportion to the manifest, which may have many thousands of arms.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use deft_core::{Error, Result, excerpt};

use super::mix::Known;
use super::{Block, Manifest, Task};

/// Longest name, in characters: names become folders, with endings of their own.
const MAX_NAME: usize = 100;

/// Arms of a circle that a message names.
const MAX_SHOWN: usize = 8;

impl Manifest {
    pub(super) fn check(&self) -> Result<()> {
        let at = |path: &str, message: &str| Error::option_at(path, message);
        if self.version != 1 {
            return Err(at("version", &format!("version {} is unknown", self.version))
                .with_hint("this deft reads version 1"));
        }
        check_name("name", &self.name)?;
        if self.rows_per_part == 0 {
            return Err(at("rows_per_part", "must be at least 1"));
        }
        if self.pool.is_empty() {
            return Err(at("pool", "needs at least one source"));
        }
        if self.seeds.is_empty() {
            return Err(at("seeds", "needs at least one seed"));
        }
        let mut seeds = HashSet::new();
        if let Some(i) = self.seeds.iter().position(|seed| !seeds.insert(seed)) {
            let message = format!("seed {} comes twice: each is trained once", self.seeds[i]);
            return Err(at(&format!("seeds[{i}]"), &message));
        }
        if self.arms.is_empty() {
            return Err(at("arms", "needs at least one arm")
                .with_hint("without `arms` there is one, `retrieved`"));
        }
        if let Some(i) = self.pool.iter().position(|entry| entry.limit == Some(0)) {
            return Err(at(&format!("pool[{i}].limit"), "must be at least 1"));
        }
        if self.trainer.as_ref().is_some_and(Block::is_none) {
            return Err(at("trainer", "`none` is for arms: leave `trainer` out"));
        }
        self.selection.check().map_err(|error| error.within_option("selection"))?;
        check_tasks(&self.tasks)?;
        let known = Known::of(self);
        for name in self.arms.keys() {
            check_name(&format!("arms.{name}"), name)?;
            self.check_arm(name, &known)?;
        }
        self.arm_order().map(|_| ())
    }

    fn check_arm(&self, name: &str, known: &Known<'_>) -> Result<()> {
        let arm = &self.arms[name];
        let path = format!("arms.{name}");
        let (selection, of_selection) = (self.selection_of(name), self.selection_path(name));
        selection.check().map_err(|error| error.within_option(&of_selection))?;
        known.check_mix(arm).map_err(|error| error.within_option(&path))?;
        let same_as = format!("{of_selection}.same_as");
        if let Some(other) = &selection.same_as {
            known.check_arm_is_there(&same_as, other)?;
        }
        if !known.selects(name) {
            return Ok(());
        }
        if let Some(other) = &selection.same_as {
            known.check_arm_selects(&same_as, other)?;
        }
        if selection.policy.needs_hits() {
            let policy = selection.policy.name();
            let needs =
                |what: &str| Error::option_at(&path, format!("policy `{policy}` needs {what}"));
            if arm.retriever.is_none() && self.retriever.is_none() {
                return Err(needs("a `retriever`"));
            }
            if let Some(task) = known.unsearched {
                return Err(needs(&format!("`query_source` in task `{task}`")));
            }
        }
        Ok(())
    }

    /// The arms, each after those whose size it takes or whose selections it trains on; otherwise
    /// as the manifest lists them.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] when `same_as` and `train_on` go in a circle.
    pub fn arm_order(&self) -> Result<Vec<&str>> {
        let names: Vec<&str> = self.arms.keys().map(String::as_str).collect();
        // What can come next, the first of the list foremost; what waits for which arm, and for how
        // many.
        let mut ready = BinaryHeap::new();
        let mut waiting: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut missing = vec![0_usize; names.len()];
        for (i, &name) in names.iter().enumerate() {
            for other in self.arms_before(name) {
                waiting.entry(other).or_default().push(i);
                missing[i] += 1;
            }
            if missing[i] == 0 {
                ready.push(Reverse(i));
            }
        }
        let mut order = Vec::with_capacity(names.len());
        while let Some(Reverse(i)) = ready.pop() {
            order.push(names[i]);
            for next in waiting.remove(names[i]).into_iter().flatten() {
                missing[next] -= 1;
                if missing[next] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if order.len() < names.len() {
            return Err(self.circle_error(&self.circle(&order)));
        }
        Ok(order)
    }

    fn circle_error(&self, circle: &[&str]) -> Error {
        let (first, next) = (circle[0], circle[1]);
        let takes_size = self.selection_of(first).same_as.as_deref() == Some(next);
        let option = if takes_size && self.selects(first) {
            format!("{}.same_as", self.selection_path(first))
        } else {
            format!("arms.{first}.train_on")
        };
        let mut shown = circle.iter().take(MAX_SHOWN).copied().collect::<Vec<_>>().join(", ");
        if circle.len() > MAX_SHOWN {
            shown += ", …";
        }
        let message =
            format!("`same_as` and `train_on` go in a circle (each waits for the next: {shown})");
        Error::option_at(option, message)
            .with_hint("an arm comes after those whose size or selection it takes")
    }

    /// Arms that wait for each other, the first once more at the end, where not all have a place in an
    /// order.
    fn circle(&self, placed: &[&str]) -> Vec<&str> {
        let placed: HashSet<&str> = placed.iter().copied().collect();
        let waits = |name: &&str| !placed.contains(name);
        let mut path: Vec<&str> =
            self.arms.keys().map(String::as_str).filter(waits).take(1).collect();
        let mut steps: HashMap<&str, usize> = HashMap::new();
        // Whoever waits, waits for one that waits: sooner or later for one that was here before.
        while let Some(&last) = path.last() {
            if let Some(first) = steps.insert(last, path.len() - 1) {
                return path.split_off(first);
            }
            path.extend(self.arms_before(last).find(waits));
        }
        path
    }
}

/// Checks the names, the sources and the patterns of tasks.
pub(super) fn check_tasks(tasks: &[Task]) -> Result<()> {
    let mut names = HashSet::new();
    for (i, task) in tasks.iter().enumerate() {
        check_name(&format!("tasks[{i}].name"), &task.name)?;
        if !names.insert(&task.name) {
            let path = format!("tasks[{i}].name");
            return Err(Error::option_at(path, "another task has this name"));
        }
    }
    for (i, task) in tasks.iter().enumerate() {
        let within = |error: Error| error.within_option(&format!("tasks[{i}]"));
        for (key, source) in task.sources() {
            source.check().map_err(|error| within(error.within_option(key)))?;
        }
        task.related_patterns().map_err(within)?;
    }
    Ok(())
}

/// Names become folders: no separators, nothing hidden, not too long.
fn check_name(path: &str, name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let is_long = name.chars().count() > MAX_NAME;
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fine) || is_long {
        return Err(Error::option_at(path, format!("`{}` cannot name a folder", excerpt(name)))
            .with_hint(format!(
                "allowed: letters, digits, - _ . + and no leading full stop, at most {MAX_NAME}"
            )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, load};
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    #[test]
    fn arms_follow_those_whose_size_or_selection_they_take_and_else_the_list() {
        let random =
            |other: &str| format!("{{ selection: {{ policy: random, same_as: {other} }} }}");
        let text = format!(
            "{HEAD}arms:\n  a: {}\n  b: {{}}\n  c: {}\n  d: {{}}\n",
            random("d"),
            random("b")
        );
        assert_eq!(load(&text).unwrap().0.arm_order().unwrap(), ["b", "c", "d", "a"]);
        let trained = "{ train_on: [{ selection: d }, { selection: b }] }";
        let text = format!("{HEAD}arms:\n  a: {trained}\n  b: {{}}\n  c: {{}}\n  d: {{}}\n");
        assert_eq!(load(&text).unwrap().0.arm_order().unwrap(), ["b", "c", "d", "a"]);
    }

    #[test]
    fn arms_that_wait_for_each_other_are_refused() {
        let random = |other: &str| format!("selection: {{ policy: random, same_as: {other} }}");
        let mixed = |other: &str| format!("train_on: [selection, {{ selection: {other} }}]");
        for (a, b) in [
            (random("b"), random("a")),
            (mixed("b"), mixed("a")),
            (random("b"), mixed("a")),
            (random("a"), String::new()),
        ] {
            let text = format!("{HEAD}arms:\n  a: {{ {a} }}\n  b: {{ {b} }}\n");
            let error = load(&text).unwrap_err();
            assert!(
                error.message().contains("go in a circle (each waits for the next: a, "),
                "{error}"
            );
            assert!(error.context("at").unwrap().contains("m.yaml:8:"), "{error}");
        }
        let after = |other: &str| random(other);
        let (c, a, b) = (after("a"), after("b"), after("a"));
        let text = format!("{HEAD}arms:\n  c: {{ {c} }}\n  a: {{ {a} }}\n  b: {{ {b} }}\n");
        let error = load(&text).unwrap_err();
        assert!(
            error.message().ends_with("next: a, b, a)"),
            "c waits, and is in no circle: {error}"
        );
        // There is one arm, whose selection is the manifest's.
        let text = format!("{HEAD}selection: {{ policy: random, same_as: retrieved }}\n");
        let error = load(&text).unwrap_err();
        assert!(error.message().ends_with("next: retrieved, retrieved)"), "{error}");
        assert!(error.context("at").unwrap().contains("m.yaml:7:"), "{error}");
        // Its own selection is nothing that an arm waits for.
        load(&format!("{HEAD}arms:\n  a: {{ {} }}\n", mixed("a"))).unwrap();
    }

    #[test]
    fn many_arms_and_tasks_are_checked_in_time() {
        let mut text = HEAD.replace("tasks: []\n", "");
        text.push_str("tasks:\n");
        for i in 0..20_000 {
            writeln!(text, "  - {{ name: t{i}, reader: p3, query_source: q }}").unwrap();
        }
        text.push_str("arms:\n");
        for i in 0..20_000 {
            let after = i + 1;
            writeln!(text, "  a{i}: {{ selection: {{ policy: random, same_as: a{after} }} }}")
                .unwrap();
        }
        text.push_str("  a20000: {}\n");
        let start = Instant::now();
        let order = load(&text).unwrap().0;
        assert_eq!(order.arm_order().unwrap()[0], "a20000");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_name_that_no_folder_can_have_is_refused_in_a_few_words() {
        for name in ["x".repeat(101), "x".repeat(1_000_000), "a/b".to_owned(), ".a".to_owned()] {
            let error = load(&HEAD.replace("name: x", &format!("name: {name}"))).unwrap_err();
            assert!(error.message().ends_with("cannot name a folder"), "{error}");
            assert!(error.message().len() < 200);
            assert!(error.context("at").unwrap().ends_with("m.yaml:2:1"));
        }
    }
}
