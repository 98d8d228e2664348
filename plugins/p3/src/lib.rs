//! Reader `p3`: P3-style prompted examples from JSON lines and Parquet.
//!
//! A row is an input that was already rendered by a prompt template, its target and, for tasks with
//! a closed set of answers, the answers to choose from. The path of a row through this crate:
//!
//! 1. `source` lists the files of a source and checks that each contains what its name says;
//! 2. `lines` and `columns` give the rows of one file, with memory bounded by one line or by
//!    one small batch of rows; `json` picks a line's fields;
//! 3. `rules` makes an example of a row's fields, or says why the row is none, and `kinship` refuses a
//!    file no row of which has an input;
//! 4. `provenance` knows by a file's path where its rows come from, if they do not say it;
//! 5. `reader` puts them together.

mod columns;
mod config;
mod json;
mod kinship;
mod provenance;
mod reader;
mod rules;
mod source;

use reader::P3Reader;

deft_core::export_plugin! { readers: [P3Reader] }
