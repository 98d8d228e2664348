//! Mutated inputs of every kind that DEFT reads: an error or a result, never a panic, never an
//! endless loop, never memory without bound.
//!
//! [`fuzz`] takes valid inputs of one kind, changes them at random, and hands each to a check. The
//! kinds are in `tests/inputs`, one file for what belongs together. The random numbers are the same
//! in every run; `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=7 cargo test --release -p deft-fuzz`
//! tries more and others.
//!
//! An input that fails is written, shortened as far as possible, into `saved/<kind>/`. What lies
//! there is tried before anything else: commit it with the repair. Beside what once failed there
//! lie inputs made by hand: what no mutation would come to, or what it should not miss.

mod harness;
mod mutation;

pub use harness::{fuzz, fuzz_some};
pub use mutation::{Mutation, Place, Seed};
