//! The host of DEFT: loads plugins, reads a manifest, and runs it over a store.
//!
//! The modules, in the order in which a run meets them:
//!
//! - [`manifest`]: YAML text into a [`manifest::Manifest`], every error with line and column;
//! - [`registry`] and the crate `deft-loader`: names into files, files into loaded plugins;
//! - [`components`]: manifest blocks into components, children first, one handle per specification;
//! - [`store`] and [`pool`]: finished stage outputs on disk; the pool's examples among them;
//! - [`selection`]: which examples are trained on, as pure functions over hits; [`recall`]: how many
//!   of the nearest were found; [`overlap`]: pool examples that contain an evaluation input, and those
//!   that are nearly the same;
//! - [`pipeline`]: the stages of a run, each doing only what is missing;
//! - [`report`]: the table at the end; [`show`]: what was selected, and from what; [`schema`]: what a manifest may say, for editors;
//! - [`services`] and [`console`]: what plugins may ask of the host, and what people see; [`truncation`]:
//!   how many texts an encoder cut, as plugins tell it;
//! - [`trec`]: runs of other retrieval tools; `machine`: what disk and memory are left;
//! - `hub`: models and data sets by name, from Hugging Face's cache or downloaded into it;
//! - [`interrupt`] and [`crash`]: a stop that the user asks for, and an end that nobody did.
//!
//! The program `deft` is `commands` over these.

pub mod commands;
pub mod components;
pub mod console;
pub mod crash;
mod hub;
pub mod interrupt;
mod machine;
pub mod manifest;
pub mod npy;
pub mod overlap;
pub mod pipeline;
pub mod pool;
pub mod recall;
pub mod registry;
pub mod report;
pub mod schema;
pub mod selection;
pub mod services;
pub mod show;
pub mod store;
pub mod trec;
pub mod truncation;
