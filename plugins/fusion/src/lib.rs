//! The retriever `fusion`: the hits of several retrievers become one list.
//!
//! Its children are retrievers, a list in the manifest. It prepares nothing itself: the children's
//! phases are passed on as theirs, so that what an arm with one of them alone has made serves here, and
//! the other way round. The formulas are those of the crate `deft-fuse`.
//!
//! - [`config`]: the options.
//! - [`member`]: a child with its place, its phases' names here, and its errors.
//! - [`retriever`]: the component; phases, units and searchers of all children.
//! - [`search`]: queries in, fused hits out.

mod config;
mod member;
mod retriever;
mod search;
#[cfg(test)]
mod testing;

use retriever::Fusion;

deft_core::export_plugin! { retrievers: [Fusion] }
