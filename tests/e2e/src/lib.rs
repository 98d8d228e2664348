//! What whole-program tests share: the built program, small projects for it, and real data.
//!
//! The tests run `target/release/deft` with the libraries beside it, as a user does: `make build
//! plugins` (or `make test`, which does it first) must have built them.

mod failure;
mod files;
mod flaky;
mod kills;
mod large;
mod library;
mod processes;
mod program;
mod project;
mod shared;
mod texts;

pub use failure::{call_fails, fails};
pub use files::{read_json, read_npy};
pub use flaky::{Flaky, wait_until};
pub use kills::{Kills, kill_large_runs, kill_runs};
pub use large::{LARGE_RETRIEVERS, Large, large_manifest};
pub use library::{copy_with_descriptor, copy_with_word};
pub use processes::{living, wait_for_end};
pub use program::{Deft, Output, QUICK_RETRIES, examples_dir, program_dir};
pub use project::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, assert_same_results};
pub use shared::{shared, skipped};
pub use texts::Texts;
