//! The exact scan: every stored vector is compared with every query.
//!
//! [`score`] says what a score is, and [`Scan`] finds the rows with the best ones. The index `exact`
//! is made of it, `dense` measures the recall of other indexes against it, and `faiss` re-ranks with
//! it.

mod score;
mod search;

pub use deft_core::Metric;
pub use score::score;
pub use search::Scan;
