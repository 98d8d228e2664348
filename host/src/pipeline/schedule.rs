//! An epoch made of parts: which examples of each, how often, and in which order. Pure functions.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// An example of an epoch: the part that it comes from, and its position in that.
pub(super) type Place = (usize, usize);

/// What an epoch has of one part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// The part's examples.
    pub(super) count: usize,
    /// How many times each of them comes.
    pub(super) weight: f64,
}

impl Share {
    /// How many examples of an epoch are of this part.
    pub(super) fn entries(self) -> usize {
        self.rounds() * self.count + self.rest()
    }

    /// How many times every example comes.
    fn rounds(self) -> usize {
        whole(self.weight.floor())
    }

    /// How many examples come once more.
    fn rest(self) -> usize {
        whole((self.weight.fract() * self.count as f64).round())
    }

    /// Positions in the part, in the order in which they come.
    fn positions(self, part: usize, seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // A stream for each part: what is drawn of one does not depend on the others.
        rng.set_stream(part as u64);
        let mut rest = index::sample(&mut rng, self.count, self.rest()).into_vec();
        rest.sort_unstable();
        (0..self.rounds()).flat_map(|_| 0..self.count).chain(rest).collect()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and ≥ 0")]
fn whole(number: f64) -> usize {
    number as usize
}

/// The examples of an epoch. Each part keeps its own order and is spread evenly: its `i`-th example
/// of `n` is at (i + ½) / n of the epoch, so that also who does not shuffle sees a steady mix.
pub(super) fn epoch(shares: &[Share], seed: u64) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (part, share) in shares.iter().enumerate() {
        places.extend((0..share.entries()).map(|turn| (part, turn)));
    }
    let entries: Vec<u128> = shares.iter().map(|share| share.entries() as u128).collect();
    // As fractions of one denominator. The sort is stable: of equals, the earlier part comes first.
    places.sort_by(|&(part, turn), &(other, turn_of_other)| {
        let place = (2 * turn as u128 + 1) * entries[other];
        place.cmp(&((2 * turn_of_other as u128 + 1) * entries[part]))
    });
    let positions: Vec<Vec<usize>> =
        shares.iter().enumerate().map(|(part, share)| share.positions(part, seed)).collect();
    for (part, turn) in &mut places {
        *turn = positions[*part][*turn];
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shares: &[(usize, f64)], seed: u64) -> Vec<Place> {
        let share = |&(count, weight): &(usize, f64)| Share { count, weight };
        epoch(&shares.iter().map(share).collect::<Vec<_>>(), seed)
    }

    /// The positions of one part, in their order.
    fn of_part(places: &[Place], wanted: usize) -> Vec<usize> {
        places.iter().filter(|(part, _)| *part == wanted).map(|&(_, position)| position).collect()
    }

    #[test]
    fn one_part_of_weight_one_is_its_own_order() {
        assert_eq!(of(&[(4, 1.0)], 7), [(0, 0), (0, 1), (0, 2), (0, 3)]);
        assert!(of(&[(0, 1.0)], 7).is_empty());
    }

    #[test]
    fn parts_are_interleaved_evenly_and_ties_go_to_the_earlier_part() {
        assert_eq!(of(&[(4, 1.0), (2, 1.0)], 1), [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3)]);
        assert_eq!(of(&[(2, 1.0), (2, 1.0)], 1), [(0, 0), (1, 0), (0, 1), (1, 1)]);
        let places = of(&[(300, 1.0), (90, 1.0)], 1);
        for length in 0..=places.len() {
            let of_first = of_part(&places[..length], 0).len() as f64;
            let fair = length as f64 * 300.0 / 390.0;
            assert!((of_first - fair).abs() < 1.5, "{of_first} of the first {length}");
        }
    }

    #[test]
    fn a_weight_is_how_many_times_each_example_comes() {
        assert_eq!(of_part(&of(&[(3, 2.0)], 1), 0), [0, 1, 2, 0, 1, 2]);
        let half_more = of_part(&of(&[(4, 2.5)], 1), 0);
        assert_eq!(half_more[..8], [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(half_more.len(), 10);
        assert!(half_more[8] < half_more[9], "a half, drawn without replacement: {half_more:?}");
        let half = of_part(&of(&[(100, 0.5)], 1), 0);
        assert_eq!(half.len(), 50);
        assert!(half.windows(2).all(|pair| pair[0] < pair[1]), "in the part's order: {half:?}");
        assert!(of(&[(1, 0.2)], 1).is_empty());
    }

    #[test]
    fn what_is_drawn_follows_from_the_seed_and_not_from_other_parts() {
        let drawn = |seed| of_part(&of(&[(100, 0.5), (100, 0.5)], seed), 1);
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        assert_eq!(drawn(3), of_part(&of(&[(7, 1.5), (100, 0.5)], 3), 1));
        assert_ne!(drawn(3), of_part(&of(&[(100, 0.5)], 3), 0), "each part has a draw of its own");
    }
}
