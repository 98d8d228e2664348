//! The reader `casehold`: which holding does a court cite, with the prompt of the published DEFT code.
//!
//! `prompt` makes an example of a record, `reader` puts it behind the trait.

mod config;
mod prompt;
mod reader;

#[cfg(test)]
mod parity;

use reader::CaseholdReader;

deft_core::export_plugin! { readers: [CaseholdReader] }
