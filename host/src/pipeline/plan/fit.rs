//! From what a sample took to what all will take.

/// What something takes: a fixed part, and a part for each of so many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    fixed: f64,
    each: f64,
}

impl Fit {
    /// Of the times that one or two amounts took, the larger last. Where more took no longer, chance
    /// was at work: then all is taken to grow with the amount.
    pub(super) fn of_times(points: &[(f64, f64)]) -> Option<Self> {
        let line = Self::line(points).filter(|fit| fit.each > 0.0);
        line.or_else(|| Self::proportional(points))
    }

    /// Of the bytes that one or two amounts left, the larger last. Where more left no more, it will
    /// stay so.
    pub(super) fn of_bytes(points: &[(f64, f64)]) -> Option<Self> {
        match Self::line(points) {
            Some(fit) if fit.each >= 0.0 => Some(fit),
            Some(_) => points.last().map(|&(_, bytes)| Self { fixed: bytes, each: 0.0 }),
            None => Self::proportional(points),
        }
    }

    fn line(points: &[(f64, f64)]) -> Option<Self> {
        let [.., (less, first), (more, last)] = *points else { return None };
        let each = (last - first) / (more - less);
        (more > less).then(|| Self { fixed: (first - each * less).max(0.0), each })
    }

    fn proportional(points: &[(f64, f64)]) -> Option<Self> {
        let &(amount, taken) = points.last()?;
        (amount > 0.0).then(|| Self { fixed: 0.0, each: taken / amount })
    }

    /// What so many take.
    pub(super) fn at(&self, amount: f64) -> f64 {
        self.fixed + self.each * amount
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_part_is_told_apart_by_two_amounts() {
        let fit = Fit::of_times(&[(10.0, 3.0), (40.0, 6.0)]).unwrap();
        assert_eq!((fit.at(0.0), fit.at(1000.0)), (2.0, 102.0));
        // More than in proportion: no fixed part below nothing.
        let fit = Fit::of_times(&[(10.0, 1.0), (20.0, 3.0)]).unwrap();
        assert_eq!(fit.at(0.0), 0.0);
    }

    #[test]
    fn one_amount_and_chance_are_taken_in_proportion() {
        assert_eq!(Fit::of_times(&[(4.0, 2.0)]).unwrap().at(100.0), 50.0);
        assert_eq!(Fit::of_times(&[(4.0, 3.0), (8.0, 2.0)]).unwrap().at(100.0), 25.0);
        assert_eq!(Fit::of_times(&[(4.0, 3.0), (4.0, 2.0)]).unwrap().at(100.0), 50.0);
        assert_eq!(Fit::of_times(&[]), None);
        assert_eq!(Fit::of_times(&[(0.0, 2.0)]), None);
    }

    #[test]
    fn bytes_that_do_not_grow_stay_what_they_are() {
        assert_eq!(Fit::of_bytes(&[(4.0, 70.0), (8.0, 70.0)]).unwrap().at(1e9), 70.0);
        assert_eq!(Fit::of_bytes(&[(4.0, 70.0), (8.0, 60.0)]).unwrap().at(1e9), 60.0);
        assert_eq!(Fit::of_bytes(&[(4.0, 12.0), (8.0, 20.0)]).unwrap().at(100.0), 204.0);
        assert_eq!(Fit::of_bytes(&[(4.0, 12.0)]).unwrap().at(100.0), 300.0);
    }
}
