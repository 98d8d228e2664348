//! The exact scan: every stored vector is compared with every query.
//!
//! [`score`] says what a score is, and [`Scan`] finds the rows with the best ones. The index `exact`
//! is made of it, `dense` measures the recall of other indexes against it, and `faiss` re-ranks with
//! it.
//!
//! The hits are, bit for bit, those of scoring every row with [`score`] and sorting. Nearly all rows
//! are ruled out by something faster, a blocked matrix product with a proven bound on what it is off
//! by ([`bound`]); those that it lets through are scored: at once, or, where rows are wide, after all
//! products are known and fewer are left ([`late`]). So the speed is that of the product, and no order
//! of additions, instruction set, number of threads or batch of queries shows in a hit.
//!
//! - [`score`](score()): the score of one pair of vectors;
//! - [`bound`]: how far the product may be off, and what it may therefore rule out;
//! - [`filter`]: the product of a block of rows with a panel of queries, and the test of each number;
//!   [`passed`]: what becomes of a pair that passes;
//! - [`block`]: rows in memory; [`best`]: the best rows of a query so far; [`group`]: both together;
//! - [`waiting`]: the rows of a query that are not scored yet; [`late`]: those of a group;
//! - [`aligned`]: memory for blocks and groups;
//! - [`search`]: what a caller sees; [`pass`]: blocks and groups handed to threads.

mod aligned;
mod best;
mod block;
mod bound;
mod filter;
mod group;
mod late;
mod pass;
mod passed;
mod score;
mod search;
mod waiting;

pub use deft_core::Metric;
pub use score::score;
pub use search::Scan;
