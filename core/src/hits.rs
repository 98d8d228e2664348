//! Hits: what a search finds, and the order it is told in.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::{Error, ErrorKind, Result};

/// One pool example found for one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The example's id: its 0-based position in the pool.
    pub id: u64,
    /// Larger is closer (for L2 this is −d²).
    pub score: f32,
}

impl Hit {
    /// The order of a hit list: larger score first, then smaller id.
    pub fn rank_order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

/// Hits of several queries, owned: room for `k` per query.
#[derive(Debug, Clone)]
pub struct Hits {
    k: usize,
    ids: Vec<u64>,
    scores: Vec<f32>,
    counts: Vec<u32>,
}

impl Hits {
    /// Room for `k` hits of each of `queries` queries.
    pub fn new(queries: usize, k: usize) -> Self {
        Self {
            k,
            ids: vec![0; queries * k],
            scores: vec![0.0; queries * k],
            counts: vec![0; queries],
        }
    }

    /// A view to be filled.
    pub fn as_mut(&mut self) -> HitsMut<'_> {
        HitsMut {
            k: self.k,
            ids: &mut self.ids,
            scores: &mut self.scores,
            counts: &mut self.counts,
        }
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.counts.len()
    }

    /// The hits of one query, best first; there may be fewer than `k`.
    pub fn of_query(&self, query: usize) -> impl ExactSizeIterator<Item = Hit> + '_ {
        let start = query * self.k;
        let end = start + self.counts[query] as usize;
        self.ids[start..end]
            .iter()
            .zip(&self.scores[start..end])
            .map(|(&id, &score)| Hit { id, score })
    }
}

impl HitsMut<'_> {
    /// The same memory, lent on.
    pub fn reborrow(&mut self) -> HitsMut<'_> {
        HitsMut { k: self.k, ids: self.ids, scores: self.scores, counts: self.counts }
    }

    /// Forgets what the memory held: every count is 0.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// The ids of every query, in order: the same for the same hits, whatever their scores.
    pub(crate) fn sorted_ids(&self) -> Vec<Vec<u64>> {
        let of_query = |query| {
            let mut ids: Vec<u64> = self.of_query(query).map(|hit| hit.id).collect();
            ids.sort_unstable();
            ids
        };
        (0..self.queries()).map(of_query).collect()
    }

    /// Checks what code that is not ours has filled in: counts within `k`, ids below `limit`,
    /// scores that are numbers, the order of [`Hit::rank_order`].
    pub(crate) fn check(&self, limit: usize) -> Result<()> {
        for (query, &count) in self.counts.iter().enumerate() {
            let wrong = |what: &str, value: String| {
                Err(Error::new(ErrorKind::Plugin, format!("a search returned {what}"))
                    .with_context("query", query)
                    .with_context("found", value))
            };
            let count = count as usize;
            if count > self.k {
                return wrong("more hits than were asked for", count.to_string());
            }
            let places = query * self.k..query * self.k + count;
            let mut last: Option<Hit> = None;
            for (&id, &score) in self.ids[places.clone()].iter().zip(&self.scores[places]) {
                let hit = Hit { id, score };
                if usize::try_from(id).is_ok_and(|id| id < limit) && !score.is_nan() {
                    if last.is_some_and(|last| last.rank_order(&hit) != Ordering::Less) {
                        return wrong("hits out of order, or one twice", format!("{hit:?}"));
                    }
                    last = Some(hit);
                } else {
                    return wrong("an id or a score that cannot be", format!("{hit:?}"));
                }
            }
        }
        Ok(())
    }
}

/// Memory of the caller that a search fills: `k` places per query and a count per query.
///
/// Fewer hits than `k` are a smaller count, never a made-up id.
#[derive(Debug)]
pub struct HitsMut<'a> {
    pub(crate) k: usize,
    pub(crate) ids: &'a mut [u64],
    pub(crate) scores: &'a mut [f32],
    pub(crate) counts: &'a mut [u32],
}

impl HitsMut<'_> {
    /// Hits wanted per query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.counts.len()
    }

    /// The hits of one query that the memory holds, best first.
    pub fn of_query(&self, query: usize) -> impl ExactSizeIterator<Item = Hit> + '_ {
        let start = query * self.k;
        // The memory may come from code that is not ours.
        let end = start + (self.counts[query] as usize).min(self.k);
        let pairs = self.ids[start..end].iter().zip(&self.scores[start..end]);
        pairs.map(|(&id, &score)| Hit { id, score })
    }

    /// Sets the hits of one query: sorts them into [`Hit::rank_order`] and keeps the first `k`.
    pub fn set(&mut self, query: usize, hits: &mut Vec<Hit>) {
        sort(hits);
        hits.truncate(self.k);
        let start = query * self.k;
        for (i, hit) in hits.iter().enumerate() {
            self.ids[start + i] = hit.id;
            self.scores[start + i] = hit.score;
        }
        self.counts[query] = u32::try_from(hits.len()).unwrap_or(u32::MAX);
    }
}

/// Sorts hits into [`Hit::rank_order`]. Many come so, or sorted by score: then ties alone are sorted.
fn sort(hits: &mut [Hit]) {
    if hits.is_sorted_by(|a, b| a.rank_order(b).is_le()) {
        return;
    }
    if hits.is_sorted_by(|a, b| a.score.total_cmp(&b.score).is_ge()) {
        let is_tie = |a: &Hit, b: &Hit| a.score.total_cmp(&b.score).is_eq();
        hits.chunk_by_mut(is_tie).for_each(|tie| tie.sort_unstable_by_key(|hit| hit.id));
    } else {
        hits.sort_unstable_by(Hit::rank_order);
    }
}

/// Keeps the `k` best of many hits, in memory for `k`.
#[derive(Debug)]
pub struct TopK {
    k: usize,
    heap: BinaryHeap<Worst>,
}

/// A hit ordered so that the heap's top is the one to give up first.
#[derive(Debug)]
struct Worst(Hit);

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank_order(&other.0)
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

impl TopK {
    /// Keeps the best `k`.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Offers one hit.
    pub fn push(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(Worst(hit));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit.rank_order(&worst.0) == Ordering::Less
        {
            *worst = Worst(hit);
        }
    }

    /// The hits kept, in no particular order.
    pub fn into_vec(self) -> Vec<Hit> {
        self.heap.into_iter().map(|worst| worst.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_keeps_the_best_and_breaks_ties_by_the_smaller_id() {
        let mut top = TopK::new(2);
        for (id, score) in [(7, 1.0), (3, 2.0), (5, 1.0), (9, 0.5)] {
            top.push(Hit { id, score });
        }
        let mut hits = Hits::new(1, 2);
        hits.as_mut().set(0, &mut top.into_vec());
        let found: Vec<_> = hits.of_query(0).map(|hit| hit.id).collect();
        assert_eq!(found, [3, 5]);
    }

    #[test]
    fn hits_sorted_by_score_have_their_ties_sorted_by_id() {
        for scores in [[3.0, 1.0, 1.0, 1.0, 0.0], [1.0, 3.0, 0.0, 1.0, 1.0]] {
            let ids = [4, 9, 2, 7, 1];
            let mut found: Vec<Hit> =
                ids.into_iter().zip(scores).map(|(id, score)| Hit { id, score }).collect();
            let mut wanted = found.clone();
            wanted.sort_by(Hit::rank_order);
            let mut hits = Hits::new(1, 5);
            hits.as_mut().set(0, &mut found);
            assert_eq!(hits.of_query(0).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn hits_that_cannot_be_are_refused() {
        let check = |ids: &mut [u64], scores: &mut [f32], count| {
            HitsMut { k: 2, ids, scores, counts: &mut [count] }.check(10)
        };
        assert!(check(&mut [9, 3], &mut [2.0, 1.0], 2).is_ok());
        assert!(check(&mut [u64::MAX, 3], &mut [2.0, 1.0], 0).is_ok());
        for (ids, scores, count) in [
            ([10, 3], [2.0, 1.0], 2),
            ([u64::MAX, 3], [2.0, 1.0], 1),
            ([1, 3], [1.0, 2.0], 2),
            ([3, 1], [1.0, 1.0], 2),
            ([3, 3], [1.0, 1.0], 2),
            ([1, 3], [f32::NAN, 2.0], 1),
            ([1, 3], [2.0, 1.0], 3),
        ] {
            let (mut ids, mut scores) = (ids, scores);
            assert!(check(&mut ids, &mut scores, count).is_err(), "{ids:?} {scores:?} {count}");
        }
    }

    #[test]
    fn fewer_hits_than_k_are_a_smaller_count() {
        let mut hits = Hits::new(2, 5);
        hits.as_mut().set(1, &mut vec![Hit { id: 4, score: 0.0 }]);
        assert_eq!(hits.of_query(0).len(), 0);
        assert_eq!(hits.of_query(1).collect::<Vec<_>>(), [Hit { id: 4, score: 0.0 }]);
    }
    #[test]
    fn lent_memory_can_be_read_and_its_hits_be_told_apart_from_others() {
        let mut hits = Hits::new(2, 3);
        let mut lent = hits.as_mut();
        lent.set(1, &mut vec![Hit { id: 4, score: 0.0 }, Hit { id: 2, score: -1.0 }]);
        let ids: Vec<_> = lent.of_query(1).map(|hit| hit.id).collect();
        assert_eq!((lent.of_query(0).len(), ids), (0, vec![4, 2]));
        assert_eq!(lent.sorted_ids(), [vec![], vec![2, 4]]);
        let counts = &mut [9];
        let lent = HitsMut { k: 1, ids: &mut [7], scores: &mut [0.5], counts };
        assert_eq!(lent.of_query(0).len(), 1, "a count beyond the memory");
    }
}
