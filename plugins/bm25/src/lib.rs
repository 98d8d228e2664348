//! The retriever `bm25`: the examples that share the most telling words with a query.
//!
//! It computes what Lucene computes, which is what the original system searched with (through
//! Anserini): the same words of a text and the same score, to the bit. tantivy stores the postings;
//! its own scoring is not used, for it fixes `k1` and `b`.
//!
//! From a text to its terms:
//! - [`words`]: cuts a text into words, as Lucene's `StandardTokenizer` does;
//! - [`porter`]: Porter's stemmer;
//! - [`analyzer`]: both, with what lies between, for tantivy and for queries.
//!
//! From the pool to hits:
//! - [`config`]: the options;
//! - [`retriever`]: the component and its phases;
//! - [`parts`]: the texts of the pool's parts, and what was made of them, checked;
//! - [`writer`]: a part of the pool becomes a tantivy segment;
//! - [`card`]: the file beside it, with the checksums of its files;
//! - [`segment`]: that segment, open for reading;
//! - [`statistics`]: what the scores need to know about the whole pool;
//! - [`similarity`]: the formula;
//! - [`group`]: the terms of queries that are searched with together;
//! - [`window`]: scores of neighbouring texts, while terms are added;
//! - [`best`]: the best hits of a query;
//! - [`search`]: queries in, hits out.

mod analyzer;
mod best;
mod card;
mod config;
mod group;
#[cfg(test)]
mod parity;
mod parts;
mod porter;
mod retriever;
mod search;
mod segment;
mod similarity;
mod statistics;
#[cfg(test)]
mod testing;
mod window;
mod words;
mod writer;

use retriever::Bm25;

deft_core::export_plugin! { retrievers: [Bm25] }
