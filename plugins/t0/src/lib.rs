//! Readers of the held-out tasks of T0, with the prompts of the published DEFT code.
//!
//! Each task is a reader of its own: `t0/rte`, `t0/cb`, `t0/copa`. A source holds JSON lines with
//! the fields of the Hugging Face data set. `source` opens it, `lines` reads it, `record` gives the
//! fields of one line, `tasks` makes a prompt of them (a new task is one more entry there and
//! below), and `reader` puts them together.

mod config;
mod reader;
mod record;
mod source;
mod tasks;

use reader::T0Reader;
use tasks::{Cb, Copa, Rte};

deft_core::export_plugin! { readers: [T0Reader<Rte>, T0Reader<Cb>, T0Reader<Copa>] }
