//! Version 1 of the interface.
//!
//! Every trait of the crate has its twin here, whose methods take and return types of a fixed
//! layout: borrowed slices for bulk data, JSON for what is small and cold. For each there are two
//! adapters. `Export` wraps an implementation on the side that owns it: it catches panics, so that
//! none reaches the boundary, where `abi_stable` would end the process. `Import` implements the
//! plain trait over the twin on the side that calls.
//!
//! Both directions exist on both sides: a child encoder, for instance, is exported by its plugin,
//! imported by the host, exported again and imported by the retriever that uses it.

#![expect(
    unsafe_code,
    non_local_definitions,
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::used_underscore_binding,
    clippy::mem_forget,
    clippy::expl_impl_clone_on_copy,
    reason = "abi_stable's macros generate such code; the twins are documented by their traits"
)]

mod data;
mod encoder;
mod examples;
mod export;
mod guard;
mod index;
mod logger;
mod module;
mod origin;
mod reader;
mod retriever;
pub mod running;
mod services;
mod trainer;

pub use data::*;
pub use encoder::*;
pub use examples::*;
pub use export::*;
pub use guard::{guard, install_panic_hook};
pub use index::*;
pub use logger::*;
pub use module::*;
pub use origin::Origin;
pub use reader::*;
pub use retriever::*;
pub use services::*;
pub use trainer::*;
