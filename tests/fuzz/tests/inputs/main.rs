//! Mutated inputs, one module for what belongs together; see the package's documentation.

mod cards;
mod manifests;
mod models;
mod parquets;
mod plugins;
mod records;
mod runs;
mod support;
mod texts;
mod vectors;
