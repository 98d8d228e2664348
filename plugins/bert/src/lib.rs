//! BERT for DEFT: the encoder `bert`, which turns texts into vectors as sentence-transformers does.
//!
//! A folder says how: which network (`network/`), how its states become one vector and what happens
//! to that (`folder`, `head`). The network is written on candle's matrix products: the BERT of
//! candle-transformers gives the same vectors (`parity`) at a fraction of the speed. Texts are not
//! padded: those of a batch stand behind each other. Every batch is computed by one thread, batches
//! side by side (`deft_neural`), so that results are the same bytes at any thread count.

mod config;
mod encoder;
mod folder;
mod head;
mod network;
mod tokens;
mod weights;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod testing;

pub use config::{EncoderConfig, Pooling};
pub use encoder::BertEncoder;

deft_core::export_plugin! { encoders: [BertEncoder] }
