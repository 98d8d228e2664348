//! How fast a stage is, over the recent past: a slow start does not spoil the time left.

use std::collections::VecDeque;

/// Seconds of the past that count.
const WINDOW: f64 = 60.0;
/// Least seconds between two points.
const SPACING: f64 = 1.0;
/// Points that stay however old they are: work may come in large pieces.
const POINTS: usize = 5;

/// Points (seconds, work done) of the recent past, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(f64, u64)>);

impl Rate {
    /// Notes how much has been done at a time, and returns how much is done per second.
    pub(super) fn note(&mut self, now: f64, done: u64) -> Option<f64> {
        if self.0.back().is_some_and(|&(_, last)| done < last) {
            // Another piece of work has begun.
            self.0.clear();
        }
        if self.0.back().is_none_or(|&(then, last)| done > last && now - then >= SPACING) {
            self.0.push_back((now, done));
        }
        while self.0.len() > POINTS && self.0[0].0 < now - WINDOW {
            self.0.pop_front();
        }
        let &(then, before) = self.0.front()?;
        (done > before && now > then).then(|| (done - before) as f64 / (now - then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_is_forgotten_after_a_minute() {
        let mut rate = Rate::default();
        assert_eq!(rate.note(0.0, 0), None);
        assert_eq!(rate.note(30.0, 30), Some(1.0));
        let mut last = None;
        for second in 31_u32..=100 {
            last = rate.note(f64::from(second), 30 + u64::from(second - 30) * 50);
        }
        assert_eq!(last, Some(50.0));
    }

    #[test]
    fn what_was_done_before_the_start_does_not_count() {
        let mut rate = Rate::default();
        assert_eq!(rate.note(0.0, 1_000_000), None);
        assert_eq!(rate.note(10.0, 1_000_100), Some(10.0));
    }

    #[test]
    fn large_pieces_of_work_have_a_rate_too() {
        let mut rate = Rate::default();
        let rates: Vec<_> =
            (0_u32..10).map(|i| rate.note(f64::from(i) * 300.0, u64::from(i))).collect();
        assert_eq!(rates[0], None);
        assert!(rates[1..].iter().all(|rate| rate.is_some_and(|r| (r - 1.0 / 300.0).abs() < 1e-9)));
    }

    #[test]
    fn another_piece_of_work_starts_anew() {
        let mut rate = Rate::default();
        rate.note(0.0, 0);
        rate.note(10.0, 1000);
        assert_eq!(rate.note(11.0, 0), None);
        assert_eq!(rate.note(21.0, 20), Some(2.0));
    }
}
