//! The factory that `factory: auto` stands for.
//!
//! Codes of 4 bits for every two components, compared in registers ("fast scan": André, Kermarrec,
//! Le Scouarnec, 2017), and four candidates for every hit ranked again by the stored vectors. On
//! vectors of all-MiniLM-L6-v2 that finds 0.999 of the true 500 in a fortieth of the memory of the
//! paper's index (see docs/results.md). A graph is as good and takes more, for its links; lists are
//! only worth it where there are many rows, since 500 hits lie in many of them.

use deft_core::{Error, IndexShape, Result};

/// Candidates per hit that are ranked again.
pub(crate) const REFINE: usize = 4;

/// Rows from which lists are worth it.
const MANY: usize = 200_000;
/// Vectors of the sample for each list: FAISS asks for 39, and uses up to 256.
const SAMPLE_PER_LIST: usize = 64;
/// Components for one code of 4 bits that say too little, where there is room for more.
const COARSE: usize = 4;
/// Bytes of a row's number in a list.
const NUMBER: usize = 8;

/// A factory string and the reason for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) factory: String,
    pub(crate) why: String,
}

/// What to build for so many rows, with no more than `budget` bytes for each in memory.
///
/// # Errors
///
/// An option error when no code is that small.
pub(crate) fn choose(shape: IndexShape, budget: usize, training_rows: usize) -> Result<Choice> {
    let IndexShape { rows, dimension } = shape;
    let has_lists = rows > MANY;
    let room = budget.saturating_sub(if has_lists { NUMBER } else { 0 });
    let (code, bytes) = code(dimension, room).ok_or_else(|| too_small(dimension, budget))?;
    let lists = (training_rows.min(rows) / SAMPLE_PER_LIST).max(1);
    let (factory, bytes) =
        if has_lists { (format!("IVF{lists},{code}"), bytes + NUMBER) } else { (code, bytes) };
    let why = format!(
        "{rows} rows of {dimension} components in at most {budget} bytes each: codes of {bytes} bytes, \
         {REFINE} candidates per hit ranked again by the stored vectors{}",
        if has_lists { ", in lists" } else { "" },
    );
    Ok(Choice { factory, why })
}

/// A code and its bytes: 4 bits for two components, or for as few more as fit. Where the dimension
/// has no such divisor (it may be a prime), 8 or 4 bits for each component, if they fit.
fn code(dimension: usize, room: usize) -> Option<(String, usize)> {
    let product = |codes: usize| (format!("PQ{codes}x4fs"), codes.div_ceil(2));
    let fits = |codes: &usize| dimension.is_multiple_of(*codes) && codes.div_ceil(2) <= room;
    let codes = (1..=(dimension / 2).max(1)).rev().find(fits);
    let scalar = [("SQ8", dimension), ("SQ4", dimension.div_ceil(2))];
    let scalar = scalar.into_iter().find(|(_, bytes)| *bytes <= room);
    match (codes, scalar) {
        (Some(codes), Some((name, bytes))) if codes * COARSE < dimension => {
            Some((name.to_owned(), bytes))
        }
        (codes, _) => codes.map(product),
    }
}

fn too_small(dimension: usize, budget: usize) -> Error {
    Error::option_at("bytes_per_row", "no code is that small")
        .with_context("bytes_per_row", budget)
        .with_context("dimension", dimension)
        .with_hint("name a `factory`, or allow more bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factory(rows: usize, dimension: usize, budget: usize) -> String {
        choose(IndexShape { rows, dimension }, budget, 65_536).expect("a choice").factory
    }

    #[test]
    fn a_code_for_two_components_where_memory_allows_it() {
        assert_eq!(factory(20_000, 384, 1024), "PQ192x4fs");
        assert_eq!(factory(20_000, 2048, 1024), "PQ1024x4fs");
        assert_eq!(factory(20_000, 2048, 300), "PQ512x4fs");
    }

    #[test]
    fn many_rows_are_put_into_lists() {
        assert_eq!(factory(1_000_000, 384, 1024), "IVF1024,PQ192x4fs");
        assert_eq!(factory(200_000, 384, 1024), "PQ192x4fs");
    }

    #[test]
    fn the_number_of_codes_divides_every_dimension() {
        for dimension in 1..300 {
            let choice = factory(1000, dimension, 64);
            if let Some(codes) = choice.strip_prefix("PQ").and_then(|it| it.strip_suffix("x4fs")) {
                let codes: usize = codes.parse().expect("a number");
                assert!(dimension.is_multiple_of(codes) && codes <= 128, "{dimension}: {choice}");
            }
        }
    }

    #[test]
    fn a_prime_dimension_has_a_code_for_each_component() {
        for (dimension, budget, wanted) in
            [(101, 1024, "SQ8"), (257, 200, "SQ4"), (383, 1024, "SQ8")]
        {
            assert_eq!(factory(20_000, dimension, budget), wanted);
        }
    }

    #[test]
    fn lists_have_enough_of_the_pool_each() {
        let shape = IndexShape { rows: 250_000, dimension: 384 };
        let choice = choose(shape, 1024, 1_000_000).expect("a choice");
        assert_eq!(choice.factory, "IVF3906,PQ192x4fs");
    }

    #[test]
    fn the_reason_names_rows_dimension_and_bytes() {
        let choice = choose(IndexShape { rows: 5, dimension: 8 }, 64, 65_536).expect("a choice");
        assert!(
            choice.why.starts_with("5 rows of 8 components in at most 64 bytes"),
            "{}",
            choice.why
        );
    }
}
