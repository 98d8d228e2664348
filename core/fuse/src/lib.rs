//! Several ranked lists of one query become one.
//!
//! A [`Rule`] says how: by [`reciprocal_rank`], which looks at ranks alone, or by [`weighted_sum`],
//! which looks at scores that [`Normalize`] has made comparable. The retriever `fusion` and the
//! command `deft fuse` share it, so that they give the same scores.
//!
//! Sums are of 64 bits and taken in the order of the lists; who cuts a fused list breaks ties. The
//! formulas, and what becomes of ties, of lists of one hit and of hits that a list lacks, are those of
//! ranx (`rrf`, `wsum`, `min_max_norm`, `zmuv_norm`).

mod normalize;
mod rule;
mod sum;

pub use normalize::Normalize;
pub use rule::{Method, Rule};
pub use sum::{reciprocal_rank, weighted_sum};
