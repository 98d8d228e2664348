//! How much an encoder computes.

use std::path::Path;

use deft_core::{ErrorKind, Result, ResultExt};
use deft_t5::{SLICE, batches};
use serde::Deserialize;

/// The sizes of a model that decide how much it computes, as in `config.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Sizes {
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    #[serde(default)]
    feed_forward_proj: String,
}

/// What it takes to encode some texts.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Tokens, padding not counted.
    pub(crate) tokens: usize,
    /// Floating-point operations on these tokens, each text by itself.
    pub(crate) operations: f64,
    /// Tokens, padding counted.
    pub(crate) padded_tokens: usize,
    /// Floating-point operations with those of padding.
    pub(crate) padded_operations: f64,
}

impl Sizes {
    /// Reads those of a model's folder.
    pub(crate) fn read(model: &Path) -> Result<Self> {
        let path = model.join("config.json");
        let text = std::fs::read_to_string(&path).or_io("cannot read the model's sizes", &path)?;
        serde_json::from_str(&text)
            .or_error(ErrorKind::Model, "this is no `config.json` of a T5 model")
            .map_err(|error| error.with_context("file", path.display()))
    }

    /// Whether the feed-forward layers have a gate, and so three matrices instead of two.
    pub(crate) fn gated(&self) -> bool {
        self.feed_forward_proj.starts_with("gated-")
    }

    /// Floating-point operations of the encoder on one text of `length` tokens, where a multiplication
    /// and an addition are two. In each layer, with `inner = num_heads · d_kv`:
    ///
    /// - the projections q, k, v and o: `2 · length · 4 · d_model · inner`;
    /// - the feed-forward: `2 · length · m · d_model · d_ff`, `m` being 3 with a gate, else 2;
    /// - attention, its scores and what they weigh: `2 · 2 · length² · inner`.
    ///
    /// Norms, softmax, activations, position bias, embeddings and pooling are not counted.
    fn operations(&self, length: usize) -> f64 {
        let inner = self.num_heads * self.d_kv;
        let matrices = if self.gated() { 3 } else { 2 };
        let token = 4 * self.d_model * inner + matrices * self.d_model * self.d_ff;
        let pairs = 2 * length * inner;
        2.0 * self.num_layers as f64 * length as f64 * (token + pairs) as f64
    }

    /// What it takes to encode texts of these lengths in batches of at most `budget` tokens, as the
    /// plugin does: on a GPU slice by slice, each batch padded to a multiple of 8.
    pub(crate) fn work(&self, lengths: &[usize], budget: usize, is_on_cpu: bool) -> Work {
        let (slice, multiple) = if is_on_cpu { (usize::MAX, 1) } else { (SLICE, 8) };
        let mut work = Work::default();
        for lengths in lengths.chunks(slice) {
            for batch in batches(lengths, budget) {
                // The first is the longest.
                let padded = lengths[batch[0]].next_multiple_of(multiple);
                for text in batch {
                    work.tokens += lengths[text];
                    work.operations += self.operations(lengths[text]);
                    work.padded_tokens += padded;
                    work.padded_operations += self.operations(padded);
                }
            }
        }
        work
    }
}
