//! Taking examples in an order, until there are enough.

use deft_core::{Example, Examples, Result};

use super::Selected;

/// How much is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everything that is offered.
    All,
    /// So many examples.
    Examples(usize),
    /// Examples until their targets have so many words together, separated by white space.
    TargetWords(u64),
}

/// Decides which examples are taken.
pub trait Admit {
    /// Whether it looks at examples at all; if not, none is read for it.
    fn looks(&self) -> bool;

    /// Whether the example is taken, which is then remembered.
    ///
    /// # Errors
    ///
    /// Whatever ends the selection.
    fn admit(&mut self, id: u64, example: &Example) -> Result<bool>;
}

/// Examples that are read at once.
const AT_ONCE: usize = 1024;

/// Takes what is offered, in that order, as far as it is admitted and until there is enough. A refused
/// example is replaced by the next.
///
/// # Errors
///
/// Those of the pool and of `admit`.
pub fn take(
    order: impl Iterator<Item = Selected>,
    wanted: Wanted,
    pool: &dyn Examples,
    admit: &mut dyn Admit,
) -> Result<Vec<Selected>> {
    let mut order = order.fuse();
    let (mut taken, mut words) = (Vec::new(), 0);
    let counts_words = matches!(wanted, Wanted::TargetWords(_));
    loop {
        let left = match wanted {
            Wanted::Examples(size) => size - taken.len(),
            Wanted::TargetWords(enough) if words >= enough => 0,
            Wanted::All | Wanted::TargetWords(_) => AT_ONCE,
        };
        let offered: Vec<Selected> = order.by_ref().take(left.min(AT_ONCE)).collect();
        if offered.is_empty() {
            return Ok(taken);
        }
        if !admit.looks() && !counts_words {
            taken.extend(offered);
            continue;
        }
        let examples = examples_of(pool, &offered)?;
        for (one, example) in offered.into_iter().zip(&examples) {
            let enough = matches!(wanted, Wanted::TargetWords(enough) if words >= enough);
            if !enough && (!admit.looks() || admit.admit(one.id, example)?) {
                words += words_of(example);
                taken.push(one);
            }
        }
    }
}

/// The examples, read in the order in which they are stored.
fn examples_of(pool: &dyn Examples, offered: &[Selected]) -> Result<Vec<Example>> {
    let mut places: Vec<usize> = (0..offered.len()).collect();
    places.sort_unstable_by_key(|&place| offered[place].id);
    let position = |&place: &usize| usize::try_from(offered[place].id).unwrap_or(usize::MAX);
    let positions: Vec<usize> = places.iter().map(position).collect();
    let mut found = vec![Example::default(); offered.len()];
    for (place, example) in places.into_iter().zip(pool.get(&positions)?) {
        found[place] = example;
    }
    Ok(found)
}

/// Words of an example's target, separated by white space.
pub(super) fn words_of(example: &Example) -> u64 {
    example.target.as_deref().map_or(0, |target| target.split_whitespace().count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits odd ids, and counts what it was asked.
    struct Odd(usize);

    impl Admit for Odd {
        fn looks(&self) -> bool {
            true
        }

        fn admit(&mut self, id: u64, example: &Example) -> Result<bool> {
            assert_eq!(example.input, id.to_string());
            self.0 += 1;
            Ok(id % 2 == 1)
        }
    }

    struct Everything;

    impl Admit for Everything {
        fn looks(&self) -> bool {
            false
        }

        fn admit(&mut self, _id: u64, _example: &Example) -> Result<bool> {
            unreachable!("it does not look")
        }
    }

    fn pool(rows: u64) -> Vec<Example> {
        let example = |id: u64| Example {
            input: id.to_string(),
            target: Some("two words".to_owned()),
            ..Example::default()
        };
        (0..rows).map(example).collect()
    }

    fn order(ids: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Selected> {
        ids.into_iter().map(Selected::without_evidence)
    }

    fn ids(taken: &[Selected]) -> Vec<u64> {
        taken.iter().map(|one| one.id).collect()
    }

    #[test]
    fn refused_examples_are_replaced_by_the_next_and_no_more_are_looked_at_than_need_be() {
        let mut odd = Odd(0);
        let taken = take(order([4, 9, 2, 7, 1, 3]), Wanted::Examples(2), &pool(10), &mut odd);
        assert_eq!((ids(&taken.unwrap()), odd.0), (vec![9, 7], 4));
        let all = take(order((0..5000).rev()), Wanted::Examples(9000), &pool(5000), &mut odd);
        assert_eq!(all.unwrap().len(), 2500);
    }

    #[test]
    fn without_anything_to_look_at_nothing_is_read() {
        let empty = pool(0);
        let taken = take(order([4, 9, 2]), Wanted::Examples(2), &empty, &mut Everything);
        assert_eq!(ids(&taken.unwrap()), [4, 9]);
        let taken = take(order([4, 9, 2]), Wanted::All, &empty, &mut Everything);
        assert_eq!(taken.unwrap().len(), 3);
    }

    #[test]
    fn words_of_targets_are_counted_and_the_last_may_go_beyond() {
        let some = pool(10);
        let taken = |words| {
            let wanted = Wanted::TargetWords(words);
            ids(&take(order([5, 3, 8]), wanted, &some, &mut Everything).unwrap())
        };
        assert_eq!(taken(2), [5]);
        assert_eq!(taken(3), [5, 3]);
        assert_eq!(taken(900), [5, 3, 8]);
    }
}
