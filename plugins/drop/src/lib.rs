//! The reader `drop`: questions about passages that want reading, counting and adding up, with the
//! prompt of the published DEFT code and the metric of DROP itself.
//!
//! A file is either the official one, which `official` reads, its answers by `annotation`, or holds the
//! rows of the Hugging Face data set, which `rows` reads; a source is a file or a folder of them. Both
//! give the same `question`s, of which `reader` makes
//! examples, and `metric` scores the texts that a model gives.

mod annotation;
mod config;
mod metric;
mod official;
mod question;
mod reader;
mod rows;

#[cfg(test)]
mod parity;

use reader::DropReader;

deft_core::export_plugin! { readers: [DropReader] }
