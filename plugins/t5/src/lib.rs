//! T5 for DEFT: the encoder `t5`, which turns texts into mean-pooled vectors, and the trainer `t5`,
//! which fine-tunes a model or an adapter, scores answer options and generates text.
//!
//! The network is written on candle's tensors (`network/`): the T5 of candle-transformers has no
//! padding mask, no logits but the last and no gradient for its attention. Every batch is computed
//! by one thread, batches side by side (`deft_neural`), so that results are the same bytes at any
//! thread count.

mod adapter;
mod config;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod encoder;
mod gpu_kernels;
mod hub;
mod init;
mod model;
mod network;
mod networks;
mod pickle;
mod pickle_bounds;
mod pooling;
mod predict;
mod slices;
mod threads;
mod tokens;
mod trainer;
mod training;
mod weights;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod torch_archive;

pub use config::{
    DeviceChoice, EncoderConfig, Init, Keep, Method, Objective, Optimizer, Pooling, Precision,
    ScheduleKind, TrainerConfig,
};
pub use encoder::{T5Encoder, batches};
pub use slices::SLICE;
pub use trainer::T5Trainer;

deft_core::export_plugin! { encoders: [T5Encoder], trainers: [T5Trainer] }
