//! Taking examples in an order, until there are enough.

use deft_core::{Context, Example, Examples, Result};

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
    /// What is kept of an example until its turn comes.
    type Facts;

    /// Whether it looks at examples at all; if not, none is read for it.
    fn looks(&self) -> bool;

    /// Of how many examples the facts may be held at once, at least 1.
    fn held(&self) -> usize;

    /// What must be known of an example, whatever is taken before it.
    fn look(&self, example: Example) -> Self::Facts;

    /// Whether the example is taken, which is then remembered. This is asked in the policy's order.
    fn admit(&mut self, id: u64, facts: Self::Facts) -> bool;
}

/// Examples that are read at once.
const AT_ONCE: usize = 1024;

/// Takes what is offered, in that order, as far as it is admitted and until there is enough. A refused
/// example is replaced by the next.
///
/// An order goes to and fro in the pool, which is stored in groups that are read as a whole. So the
/// examples that are likely to be needed are looked at in the pool's order first, and then admitted in
/// theirs.
///
/// # Errors
///
/// Those of the pool; [`deft_core::ErrorKind::Cancelled`].
pub fn take<A: Admit>(
    order: impl Iterator<Item = Selected>,
    wanted: Wanted,
    pool: &dyn Examples,
    ctx: &Context<'_>,
    admit: &mut A,
) -> Result<Vec<Selected>> {
    let mut order = order.fuse();
    let (mut taken, mut words) = (Vec::new(), 0);
    let looks = admit.looks();
    let reads = looks || matches!(wanted, Wanted::TargetWords(_));
    loop {
        let left = match wanted {
            Wanted::Examples(size) => size - taken.len(),
            Wanted::TargetWords(enough) if words >= enough => 0,
            // How many they will be is not known.
            Wanted::TargetWords(_) => AT_ONCE,
            Wanted::All => usize::MAX,
        };
        let offered: Vec<Selected> = order.by_ref().take(left.min(admit.held())).collect();
        if offered.is_empty() {
            return Ok(taken);
        }
        if !reads {
            taken.extend(offered);
            continue;
        }
        let looked = look_at(&offered, pool, ctx, admit)?;
        for (one, looked) in offered.into_iter().zip(looked) {
            if matches!(wanted, Wanted::TargetWords(enough) if words >= enough) {
                break;
            }
            if !looks || admit.admit(one.id, looked.facts) {
                words += looked.words;
                taken.push(one);
            }
        }
    }
}

/// An example that was looked at.
struct Looked<F> {
    /// Its place among those offered.
    place: usize,
    /// Words of its target.
    words: u64,
    facts: F,
}

/// What must be known of the examples offered, in their order; they are read in the pool's.
fn look_at<A: Admit>(
    offered: &[Selected],
    pool: &dyn Examples,
    ctx: &Context<'_>,
    admit: &A,
) -> Result<Vec<Looked<A::Facts>>> {
    let mut places: Vec<usize> = (0..offered.len()).collect();
    places.sort_unstable_by_key(|&place| offered[place].id);
    let position = |&place: &usize| usize::try_from(offered[place].id).unwrap_or(usize::MAX);
    let mut looked = Vec::with_capacity(offered.len());
    for places in places.chunks(AT_ONCE) {
        ctx.check()?;
        let positions: Vec<usize> = places.iter().map(position).collect();
        for (&place, example) in places.iter().zip(pool.get(&positions)?) {
            let words = words_of(&example);
            looked.push(Looked { place, words, facts: admit.look(example) });
        }
        ctx.progress(looked.len(), offered.len(), "examples");
    }
    looked.sort_unstable_by_key(|one| one.place);
    Ok(looked)
}

/// Words of the targets of some examples together, separated by white space.
///
/// # Errors
///
/// Those of the pool.
pub fn target_words(taken: &[Selected], pool: &dyn Examples) -> Result<u64> {
    let mut words = 0;
    for chunk in taken.chunks(1024) {
        let position = |one: &Selected| usize::try_from(one.id).unwrap_or(usize::MAX);
        let mut positions: Vec<usize> = chunk.iter().map(position).collect();
        positions.sort_unstable();
        words += pool.get(&positions)?.iter().map(words_of).sum::<u64>();
    }
    Ok(words)
}

/// Words of an example's target, separated by white space.
pub(super) fn words_of(example: &Example) -> u64 {
    example.target.as_deref().map_or(0, |target| target.split_whitespace().count() as u64)
}

#[cfg(test)]
mod tests {
    use deft_core::NoServices;

    use super::*;

    /// Admits odd ids, and counts what it was asked; it holds the facts of few examples at once.
    struct Odd(usize);

    impl Admit for Odd {
        type Facts = String;

        fn looks(&self) -> bool {
            true
        }

        fn held(&self) -> usize {
            1500
        }

        fn look(&self, example: Example) -> String {
            example.input
        }

        fn admit(&mut self, id: u64, input: String) -> bool {
            assert_eq!(input, id.to_string());
            self.0 += 1;
            id % 2 == 1
        }
    }

    struct Everything;

    impl Admit for Everything {
        type Facts = ();

        fn looks(&self) -> bool {
            false
        }

        fn held(&self) -> usize {
            2
        }

        fn look(&self, _example: Example) {}

        fn admit(&mut self, _id: u64, (): ()) -> bool {
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

    /// The ids that are taken of a pool of so many rows.
    fn taken(
        ids: impl IntoIterator<Item = u64>,
        wanted: Wanted,
        rows: u64,
        admit: &mut impl Admit,
    ) -> Vec<u64> {
        let order = ids.into_iter().map(Selected::without_evidence);
        let ctx = Context::new(&NoServices, 0, 1);
        let taken = take(order, wanted, &pool(rows), &ctx, admit).unwrap();
        taken.iter().map(|one| one.id).collect()
    }

    #[test]
    fn refused_examples_are_replaced_by_the_next_and_no_more_are_looked_at_than_need_be() {
        let mut odd = Odd(0);
        assert_eq!(taken([4, 9, 2, 7, 1, 3], Wanted::Examples(2), 10, &mut odd), [9, 7]);
        assert_eq!(odd.0, 4);
        let all = taken((0..5000).rev(), Wanted::Examples(9000), 5000, &mut odd);
        assert_eq!(all, (0..5000).rev().filter(|id| id % 2 == 1).collect::<Vec<_>>());
    }

    #[test]
    fn without_anything_to_look_at_nothing_is_read() {
        let some = |wanted| taken([4, 9, 2], wanted, 0, &mut Everything);
        assert_eq!(some(Wanted::Examples(2)), [4, 9]);
        assert_eq!(some(Wanted::All), [4, 9, 2]);
    }

    #[test]
    fn words_of_targets_are_counted_and_the_last_may_go_beyond() {
        let some = |words| taken([5, 3, 8], Wanted::TargetWords(words), 10, &mut Everything);
        assert_eq!(some(2), [5]);
        assert_eq!(some(3), [5, 3]);
        assert_eq!(some(900), [5, 3, 8]);
    }
}
