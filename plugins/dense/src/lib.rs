//! The retriever `dense`: an encoder turns texts into vectors, an index finds the nearest ones.
//!
//! Encoder and index are children: the manifest names them and the host hands them over, so that
//! any encoder goes with any index. What happens in between is here:
//!
//! - [`config`]: the options.
//! - [`retriever`]: the component, and how finished phases are opened.
//! - [`phases`]: what must be done before a search, and what that takes.
//! - [`units`]: the work of one unit of each phase: `encode`, `train`, `index`.
//! - [`sample`]: the rows that an index is trained on.
//! - [`search`]: queries in, hits of all index units merged.
//! - [`judge`]: hits held against a scan of all vectors.

mod config;
mod judge;
mod phases;
mod retriever;
mod sample;
mod search;
#[cfg(test)]
mod testing;
mod units;

use retriever::Dense;

deft_core::export_plugin! { retrievers: [Dense] }
