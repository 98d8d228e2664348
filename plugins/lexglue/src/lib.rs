//! Readers of tasks of `LexGLUE`, with the prompts of the published DEFT code.
//!
//! Each task is a reader of its own: `lexglue/unfair_tos`, `lexglue/ledgar` (`CaseHOLD` has a plugin of
//! its own). A module for each makes the examples of a record, `reader` puts them behind the trait.

mod config;
mod labels;
mod ledgar;
mod reader;
mod unfair_tos;

#[cfg(test)]
mod parity;

use ledgar::Ledgar;
use reader::LexglueReader;
use unfair_tos::UnfairTos;

deft_core::export_plugin! { readers: [LexglueReader<UnfairTos>, LexglueReader<Ledgar>] }
