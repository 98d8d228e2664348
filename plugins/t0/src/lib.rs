//! Readers of the held-out tasks of T0, with the prompts of the published DEFT code.
//!
//! Each task is a reader of its own: `t0/rte`, `t0/cb`, … A source holds records with the fields of
//! the Hugging Face data set, in any form that `deft_records` reads. `tasks` makes a prompt of a
//! record (a new task is one more entry there and below), and `reader` makes examples of prompts.

mod config;
#[cfg(test)]
mod parity;
mod reader;
mod tasks;
#[cfg(test)]
mod testing;

use reader::T0Reader;
use tasks::{Anli1, Anli2, Anli3, Cb, Copa, HellaSwag, Rte, StoryCloze, Wic, WinoGrande, Wsc};

deft_core::export_plugin! {
    readers: [
        T0Reader<Rte>,
        T0Reader<Cb>,
        T0Reader<Anli1>,
        T0Reader<Anli2>,
        T0Reader<Anli3>,
        T0Reader<HellaSwag>,
        T0Reader<StoryCloze>,
        T0Reader<WinoGrande>,
        T0Reader<Wsc>,
        T0Reader<Copa>,
        T0Reader<Wic>,
    ]
}
