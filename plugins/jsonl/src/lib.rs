//! Reader `jsonl`: any file of records, by templates in the manifest.
//!
//! A user's own task needs no code: `config` has a template for each part of an example, `templates`
//! compiles and renders them, `rules` makes an example of a record, and `reader` scores answers.

mod config;
mod reader;
mod rules;
mod templates;

use reader::JsonlReader;

deft_core::export_plugin! { readers: [JsonlReader] }
