//! The core of DEFT: five traits, the data they exchange, and the boundary that carries them.
//!
//! A plugin author needs three things from this crate:
//!
//! 1. one of the traits [`Reader`], [`Encoder`], [`IndexFactory`], [`Retriever`], [`Trainer`];
//! 2. [`Component`], which gives the implementation a name, typed options and a constructor;
//! 3. [`export_plugin!`], which turns the crate (a `cdylib`) into a plugin.
//!
//! ```
//! use deft_core::prelude::*;
//!
//! /// Options of the component, as a user writes them in a manifest.
//! #[derive(Debug, Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! #[schemars(crate = "deft_core::schemars")]
//! struct LengthConfig {
//!     /// Number of components of each vector.
//!     #[serde(default = "eight")]
//!     dimension: usize,
//! }
//!
//! fn eight() -> usize {
//!     8
//! }
//!
//! /// A text's vector is its length in bytes, repeated.
//! #[derive(Debug)]
//! struct LengthEncoder(LengthConfig);
//!
//! impl Component for LengthEncoder {
//!     type Config = LengthConfig;
//!     const NAME: &'static str = "length";
//!     const SUMMARY: &'static str = "the length of a text, as a vector";
//!
//!     fn new(_ctx: &Context<'_>, config: LengthConfig, _children: Children) -> Result<Self> {
//!         Ok(Self(config))
//!     }
//! }
//!
//! impl Encoder for LengthEncoder {
//!     fn info(&self) -> EncoderInfo {
//!         EncoderInfo::new(self.0.dimension, format!("length {}", self.0.dimension))
//!     }
//!
//!     fn encode(
//!         &self,
//!         _ctx: &Context<'_>,
//!         texts: &[&str],
//!         _role: TextRole,
//!         out: &mut [f32],
//!     ) -> Result<EncodeReport> {
//!         for (text, vector) in texts.iter().zip(out.chunks_exact_mut(self.0.dimension)) {
//!             vector.fill(text.len() as f32);
//!         }
//!         Ok(EncodeReport::default())
//!     }
//! }
//!
//! deft_core::export_plugin! { encoders: [LengthEncoder] }
//! # fn main() {}
//! ```
//!
//! Nothing outside [`abi`] knows how a call crosses from one library to another.

pub mod abi;
mod component;
mod context;
mod encoder;
mod error;
mod example;
mod hash;
mod hits;
mod index;
mod matrix;
pub mod metrics;
pub mod options;
mod reader;
mod retriever;
mod trainer;
mod vectors;

pub use component::{Child, Children, Component, ComponentInfo, Handle, Kind, Slot, SlotInfo};
pub use context::{Context, NoServices, Services};
pub use encoder::{EncodeReport, Encoder, EncoderInfo, TextRole};
pub use error::{Error, ErrorKind, Result, ResultExt, excerpt};
pub use example::{Example, Examples, Provenance};
pub use hash::Fingerprint;
pub use hits::{Hit, Hits, HitsMut, TopK};
pub use index::{Index, IndexBuilder, IndexCost, IndexFactory, IndexInfo, IndexShape, Metric};
pub use matrix::Matrix;
pub use reader::{Batch, ExampleStream, Reader, SkippedRow};
pub use retriever::{ChildPhase, Judgement, Phase, PhaseDirs, Pool, Retriever, Searcher};
pub use trainer::{
    Prediction, PredictionKind, Predictor, TrainReport, Trainer, TrainerInfo, Training,
    TrainingFolders, ValidationReport,
};
pub use vectors::{VectorStore, VectorType, VectorWriter, part_name, write_vectors};

// Used by `export_plugin!` and by option structs, so that authors depend on one crate.
#[doc(hidden)]
pub use abi_stable;
pub use schemars;
pub use serde;
pub use serde_json;

/// What a plugin's source usually needs: `use deft_core::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Batch, Children, Component, Context, EncodeReport, Encoder, EncoderInfo, Error, ErrorKind,
        Example, ExampleStream, Examples, Fingerprint, HitsMut, Index, IndexBuilder, IndexCost,
        IndexFactory, IndexInfo, IndexShape, Judgement, Kind, Matrix, Phase, PhaseDirs, Pool,
        Prediction, PredictionKind, Predictor, Provenance, Reader, Result, ResultExt, Retriever,
        Searcher, SkippedRow, Slot, TextRole, TrainReport, Trainer, TrainerInfo, Training,
        TrainingFolders, VectorStore,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
