//! The rows that an index is trained on.

use deft_core::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Draws `wanted` of `rows` row numbers, each at most once, and gives them in rising order.
///
/// The sample is of the whole pool and never its first rows: a pool is a list of data sets one
/// after the other, and a codec trained on the first of them is a codec for that one.
pub(crate) fn draw(rows: usize, wanted: usize, seed: u64) -> Vec<usize> {
    if wanted >= rows {
        return (0..rows).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = rand::seq::index::sample(&mut random, rows, wanted).into_vec();
    drawn.sort_unstable();
    drawn
}

/// Reads the vectors of some rows, in rising order, into one matrix's numbers.
pub(crate) fn read(ctx: &Context<'_>, vectors: &VectorStore, rows: &[usize]) -> Result<Vec<f32>> {
    let mut numbers = Vec::with_capacity(rows.len() * vectors.dimension());
    let mut run = Vec::new();
    let mut done = 0;
    // Neighbouring rows are read at once: of a pool no larger than the sample, all of them.
    for neighbours in rows.chunk_by(|a, b| a + 1 == *b) {
        for piece in neighbours.chunks(4096) {
            ctx.check()?;
            vectors.read(piece[0]..piece[0] + piece.len(), &mut run)?;
            numbers.extend_from_slice(&run);
            done += piece.len();
        }
        ctx.progress(done, rows.len(), "rows");
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_covers_the_whole_pool_without_repetition() {
        let drawn = draw(1_000_000, 1000, 42);
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.is_sorted_by(|a, b| a < b));
        // A tenth of the pool gets about a tenth of the sample: 100 ± 6 standard deviations.
        for tenth in 0..10 {
            let range = tenth * 100_000..(tenth + 1) * 100_000;
            let count = drawn.iter().filter(|&row| range.contains(row)).count();
            assert!((43..=157).contains(&count), "{count} of tenth {tenth}");
        }
    }

    #[test]
    fn the_seed_alone_decides_the_sample() {
        assert_eq!(draw(1000, 10, 1), draw(1000, 10, 1));
        assert_ne!(draw(1000, 10, 1), draw(1000, 10, 2));
    }

    #[test]
    fn a_pool_smaller_than_the_sample_is_taken_whole() {
        assert_eq!(draw(3, 10, 1), [0, 1, 2]);
    }
}
