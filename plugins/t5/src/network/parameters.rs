//! The tensors of a T5 network: names, shapes and how a new one starts.

use super::config::{Head, NetworkConfig};

/// One tensor of the network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// Hugging Face's name.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) initial: Initial,
}

/// How a tensor starts in a new network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Initial {
    /// Every element is this.
    Constant(f64),
    /// Normal numbers around 0, of this standard deviation.
    Normal(f64),
}

/// The two halves of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Encoder,
    Decoder,
}

impl Part {
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }

    pub(crate) fn layers(self, config: &NetworkConfig) -> usize {
        match self {
            Self::Encoder => config.encoder_layers,
            Self::Decoder => config.decoder_layers,
        }
    }
}

/// Every tensor of the given parts, sorted by name.
///
/// They start as in Hugging Face's `T5PreTrainedModel._init_weights`, norms included: everything is
/// multiplied with `initializer_factor`. The deviations make up for the scaling that T5's attention
/// leaves out.
pub(crate) fn parameters(config: &NetworkConfig, parts: &[Part]) -> Vec<Parameter> {
    let mut list = List { config, parameters: Vec::new() };
    list.add("shared.weight".to_owned(), &[config.vocabulary, config.d_model], 1.0);
    for &part in parts {
        list.add_stack(part);
    }
    if parts.contains(&Part::Decoder) && config.head == Head::Own {
        list.add("lm_head.weight".to_owned(), &[config.vocabulary, config.d_model], 1.0);
    }
    list.parameters.sort_by(|a, b| a.name.cmp(&b.name));
    list.parameters
}

struct List<'a> {
    config: &'a NetworkConfig,
    parameters: Vec<Parameter>,
}

impl List<'_> {
    fn add(&mut self, name: String, shape: &[usize], deviation: f64) {
        let initial = Initial::Normal(deviation * self.config.init_factor);
        self.parameters.push(Parameter { name, shape: shape.to_vec(), initial });
    }

    fn add_norm(&mut self, name: String) {
        let (shape, initial) =
            (vec![self.config.d_model], Initial::Constant(self.config.init_factor));
        self.parameters.push(Parameter { name, shape, initial });
    }

    fn add_stack(&mut self, part: Part) {
        let prefix = part.prefix();
        for n in 0..part.layers(self.config) {
            let block = format!("{prefix}.block.{n}");
            self.add_attention(&format!("{block}.layer.0.SelfAttention"));
            self.add_norm(format!("{block}.layer.0.layer_norm.weight"));
            let mut last = 1;
            if part == Part::Decoder {
                self.add_attention(&format!("{block}.layer.1.EncDecAttention"));
                self.add_norm(format!("{block}.layer.1.layer_norm.weight"));
                last = 2;
            }
            self.add_feed_forward(&format!("{block}.layer.{last}.DenseReluDense"));
            self.add_norm(format!("{block}.layer.{last}.layer_norm.weight"));
        }
        // The first block's table serves all of its stack.
        let table =
            format!("{prefix}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let (buckets, heads) = (self.config.buckets, self.config.heads);
        self.add(table, &[buckets, heads], inverse_root(self.config.d_model));
        self.add_norm(format!("{prefix}.final_layer_norm.weight"));
    }

    fn add_attention(&mut self, prefix: &str) {
        let (width, inner) = (self.config.d_model, self.config.inner());
        let deviation = inverse_root(width * self.config.d_kv);
        self.add(format!("{prefix}.q.weight"), &[inner, width], deviation);
        self.add(format!("{prefix}.k.weight"), &[inner, width], inverse_root(width));
        self.add(format!("{prefix}.v.weight"), &[inner, width], inverse_root(width));
        self.add(format!("{prefix}.o.weight"), &[width, inner], inverse_root(inner));
    }

    fn add_feed_forward(&mut self, prefix: &str) {
        let (width, hidden) = (self.config.d_model, self.config.d_ff);
        let inputs: &[&str] = if self.config.gated { &["wi_0", "wi_1"] } else { &["wi"] };
        for name in inputs {
            self.add(format!("{prefix}.{name}.weight"), &[hidden, width], inverse_root(width));
        }
        self.add(format!("{prefix}.wo.weight"), &[width, hidden], inverse_root(hidden));
    }
}

fn inverse_root(width: usize) -> f64 {
    (width as f64).powf(-0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::config::tests::parse;
    use serde_json::json;

    #[test]
    fn the_initializer_factor_is_that_of_norms_too() {
        let config = parse(&json!({"num_layers": 1, "initializer_factor": 0.5})).expect("valid");
        let all = parameters(&config, &[Part::Encoder, Part::Decoder]);
        let (norms, others): (Vec<_>, Vec<_>) =
            all.iter().partition(|parameter| parameter.name.ends_with("layer_norm.weight"));
        assert_eq!(norms.len(), 2 + 3 + 2);
        assert!(norms.iter().all(|norm| norm.initial == Initial::Constant(0.5)), "{norms:?}");
        let key =
            others.iter().find(|p| p.name == "encoder.block.0.layer.0.SelfAttention.k.weight");
        assert_eq!(key.map(|key| key.initial), Some(Initial::Normal(8_f64.powf(-0.5) * 0.5)));
    }
}
