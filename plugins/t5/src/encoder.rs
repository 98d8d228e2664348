//! The encoder: texts into vectors.

use std::sync::{Mutex, OnceLock, PoisonError};

use deft_core::prelude::*;
use deft_neural::{Encoding, encode};

use crate::config::EncoderConfig;
use crate::device;
use crate::model::Model;
use crate::network::{Batch, Part, Pass, T5, Tensors};
use crate::networks::Networks;
use crate::pooling::{normalise, pooled};
use crate::slices::in_slices;

/// The encoder's last states over a text's tokens, `</s>` included and padding not, as one vector.
///
/// A vector depends on its text alone: padding gets no attention and no share of the vector. Other
/// neighbours in the batch can change it by rounding, less than 1e-5 of its length. Batches are a
/// function of the texts, never of the threads, so that a call gives the same bytes at any count. On
/// a GPU they are one of its free memory, too, and it may be any of several: there, vectors are the
/// same but for rounding.
#[derive(Debug)]
pub struct T5Encoder {
    config: EncoderConfig,
    model: Model,
    fingerprint: String,
    /// Until the first texts come: a plan, or a store that is complete, needs no device.
    weights: Mutex<Tensors>,
    placed: OnceLock<Placed>,
}

/// The network where it computes.
#[derive(Debug)]
struct Placed {
    networks: Networks,
    batch_tokens: usize,
}

impl Component for T5Encoder {
    type Config = EncoderConfig;
    const NAME: &'static str = "t5";
    const SUMMARY: &'static str = "pooled states of a T5 encoder";

    fn capabilities() -> serde_json::Value {
        device::capabilities()
    }

    fn check(config: &EncoderConfig) -> Result<()> {
        config.check()
    }

    fn new(ctx: &Context<'_>, config: EncoderConfig, _children: Children) -> Result<Self> {
        config.check()?;
        let model = Model::open(ctx, &config.model())?;
        let mut tensors = Tensors::new();
        let fingerprint = model
            .fingerprint(ctx, &[Part::Encoder], |name, tensor| {
                tensors.insert(name, tensor);
            })?
            .with(format!(
                "{:?} with </s>, {}, {}",
                config.pooling, config.precision, config.normalize
            ))
            .with(format!("{} {:?}", config.max_tokens, config.max_query_tokens))
            .short();
        let weights = Mutex::new(tensors);
        Ok(Self { config, model, fingerprint, weights, placed: OnceLock::new() })
    }
}

impl Encoder for T5Encoder {
    fn info(&self) -> EncoderInfo {
        EncoderInfo {
            max_tokens: Some(self.config.max_tokens),
            max_query_tokens: self.config.max_query_tokens,
            notes: self.model.random_name().map(random_note).into_iter().collect(),
            ..EncoderInfo::new(self.model.config().d_model, &self.fingerprint)
        }
    }

    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let limit = match role {
            TextRole::Query => self.config.max_query_tokens,
            // The pool's, and that of roles which are not there yet.
            _ => Some(self.config.max_tokens),
        };
        let placed = self.placed(ctx)?;
        let encode = |ctx: &Context<'_>, texts: &[&str], out: &mut [f32]| {
            self.encode_slice(ctx, placed, texts, limit, out)
        };
        if placed.networks.are_shared() {
            return encode(ctx, texts, out);
        }
        let (out, at_once) = ((out, self.model.config().d_model), placed.networks.count() + 1);
        in_slices(ctx, texts, out, at_once, encode)
    }
}

impl T5Encoder {
    /// Encodes texts that were cut into no slices, or are one.
    fn encode_slice(
        &self,
        ctx: &Context<'_>,
        Placed { networks, batch_tokens }: &Placed,
        texts: &[&str],
        limit: Option<usize>,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let encoding = Encoding {
            dimension: self.model.config().d_model,
            tokenise: |text: &str| self.model.tokens().encode(text, limit),
            batches: |lengths: &[usize]| batches(lengths, *batch_tokens),
            vectors: |rows: &[&[u32]]| {
                let pass = Pass::interruptible(ctx);
                networks.compute(rows, &pass, |network, rows| {
                    self.pooled(network, rows.iter().copied(), &pass)
                })
            },
        };
        encode(ctx, texts, out, &encoding)
    }

    /// The network where it computes; it is put there the first time.
    fn placed(&self, ctx: &Context<'_>) -> Result<&Placed> {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(placed) = self.placed.get() {
            return Ok(placed);
        }
        let placed = self.place(ctx, &weights)?;
        // On a GPU there are copies now, and a network in main memory has them.
        weights.clear();
        Ok(self.placed.get_or_init(|| placed))
    }

    fn place(&self, ctx: &Context<'_>, weights: &Tensors) -> Result<Placed> {
        let (config, model) = (&self.config, &self.model);
        let placements = device::open(ctx, config.device, config.precision)?;
        let dtype = config.precision.dtype();
        let needed = device::weight_bytes(model.config(), &[Part::Encoder], dtype);
        for placement in &placements {
            device::check_room(placement, "the encoder's weights", needed)?;
        }
        let networks = Networks::new(model, placements, weights)?;
        let batch_tokens = batch_tokens(config, model, &networks);
        Ok(Placed { networks, batch_tokens })
    }

    /// The vectors of one batch, row-major.
    fn pooled<'a>(
        &self,
        network: &T5,
        rows: impl Iterator<Item = &'a [u32]>,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Vec<f32>> {
        let config = self.model.config();
        let batch = Batch::padded(rows, config.pad, network.multiple())?;
        let states = network.encode(&batch, pass)?;
        let mut vectors = pooled(&states, &batch, self.config.pooling)?;
        if self.config.normalize {
            normalise(&mut vectors, config.d_model);
        }
        Ok(vectors)
    }
}

/// Tokens of a batch: those of the options, or what the device is estimated to have room for.
fn batch_tokens(config: &EncoderConfig, model: &Model, networks: &Networks) -> usize {
    config.batch_tokens.unwrap_or_else(|| {
        let longest = config.max_tokens.max(config.max_query_tokens.unwrap_or(0));
        device::batch_tokens(
            networks.free_bytes(),
            model.config(),
            longest,
            config.precision.dtype(),
        )
    })
}

/// What a reader of results should know about the vectors.
fn random_note(model: &str) -> String {
    format!(
        "the encoder's weights are random (model `{model}`): its vectors carry no meaning; \
         accuracy means nothing yet"
    )
}

/// Groups positions of similar length, the longest first, within a budget of padded tokens.
#[must_use]
pub fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&position| (std::cmp::Reverse(lengths[position]), position));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for position in order {
        match batches.last_mut() {
            // The first is the longest: all are padded to it.
            Some(batch) if lengths[batch[0]] * (batch.len() + 1) <= budget => batch.push(position),
            _ => batches.push(vec![position]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, model_dir, random};
    use serde_json::{Value, json};

    const TEXTS: [&str; 6] =
        ["w3", "w9 w8 w7 w6 w5 w4 w3 w2 w11 w12", "", "w30 w31", "w5 w6 w7 w8 w9", "w3 w4 w5"];

    fn encoder(options: &Value) -> T5Encoder {
        random(model_dir(&json!({})).path(), options)
    }

    fn encode(encoder: &T5Encoder, threads: usize, texts: &[&str], role: TextRole) -> Vec<f32> {
        let mut out = vec![0.0; texts.len() * encoder.info().dimension];
        encoder.encode(&context(threads), texts, role, &mut out).expect("vectors");
        out
    }

    #[test]
    fn batches_hold_similar_lengths_within_the_budget() {
        let found = batches(&[3, 10, 2, 3, 50], 10);
        assert_eq!(found, [vec![4], vec![1], vec![0, 3, 2]]);
    }

    #[test]
    fn a_vector_does_not_depend_on_its_batch() {
        let encoder = encoder(&json!({}));
        let together = encode(&encoder, 1, &TEXTS, TextRole::Pool);
        for (text, vector) in TEXTS.iter().zip(together.chunks_exact(encoder.info().dimension)) {
            let alone = encode(&encoder, 1, &[text], TextRole::Pool);
            let length = alone.iter().map(|x| x * x).sum::<f32>().sqrt();
            let apart = alone.iter().zip(vector).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            assert!(apart <= 1e-5 * length, "{text:?}: {apart} of {length}");
        }
    }

    #[test]
    fn vectors_are_the_same_bytes_at_any_thread_count() {
        let encoder = encoder(&json!({"batch_tokens": 8}));
        let one = encode(&encoder, 1, &TEXTS, TextRole::Pool);
        for threads in [2, 3] {
            assert_eq!(encode(&encoder, threads, &TEXTS, TextRole::Pool), one);
        }
    }

    #[test]
    fn a_cut_text_keeps_its_end_and_queries_are_not_cut() {
        let encoder = encoder(&json!({"max_tokens": 3}));
        let mut cut = vec![0.0; 16];
        let long = ["w5 w6 w7 w8"];
        let report =
            encoder.encode(&context(1), &long, TextRole::Pool, &mut cut).expect("a vector");
        assert_eq!((report.tokens, report.truncated), (3, 1));
        assert_eq!(cut, encode(&encoder, 1, &["w5 w6"], TextRole::Pool));
        assert_ne!(cut, encode(&encoder, 1, &long, TextRole::Query));
    }

    #[test]
    fn the_fingerprint_follows_weights_and_limits_but_not_use_options() {
        let fingerprint = |options| encoder(&options).info().fingerprint;
        let one = fingerprint(json!({}));
        assert_eq!(one, fingerprint(json!({"batch_tokens": 1, "device": "cpu"})));
        assert_ne!(one, fingerprint(json!({"max_tokens": 100})));
        assert_ne!(one, fingerprint(json!({"init_seed": 4})));
        assert!(encoder(&json!({})).info().notes[0].contains("are random"));
    }

    #[test]
    fn a_long_query_is_encoded_in_rows_and_one_without_end_is_refused() {
        let encoder = encoder(&json!({"max_query_tokens": null}));
        // Three runs of queries, the last one short.
        let long = "w5 w6 w7 ".repeat(700);
        let in_rows = encode(&encoder, 1, &[&long], TextRole::Query);
        let limited = self::encoder(&json!({"max_tokens": 3000}));
        let batch = [long.as_str(), "w3"];
        assert_eq!(in_rows, encode(&limited, 2, &batch, TextRole::Pool)[..in_rows.len()]);
        let endless = "w5 ".repeat(100_000);
        let mut out = vec![0.0; in_rows.len()];
        let error = encoder
            .encode(&context(1), &[&endless], TextRole::Query, &mut out)
            .expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.hint(), Some("set a limit: `max_query_tokens`"));
        let report = encoder.encode(&context(1), &[&endless], TextRole::Pool, &mut out);
        assert_eq!(report.expect("a vector").truncated, 1);
    }

    #[test]
    fn normalised_vectors_have_length_one_and_the_same_direction() {
        let plain = encode(&encoder(&json!({})), 1, &["w3 w4"], TextRole::Pool);
        let unit = encode(&encoder(&json!({"normalize": true})), 1, &["w3 w4"], TextRole::Pool);
        let length = plain.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(plain.iter().zip(&unit).all(|(a, b)| (a / length - b).abs() < 1e-6));
    }

    #[test]
    fn a_precision_is_in_the_fingerprint_and_f32_changes_none() {
        let default = encoder(&json!({})).info().fingerprint;
        assert_eq!(default, encoder(&json!({"precision": "f32"})).info().fingerprint);
        let (config, wanted) = (json!({"model": "m"}), json!({"model": "m", "precision": "tf32"}));
        let complete = deft_core::options::complete::<EncoderConfig>;
        // What was made before there was a choice keeps its identity.
        assert!(complete(&config).expect("options").get("precision").is_none());
        assert_eq!(complete(&wanted).expect("options")["precision"], "tf32");
        assert_ne!(
            default,
            encoder(&json!({"precision": "tf32", "device": "cpu"})).info().fingerprint
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_is_refused_by_name() {
        let options = json!({"model": "m", "device": "cuda:0"});
        let config: EncoderConfig = deft_core::options::parse(&options).expect("parsed");
        let error = T5Encoder::check(&config).expect_err("no CUDA");
        assert_eq!(error.option(), Some("device"));
        assert!(error.message().contains("cuda:0"));
    }
}
