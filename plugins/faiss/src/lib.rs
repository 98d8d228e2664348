//! The index `faiss`: any index that FAISS can name, built in units and re-ranked exactly.
//!
//! FAISS is compiled from source into this library and used through its C interface (the crate
//! `faiss`). What it does silently wrong, or leaves to its user, is dealt with here:
//!
//! - [`config`]: the options.
//! - [`factory`]: what a factory string says: metric, training, bytes per row.
//! - [`auto`]: the factory that `factory: auto` stands for.
//! - [`native`]: a FAISS index, with errors that name what to do.
//! - [`openmp`]: how many threads FAISS may take.
//! - [`warnings`]: what FAISS prints while it trains, as one line.
//! - [`adopt`]: an index file that the user has already. [`kind`]: what is no such file.
//! - [`index`]: the component. [`builder`]: train, add, finish. [`card`]: what lies beside the file.
//! - [`search`]: hits, ties at the cut, and [`rerank`] by the stored vectors.

mod adopt;
mod auto;
mod builder;
mod card;
mod config;
mod factory;
mod index;
mod kind;
mod native;
mod openmp;
mod rerank;
mod search;
mod warnings;

use index::Faiss;

deft_core::export_plugin! { cpu: env!("DEFT_CPU"), indexes: [Faiss] }
