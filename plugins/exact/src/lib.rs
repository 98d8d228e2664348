//! The index `exact`: every stored vector is compared with every query.
//!
//! It is right by construction: the index for small pools, and the oracle that other indexes are
//! measured against. It keeps no copy of the vectors; a search reads them from the vector store,
//! block by block, in memory that does not grow with the pool.
//!
//! - [`config`]: the options.
//! - [`index`]: the component, its builder, and the file `exact.json` that a build leaves.
//! - [`search`]: the scan over blocks of rows by many threads.
//! - [`kernel`]: the score of one pair of vectors.

mod config;
mod index;
mod kernel;
mod search;

use index::Exact;

deft_core::export_plugin! { indexes: [Exact] }
