//! A plugin for the tests of the conformance checks: a component of each kind, small and honest,
//! that breaks the promise named by its option `fault`.

mod config;
mod encoder;
mod index;
mod reader;
mod retriever;
mod trainer;
mod words;

use encoder::FaultyEncoder;
use index::FaultyIndex;
use reader::FaultyReader;
use retriever::FaultyRetriever;
use trainer::FaultyTrainer;

deft_core::export_plugin! {
    readers: [FaultyReader],
    encoders: [FaultyEncoder],
    indexes: [FaultyIndex],
    retrievers: [FaultyRetriever],
    trainers: [FaultyTrainer],
}
