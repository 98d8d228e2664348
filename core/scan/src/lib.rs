//! The exact scan: every stored vector is compared with every query.
//!
//! [`score`] says what a score is, and [`Scan`] finds the rows with the best ones. The index `exact`
//! is made of it, `dense` measures the recall of other indexes against it, and `faiss` re-ranks with
//! it.
//!
//! The hits are, bit for bit, those of scoring every row with [`score`] and sorting. Nearly all rows
//! are ruled out by something faster, a blocked matrix product with a proven bound on what it is off
//! by ([`bound`]); those that it lets through are scored. So the speed is that of the product, and no
//! order of additions, instruction set, number of threads or batch of queries shows in a hit.
//!
//! - [`score`](score()): the score of one pair of vectors;
//! - [`bound`]: how far the product may be off, and what it may therefore rule out;
//! - [`filter`]: the product of a block of rows with a panel of queries, and the test of each number;
//! - [`block`]: rows in memory; [`best`]: the best rows of a query so far; [`group`]: both together;
//! - [`aligned`]: memory for both;
//! - [`search`]: blocks and groups handed to threads.

mod aligned;
mod best;
mod block;
mod bound;
mod filter;
mod group;
mod score;
mod search;

pub use deft_core::Metric;
pub use score::score;
pub use search::Scan;
