//! What every DEFT plugin must do, as checks on the built library.
//!
//! The library is opened from its file as the host opens it, so that every call crosses the real
//! boundary. In a plugin's `tests/conformance.rs`:
//!
//! ```no_run
//! use deft_conformance::Library;
//! use deft_core::serde_json::json;
//!
//! #[test]
//! fn encoder_keeps_its_promises() {
//!     Library::of_package(env!("CARGO_PKG_NAME")).encoder("hash", json!({})).with_tolerance(0.0).check();
//! }
//! # fn main() {}
//! ```
//!
//! Each kind of component has a type with the checks of its trait ([`EncoderChecks`],
//! [`IndexChecks`], [`RetrieverChecks`], [`ReaderChecks`], [`TrainerChecks`]). `check` runs them all
//! and panics with a report of every promise that was broken; `report` returns that [`Report`].
//! A check that a component says it need not pass is reported as skipped, with the reason.

mod component;
mod damage;
mod data;
mod encoder;
mod index;
mod library;
mod model;
mod reader;
mod report;
mod retriever;
mod services;
mod tiny_bert;
mod trainer;

pub use component::Component;
pub use encoder::EncoderChecks;
pub use index::{IndexChecks, Metric};
pub use library::Library;
pub use model::{tiny_t5, tiny_t5_of};
pub use reader::ReaderChecks;
pub use report::{Outcome, Report, Tested};
pub use retriever::RetrieverChecks;
pub use services::TestServices;
pub use tiny_bert::tiny_bert;
pub use trainer::TrainerChecks;
