//! `Dataset.shuffle` and `Dataset.train_test_split` of Hugging Face's `datasets`.

use crate::NumpyRng;

/// The positions of `n` rows in the order of `shuffle(seed)`.
pub fn shuffle(n: usize, seed: u64) -> Vec<usize> {
    NumpyRng::new(seed).permutation(n)
}

/// The size that a split is asked for by; the other part has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// `train_size`: rows of the part `train`.
    Train(usize),
    /// `test_size`: rows of the part `test`.
    Test(usize),
}

/// Rows in two parts, each in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Positions of the rows of the part `train`.
    pub train: Vec<usize>,
    /// Positions of the rows of the part `test`.
    pub test: Vec<usize>,
}

/// The positions of `n` rows as `train_test_split(train_size or test_size, seed)` parts them: of
/// the order of [`shuffle`] the first are `test`, the others `train`.
///
/// A size larger than `n` is `n`: the other part is empty, where `datasets` refuses to split.
///
/// ```
/// use deft_splits::{Held, train_test_split};
///
/// let split = train_test_split(10, Held::Train(3), 42);
/// assert_eq!(split.train, [9, 1, 8]);
/// assert_eq!(split.test, [5, 6, 0, 7, 3, 2, 4]);
/// ```
pub fn train_test_split(n: usize, held: Held, seed: u64) -> Split {
    let test = match held {
        Held::Train(size) => n.saturating_sub(size),
        Held::Test(size) => size.min(n),
    };
    let mut order = shuffle(n, seed);
    let train = order.split_off(test);
    Split { train, test: order }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_evaluation_rows_are_those_of_the_paper() {
        let casehold = train_test_split(3900, Held::Train(1000), 42);
        assert_eq!(casehold.train[..5], [704, 1937, 3640, 2698, 2546]);
        assert_eq!(casehold.test[..5], [619, 2404, 122, 2402, 1143]);
        let drop = train_test_split(9535, Held::Train(1000), 42);
        assert_eq!(drop.train[..5], [3641, 1295, 4309, 1159, 2]);
        assert_eq!(drop.test[..5], [3019, 1979, 2506, 6797, 5480]);
        assert_eq!(shuffle(250, 42)[..4], [120, 50, 54, 46]);
        assert_eq!(shuffle(2490, 42)[..4], [1913, 795, 1455, 1390]);
    }

    #[test]
    fn a_size_beyond_the_rows_leaves_nothing_for_the_other_part() {
        for (held, train, test) in
            [(Held::Train(9), 5, 0), (Held::Test(9), 0, 5), (Held::Train(0), 0, 5)]
        {
            let split = train_test_split(5, held, 1);
            assert_eq!((split.train.len(), split.test.len()), (train, test));
        }
    }
}
