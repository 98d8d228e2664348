//! Adapters: IA3 and `LoRA`, trained beside frozen weights.
//!
//! While it is trained an adapter is a few more tensors of the network
//! ([`crate::network::projection`]); at rest it is a folder in PEFT's layout ([`files`]); and to
//! predict, or to be trained on, it is merged into the weights, so that it costs nothing there.

mod check;
mod files;
mod merge;

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};
use deft_core::{Error, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};

use crate::config::{Method, TrainerConfig};
use crate::init::stream;
use crate::model::{WHOLE, defect};
use crate::network::projection::{Adapting, IA3, LORA_A, LORA_B};
use crate::network::{NetworkConfig, Tensors, parameters};

pub(crate) use files::SavedAdapter;

/// What an adapter is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdapterSpec {
    pub(crate) kind: Kind,
    /// Names of projections: `k`, `wi_1`.
    pub(crate) modules: Vec<String>,
    /// Those whose inputs IA3 multiplies in place of their outputs: none in an adapter of ours.
    pub(crate) inputs: Vec<String>,
}

/// The kind of an adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Ia3,
    Lora { rank: usize, alpha: f64, dropout: f64 },
}

impl AdapterSpec {
    /// The adapter that the options ask for; `None` trains all weights.
    pub(crate) fn of(config: &TrainerConfig) -> Option<Self> {
        let (kind, default): (_, &[&str]) = match config.method {
            Method::Full => return None,
            Method::Ia3 => (Kind::Ia3, &["k", "v", "wi_1"]),
            Method::Lora => {
                let (rank, alpha) =
                    (config.lora_rank.unwrap_or(8), config.lora_alpha.unwrap_or(16.0));
                let dropout = config.lora_dropout.unwrap_or(0.0);
                (Kind::Lora { rank, alpha, dropout }, &["q", "v"])
            }
        };
        let default = || default.iter().map(|&name| name.to_owned()).collect();
        let modules = config.modules.clone().unwrap_or_else(default);
        Some(Self { kind, modules, inputs: Vec::new() })
    }

    /// The kind's name, as messages have it.
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ia3 => "IA3",
            Kind::Lora { .. } => "LoRA",
        }
    }

    /// What the network needs to know of it.
    #[expect(clippy::cast_possible_truncation, reason = "the network is of f32")]
    pub(crate) fn adapting(&self) -> Adapting {
        match self.kind {
            Kind::Ia3 => Adapting::default(),
            Kind::Lora { rank, alpha, dropout } => {
                Adapting { scale: (alpha / rank as f64) as f32, dropout: dropout as f32 }
            }
        }
    }

    /// New tensors, with which the network computes what it does without them.
    ///
    /// IA3 starts from ones. `LoRA`'s `B` starts from zeros and its `A` from uniform numbers up to
    /// one over the root of its width, as in PEFT; each `A` has a stream named by it.
    pub(crate) fn new_tensors(&self, network: &NetworkConfig, seed: u64) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for (name, [rows, columns]) in self.projections(network)? {
            match self.kind {
                Kind::Ia3 => {
                    tensors.insert(format!("{name}.{IA3}"), filled(vec![1.0; rows], [rows, 1])?);
                }
                Kind::Lora { rank, .. } => {
                    let a = format!("{name}.{LORA_A}");
                    let values = uniform(rank * columns, columns, seed, &a);
                    tensors.insert(a, filled(values, [rank, columns])?);
                    let zeros = filled(vec![0.0; rows * rank], [rows, rank])?;
                    tensors.insert(format!("{name}.{LORA_B}"), zeros);
                }
            }
        }
        Ok(tensors)
    }

    /// How many numbers are trained.
    pub(crate) fn count(&self, network: &NetworkConfig) -> Result<u64> {
        let of_one = |(_, [rows, columns]): (String, [usize; 2])| match self.kind {
            Kind::Ia3 => rows as u64,
            Kind::Lora { rank, .. } => (rank * (rows + columns)) as u64,
        };
        Ok(self.projections(network)?.into_iter().map(of_one).sum())
    }

    /// The projections that it is put on, with their shapes.
    pub(crate) fn projections(&self, network: &NetworkConfig) -> Result<Vec<(String, [usize; 2])>> {
        let all = parameters(network, &WHOLE);
        let of = |parameter: &crate::network::Parameter| {
            let name = parameter.name.strip_suffix(".weight")?;
            let module = name.rsplit('.').next()?;
            let shape = <[usize; 2]>::try_from(parameter.shape.as_slice()).ok()?;
            let is_wanted = self.modules.iter().any(|wanted| wanted == module);
            is_wanted.then(|| (name.to_owned(), shape))
        };
        let found: Vec<_> = all.iter().filter_map(of).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let there: BTreeSet<&str> = all
            .iter()
            .filter(|parameter| parameter.name.contains(".block."))
            .filter_map(|parameter| parameter.name.strip_suffix(".weight")?.rsplit('.').next())
            .filter(|name| !name.contains("norm") && !name.contains("bias"))
            .collect();
        let there = there.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("the network has none of these projections: {:?}", self.modules);
        Err(Error::option_at("modules", message).with_hint(format!("it has: {there}")))
    }

    /// What a reader of the results should know: how much of what was asked for is there.
    pub(crate) fn note(&self, network: &NetworkConfig) -> Result<Option<String>> {
        let reached = self.projections(network)?;
        let is_there = |module: &&String| {
            reached.iter().any(|(name, _)| name.rsplit('.').next() == Some(module.as_str()))
        };
        let (there, missing): (Vec<&String>, Vec<&String>) =
            self.modules.iter().partition(is_there);
        if missing.is_empty() {
            return Ok(None);
        }
        let list = |names: &[&String]| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        Ok(Some(format!(
            "the adapter is on {} projections, {}; this network has no {}",
            reached.len(),
            list(&there),
            list(&missing)
        )))
    }
}

fn filled(values: Vec<f32>, shape: [usize; 2]) -> Result<Tensor> {
    Tensor::from_vec(values, &shape, &Device::Cpu).map_err(|e| defect(&e))
}

fn uniform(count: usize, width: usize, seed: u64, name: &str) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream(name));
    let bound = (width as f32).sqrt().recip();
    let Ok(numbers) = Uniform::new_inclusive(-bound, bound) else { return vec![0.0; count] };
    (0..count).map(|_| numbers.sample(&mut rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model_dir;
    use serde_json::{Value, json};

    fn network(changes: &Value) -> NetworkConfig {
        let dir = model_dir(changes);
        let path = dir.path().join("config.json");
        let text = std::fs::read_to_string(&path).expect("readable");
        NetworkConfig::parse(&text, &path).expect("valid")
    }

    fn spec(options: &Value) -> AdapterSpec {
        let mut all = json!({"model": "m"});
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        AdapterSpec::of(&deft_core::options::parse(&all).expect("options")).expect("an adapter")
    }

    #[test]
    fn the_papers_ia3_is_on_keys_values_and_the_linear_half_of_the_gate() {
        let network = network(&json!({}));
        let found = spec(&json!({"method": "ia3"})).projections(&network).expect("projections");
        // Two encoder blocks with three, two decoder blocks with five.
        assert_eq!(found.len(), 16);
        let wi = "decoder.block.1.layer.2.DenseReluDense.wi_1".to_owned();
        assert!(found.contains(&(wi, [32, 16])), "{found:?}");
    }

    #[test]
    fn numbers_are_counted_without_making_them() {
        let network = network(&json!({}));
        for options in [json!({"method": "ia3"}), json!({"method": "lora", "lora_rank": 3})] {
            let spec = spec(&options);
            let tensors = spec.new_tensors(&network, 1).expect("tensors");
            let made: usize = tensors.values().map(Tensor::elem_count).sum();
            assert_eq!(spec.count(&network).expect("projections"), made as u64);
        }
    }

    #[test]
    fn a_network_without_gate_says_what_ia3_reaches() {
        let network = network(&json!({"feed_forward_proj": "relu"}));
        let ia3 = spec(&json!({"method": "ia3"}));
        let note = ia3.note(&network).expect("projections").expect("a note");
        assert!(note.ends_with("12 projections, `k`, `v`; this network has no `wi_1`"), "{note}");
        let absent = spec(&json!({"method": "ia3", "modules": ["wi_1"]}));
        let error = absent.projections(&network).expect_err("nothing is reached");
        assert_eq!(error.option(), Some("modules"));
        assert_eq!(error.hint(), Some("it has: k, o, q, v, wi, wo"));
    }

    #[test]
    fn a_tensor_of_lora_depends_on_its_name_and_the_seed() {
        let network = network(&json!({}));
        let tensors = |modules: Value, seed| {
            let lora = spec(&json!({"method": "lora", "lora_rank": 4, "modules": modules}));
            lora.new_tensors(&network, seed).expect("tensors")
        };
        let name = "encoder.block.0.layer.0.SelfAttention.q.lora_A.weight";
        let values = |tensors: &Tensors| tensors[name].to_vec2::<f32>().expect("values");
        let one = values(&tensors(json!(["q"]), 1));
        assert_eq!((one.len(), one[0].len()), (4, 16));
        assert!(one.iter().flatten().all(|x| x.abs() <= 0.25));
        assert_eq!(one, values(&tensors(json!(["q", "v"]), 1)));
        assert_ne!(one, values(&tensors(json!(["q"]), 2)));
    }
}
