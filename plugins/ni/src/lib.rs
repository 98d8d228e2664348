//! Reader `ni`: tasks of Super-NaturalInstructions, with ROUGE-L and exact match.
//!
//! A task has a definition, examples of right and wrong answers, and instances. The path of an
//! instance through this crate:
//!
//! 1. `source` lists the tasks of a folder, `task` reads them, `categories` chooses among them, `draw`
//!    says which instances count;
//! 2. `prompt` puts definition, examples and input together, within the tokens that `limit` counts;
//! 3. `reader` makes examples of them, and scores answers by `metric` (with `rouge` and its `stem`),
//!    of which `report` tells the means of categories and tasks.

mod categories;
mod config;
mod draw;
mod limit;
mod metric;
#[cfg(test)]
mod parity;
mod prompt;
mod reader;
mod report;
mod rouge;
mod source;
mod stem;
mod task;
#[cfg(test)]
mod testing;

use reader::NiReader;

deft_core::export_plugin! { readers: [NiReader] }
