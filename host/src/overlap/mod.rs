//! Texts that share text: pool examples that give an evaluation input away, and pool examples that
//! are one record under several prompts.
//!
//! Both compare runs of words ([`words`]) and know of a text nothing but itself: which words are a
//! record's and which are a prompt's is found out from many texts. Nothing is random, and no machine,
//! thread or order of a hash table changes what is found.
//!
//! - [`contamination`]: does a pool example contain an evaluation input?
//! - [`near`]: is a pool example nearly the same as one before it?

pub mod contamination;
mod hash;
pub mod near;
mod segments;
pub mod words;
