//! The index `exact`: every stored vector is compared with every query.
//!
//! It is right by construction: the index for small pools, and the oracle that other indexes are
//! measured against. It keeps no copy of the vectors; a search reads them from the vector store,
//! block by block, in memory that does not grow with the pool.
//!
//! - [`config`]: the options.
//! - [`index`]: the component, its builder, and the file `exact.json` that a build leaves.
//!
//! The scan itself is [`deft_scan`], which other components use as well.

mod config;
mod index;

use index::Exact;

deft_core::export_plugin! { indexes: [Exact] }
