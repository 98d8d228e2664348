//! The reader `sciq`: science questions with four answers, with the prompt of the published DEFT code.
//!
//! `prompt` makes an example of a record, `reader` puts it behind the trait.

mod config;
mod prompt;
mod reader;

#[cfg(test)]
mod parity;

use reader::SciqReader;

deft_core::export_plugin! { readers: [SciqReader] }
