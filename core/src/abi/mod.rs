//! How calls cross from one library to another.
//!
//! [`descriptor`] is what a host reads from a plugin's file before loading it. [`v1`] is the first
//! version of the interface: layouts that `abi_stable` checks, adapters on both sides, and the
//! macro that exports a plugin. A later version will be a module beside it; nothing is ever
//! appended to a published one.

pub mod descriptor;
pub mod v1;
