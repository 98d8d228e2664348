//! Reader `qasper`: is a paragraph evidence for a question about its paper.
//!
//! A source is a JSON file in the schema of Qasper 0.3, or a folder of them. A file's
//! path through this crate:
//!
//! 1. `article` gives the paragraphs of an article and its questions;
//! 2. `evidence` says which paragraphs are evidence for a question, and what a set of them is worth;
//! 3. `prompt` makes examples of both; `reader` draws from them;
//! 4. `judge` scores answers to examples, a question at a time.

mod article;
mod config;
mod evidence;
mod judge;
#[cfg(test)]
mod parity;
mod prompt;
mod reader;

use reader::QasperReader;

deft_core::export_plugin! { readers: [QasperReader] }
