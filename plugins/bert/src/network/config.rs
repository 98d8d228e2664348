//! `config.json` of a BERT, a `RoBERTa` or a `DistilBERT`.

use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;

/// Largest size that is believed: far more than any model's, and products of two still fit.
const MAX_SIZE: usize = 10_000_000;
/// Most layers that are believed; the largest BERT has 24.
const MAX_LAYERS: usize = 1000;
/// What `model_type` may be.
const MODEL_TYPES: [(&str, Family); 5] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("camembert", Family::Roberta),
    ("distilbert", Family::DistilBert),
];

/// The shape of a network, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkConfig {
    pub(crate) family: Family,
    pub(crate) vocabulary: usize,
    /// Width of the states between the blocks.
    pub(crate) width: usize,
    /// Width of the hidden layer of a feed-forward.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// Rows of the table of token types; 0 without one.
    pub(crate) types: usize,
    pub(crate) epsilon: f32,
    pub(crate) activation: Activation,
    pub(crate) pad: u32,
}

/// What differs between the models of BERT's kind: names of tensors, positions, token types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Bert,
    Roberta,
    DistilBert,
}

/// The activation of the feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// GELU by the error function.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
    Relu,
}

/// What the file says of any model.
#[derive(Debug, Deserialize)]
struct AnyModel {
    model_type: Option<String>,
}

/// The file as it is; the second names are `DistilBERT`'s. Unknown keys do not matter.
#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f32>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
    embedding_size: Option<usize>,
}

impl NetworkConfig {
    /// Reads `config.json` in a folder.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let in_file = |error: Error| error.with_context("path", path.display());
        let json = std::fs::read_to_string(&path)
            .or_error(ErrorKind::Model, "the model's folder has no readable config.json")
            .map_err(in_file)?;
        Self::parse(&json).map_err(in_file)
    }

    fn parse(json: &str) -> Result<Self> {
        let no_bert = "this is no `config.json` of a BERT model";
        // First, because the file of another model lacks keys, which would say less.
        let AnyModel { model_type } =
            serde_json::from_str(json).or_error(ErrorKind::Model, no_bert)?;
        let name = model_type.as_deref().unwrap_or("bert");
        let Some((_, family)) = MODEL_TYPES.into_iter().find(|(known, _)| *known == name) else {
            let known = MODEL_TYPES.map(|(name, _)| name).join(", ");
            let message = format!("`model_type` must be one of {known} (found: `{name}`)");
            return Err(Error::new(ErrorKind::Model, message).with_hint(
                "this plugin computes BERT and what differs from it by names and positions alone",
            ));
        };
        let file: File = serde_json::from_str(json).or_error(ErrorKind::Model, no_bert)?;
        let wrong = |message| Error::new(ErrorKind::Model, message);
        file.check().and_then(|()| file.network(family)).map_err(wrong)
    }

    /// The row of a text's first position: `RoBERTa` has them behind that of padding.
    pub(crate) fn first_position(&self) -> usize {
        match self.family {
            Family::Roberta => self.pad as usize + 1,
            Family::Bert | Family::DistilBert => 0,
        }
    }

    /// The longest text that there are positions for.
    pub(crate) fn longest(&self) -> usize {
        self.positions - self.first_position()
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_hidden_layers", self.num_hidden_layers),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size.unwrap_or(2)),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("`{name}` must be at least 1 (found: 0)"));
        }
        if let Some((name, size)) = sizes.into_iter().find(|(_, size)| *size > MAX_SIZE) {
            return Err(format!("`{name}` cannot be more than {MAX_SIZE} (found: {size})"));
        }
        if self.num_hidden_layers > MAX_LAYERS {
            let layers = self.num_hidden_layers;
            return Err(format!("more than {MAX_LAYERS} layers cannot be (found: {layers})"));
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if !width.is_multiple_of(heads) {
            return Err(format!(
                "`hidden_size` must be a multiple of `num_attention_heads` ({width} and {heads})"
            ));
        }
        if self.layer_norm_eps.is_some_and(|epsilon| !(0.0..=1.0).contains(&epsilon)) {
            return Err("`layer_norm_eps` must be in 0 ..= 1".to_owned());
        }
        self.check_kind()
    }

    /// Refuses networks that these names are used for, too.
    fn check_kind(&self) -> Result<(), String> {
        match self.position_embedding_type.as_deref() {
            None | Some("absolute") => {}
            Some(other) => {
                return Err(format!(
                    "`position_embedding_type` must be `absolute` (found: `{other}`)"
                ));
            }
        }
        if self.is_decoder == Some(true) {
            return Err("`is_decoder` must be false: a decoder is no encoder".to_owned());
        }
        match self.embedding_size {
            Some(size) if size != self.hidden_size => {
                Err(format!("`embedding_size` must be `hidden_size` (found: {size})"))
            }
            _ => Ok(()),
        }
    }

    fn network(&self, family: Family) -> Result<NetworkConfig, String> {
        let pad = self.pad_token_id.unwrap_or(u32::from(family == Family::Roberta));
        let config = NetworkConfig {
            family,
            vocabulary: self.vocab_size,
            width: self.hidden_size,
            hidden: self.intermediate_size,
            heads: self.num_attention_heads,
            layers: self.num_hidden_layers,
            positions: self.max_position_embeddings,
            types: match family {
                Family::DistilBert => 0,
                Family::Bert | Family::Roberta => self.type_vocab_size.unwrap_or(2),
            },
            epsilon: self.layer_norm_eps.unwrap_or(1e-12),
            activation: self.activation()?,
            pad,
        };
        if config.positions <= config.first_position() {
            return Err(format!(
                "`max_position_embeddings` must be more than {} for this model (found: {})",
                config.first_position(),
                config.positions
            ));
        }
        Ok(config)
    }

    fn activation(&self) -> Result<Activation, String> {
        match self.hidden_act.as_deref().unwrap_or("gelu") {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => Err(format!(
                "the activation `{other}` is not supported (allowed: gelu, gelu_new, \
                 gelu_pytorch_tanh, relu)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(changes: &Value) -> Result<NetworkConfig> {
        let mut file = json!({
            "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 6,
        });
        for (key, value) in changes.as_object().expect("an object") {
            file[key] = value.clone();
        }
        NetworkConfig::parse(&file.to_string())
    }

    #[test]
    fn defaults_are_those_of_bert() {
        let config = parse(&json!({})).expect("valid");
        assert_eq!((config.family, config.activation), (Family::Bert, Activation::Gelu));
        assert_eq!((config.types, config.epsilon, config.longest()), (2, 1e-12, 6));
    }

    #[test]
    fn roberta_counts_positions_from_behind_padding() {
        let config = parse(&json!({"model_type": "xlm-roberta", "pad_token_id": 1}));
        assert_eq!(config.map(|c| (c.first_position(), c.longest())).expect("valid"), (2, 4));
    }

    #[test]
    fn distilbert_has_names_of_its_own_and_no_token_types() {
        let file = json!({
            "model_type": "distilbert", "vocab_size": 10, "dim": 8, "hidden_dim": 16, "n_layers": 1,
            "n_heads": 2, "max_position_embeddings": 6, "activation": "relu",
        });
        let config = NetworkConfig::parse(&file.to_string()).expect("valid");
        assert_eq!((config.width, config.types, config.activation), (8, 0, Activation::Relu));
    }

    #[test]
    fn another_model_is_refused_with_what_is_allowed() {
        let error = parse(&json!({"model_type": "mpnet"})).expect_err("no BERT");
        assert_eq!(error.kind(), ErrorKind::Model);
        let wanted = "`model_type` must be one of bert, roberta, xlm-roberta, camembert, \
                      distilbert (found: `mpnet`)";
        assert_eq!(error.message(), wanted);
    }

    #[test]
    fn what_cannot_be_computed_is_named() {
        let message = |changes| parse(&changes).expect_err("wrong").to_string();
        assert!(message(json!({"hidden_act": "silu"})).contains("`silu`"));
        assert!(message(json!({"num_attention_heads": 3})).contains("multiple"));
        assert!(message(json!({"hidden_size": 0})).contains("`hidden_size`"));
        assert!(message(json!({"hidden_size": null})).contains("config.json"));
        assert!(message(json!({"position_embedding_type": "rotary"})).contains("`rotary`"));
        assert!(message(json!({"is_decoder": true})).contains("`is_decoder`"));
        assert!(message(json!({"num_hidden_layers": 1_u64 << 20})).contains("layers"));
        let short = json!({"model_type": "roberta", "max_position_embeddings": 2});
        assert!(message(short).contains("`max_position_embeddings`"));
    }
}
