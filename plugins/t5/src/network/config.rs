//! `config.json` of a T5 model folder.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;

use super::sizes;

/// The shape of a T5 network, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkConfig {
    pub(crate) vocabulary: usize,
    /// Width of the states between the blocks.
    pub(crate) d_model: usize,
    /// Width of one attention head.
    pub(crate) d_kv: usize,
    /// Width of the hidden layer of a feed-forward.
    pub(crate) d_ff: usize,
    pub(crate) heads: usize,
    pub(crate) encoder_layers: usize,
    pub(crate) decoder_layers: usize,
    pub(crate) buckets: usize,
    pub(crate) max_distance: usize,
    pub(crate) dropout: f32,
    pub(crate) epsilon: f32,
    pub(crate) init_factor: f64,
    pub(crate) activation: Activation,
    /// Whether the feed-forward multiplies two projections (T5 v1.1).
    pub(crate) gated: bool,
    pub(crate) head: Head,
    /// Whether logits are scaled by `d_model^-½`.
    pub(crate) scale_logits: bool,
    pub(crate) pad: u32,
    pub(crate) eos: u32,
    pub(crate) decoder_start: u32,
}

/// The activation of the feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Relu,
    /// GELU by its tanh approximation.
    GeluNew,
}

/// Where the output layer's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// The input embeddings.
    Tied,
    /// `lm_head.weight`, which must be there.
    Own,
    /// `lm_head.weight` if it is there, else the input embeddings: what transformers 5 makes of
    /// T5 v1.1 says “tied, logits not scaled”, whichever of the two it holds.
    OwnIfStored,
}

/// What the file says of any model.
#[derive(Debug, Deserialize)]
struct Family {
    model_type: Option<String>,
}

/// The file as it is: many writers, many defaults. Unknown keys do not matter.
#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: Option<usize>,
    num_heads: usize,
    relative_attention_num_buckets: Option<usize>,
    relative_attention_max_distance: Option<usize>,
    dropout_rate: Option<f32>,
    layer_norm_epsilon: Option<f32>,
    initializer_factor: Option<f64>,
    feed_forward_proj: Option<String>,
    dense_act_fn: Option<String>,
    is_gated_act: Option<bool>,
    tie_word_embeddings: Option<bool>,
    scale_decoder_outputs: Option<bool>,
    pad_token_id: Option<u32>,
    eos_token_id: Option<u32>,
    decoder_start_token_id: Option<u32>,
}

impl NetworkConfig {
    /// Reads the text of `config.json`; `path` is for messages.
    pub(crate) fn parse(json: &str, path: &Path) -> Result<Self> {
        let in_file = |error: Error| error.with_context("file", path.display());
        let no_t5 = "this is no `config.json` of a T5 model";
        // First, because the file of another model lacks keys, which would say less.
        let Family { model_type } =
            serde_json::from_str(json).or_error(ErrorKind::Model, no_t5).map_err(in_file)?;
        if let Some(other) = model_type.filter(|name| !["t5", "mt5"].contains(&name.as_str())) {
            let message = format!("`model_type` must be `t5` or `mt5` (found: `{other}`)");
            return Err(in_file(Error::new(ErrorKind::Model, message))
                .with_hint("take a T5, or for a BERT a plugin that reads it"));
        }
        let file: File =
            serde_json::from_str(json).or_error(ErrorKind::Model, no_t5).map_err(in_file)?;
        let wrong = |message| in_file(Error::new(ErrorKind::Model, message));
        let config = file.network().map_err(wrong)?;
        sizes::check(&config).map_err(|message| {
            wrong(message).with_hint("is the file whole? a new model needs sizes that can be held")
        })?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Width of all heads side by side.
    pub(crate) fn inner(&self) -> usize {
        self.heads * self.d_kv
    }

    /// Refuses numbers that nothing can be computed with.
    fn check(&self) -> Result<(), String> {
        let (epsilon, factor, dropout) = (self.epsilon, self.init_factor, self.dropout);
        if !(0.0..=1.0).contains(&epsilon) {
            return Err(format!("`layer_norm_epsilon` must be in 0 ..= 1 (found: {epsilon})"));
        }
        if !(factor > 0.0 && factor <= 1e6) {
            let rule = "`initializer_factor` must be above 0 and at most 1e6";
            return Err(format!("{rule} (found: {factor})"));
        }
        if !(0.0..1.0).contains(&dropout) {
            return Err(format!("`dropout_rate` must be in 0 ..< 1 (found: {dropout})"));
        }
        let (buckets, distance) = (self.buckets, self.max_distance);
        if buckets < 4 || buckets % 2 == 1 || distance <= buckets / 2 {
            return Err(format!(
                "`relative_attention_num_buckets` must be even and at least 4, and \
                 `relative_attention_max_distance` more than half of it \
                 (found: {buckets} and {distance})"
            ));
        }
        let ids = [self.pad, self.eos, self.decoder_start];
        match ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            None => Ok(()),
            Some(id) => {
                Err(format!("token id {id} is not below `vocab_size` ({})", self.vocabulary))
            }
        }
    }
}

impl File {
    fn network(&self) -> Result<NetworkConfig, String> {
        let (activation, gated) = self.activation()?;
        let tied = self.tie_word_embeddings.unwrap_or(true);
        let scale_logits = self.scale_decoder_outputs.unwrap_or(tied);
        let head = match (tied, scale_logits) {
            (false, _) => Head::Own,
            (true, true) => Head::Tied,
            (true, false) => Head::OwnIfStored,
        };
        let pad = self.pad_token_id.unwrap_or(0);
        Ok(NetworkConfig {
            vocabulary: self.vocab_size,
            d_model: self.d_model,
            d_kv: self.d_kv,
            d_ff: self.d_ff,
            heads: self.num_heads,
            encoder_layers: self.num_layers,
            decoder_layers: self.num_decoder_layers.unwrap_or(self.num_layers),
            buckets: self.relative_attention_num_buckets.unwrap_or(32),
            max_distance: self.relative_attention_max_distance.unwrap_or(128),
            dropout: self.dropout_rate.unwrap_or(0.1),
            epsilon: self.layer_norm_epsilon.unwrap_or(1e-6),
            init_factor: self.initializer_factor.unwrap_or(1.0),
            activation,
            gated,
            head,
            scale_logits,
            pad,
            eos: self.eos_token_id.unwrap_or(1),
            decoder_start: self.decoder_start_token_id.unwrap_or(pad),
        })
    }

    /// `feed_forward_proj` decides, as in transformers; the other two keys are derived from it.
    fn activation(&self) -> Result<(Activation, bool), String> {
        let (name, gated) = match (self.feed_forward_proj.as_deref(), self.dense_act_fn.as_deref())
        {
            // This one name means the tanh approximation, for the sake of old files.
            (Some("gated-gelu"), _) => ("gelu_new", true),
            (Some(name), _) => match name.strip_prefix("gated-") {
                Some(name) => (name, true),
                None => (name, false),
            },
            (None, Some(name)) => (name, self.is_gated_act.unwrap_or(false)),
            (None, None) => ("relu", false),
        };
        match name {
            "relu" => Ok((Activation::Relu, gated)),
            "gelu_new" => Ok((Activation::GeluNew, gated)),
            other => Err(format!(
                "the activation `{other}` is not supported (allowed: relu, gelu_new, and gated- \
                 before either)"
            )),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A small network's file with changes.
    pub(in crate::network) fn parse(changes: &Value) -> Result<NetworkConfig> {
        let mut file = json!({
            "vocab_size": 10, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2,
        });
        for (key, value) in changes.as_object().expect("an object") {
            file[key] = value.clone();
        }
        NetworkConfig::parse(&file.to_string(), Path::new("config.json"))
    }

    #[test]
    fn defaults_are_those_of_the_first_t5() {
        let config = parse(&json!({})).expect("valid");
        assert_eq!((config.decoder_layers, config.buckets, config.max_distance), (2, 32, 128));
        assert_eq!((config.activation, config.gated), (Activation::Relu, false));
        assert_eq!((config.head, config.scale_logits), (Head::Tied, true));
        assert_eq!((config.pad, config.eos, config.decoder_start), (0, 1, 0));
    }

    #[test]
    fn every_spelling_of_the_activation_is_understood() {
        for changes in [
            json!({"feed_forward_proj": "gated-gelu"}),
            json!({"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"}),
            json!({"dense_act_fn": "gelu_new", "is_gated_act": true}),
        ] {
            let config = parse(&changes).expect("valid");
            assert_eq!((config.activation, config.gated), (Activation::GeluNew, true), "{changes}");
        }
    }

    #[test]
    fn the_head_of_each_generation_of_files_is_found() {
        let head = |changes| parse(&changes).map(|c| (c.head, c.scale_logits)).expect("valid");
        assert_eq!(head(json!({"tie_word_embeddings": false})), (Head::Own, false));
        let five = json!({"tie_word_embeddings": true, "scale_decoder_outputs": false});
        assert_eq!(head(five), (Head::OwnIfStored, false));
    }

    #[test]
    fn what_cannot_be_computed_is_named() {
        let message = |changes| parse(&changes).expect_err("wrong").to_string();
        assert!(message(json!({"feed_forward_proj": "gated-silu"})).contains("`silu`"));
        assert!(message(json!({"model_type": "bert"})).contains("`bert`"));
        assert!(message(json!({"d_kv": 0})).contains("`d_kv`"));
        assert!(message(json!({"d_kv": null})).contains("config.json"));
        assert!(message(json!({"initializer_factor": -1.0})).contains("`initializer_factor`"));
        assert!(message(json!({"layer_norm_epsilon": -1e-6})).contains("`layer_norm_epsilon`"));
    }
}
