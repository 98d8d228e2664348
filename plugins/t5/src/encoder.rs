//! The encoder: texts into vectors.

use deft_core::prelude::*;
use deft_neural::{Encoding, Values, encode};

use crate::config::{EncoderConfig, Pooling};
use crate::model::Model;
use crate::network::{Batch, Part, Pass, T5, Tensors, kernels};

/// The encoder's last states over a text's tokens, `</s>` included and padding not, as one vector.
///
/// A vector depends on its text alone: padding gets no attention and no share of the vector. Other
/// neighbours in the batch can change it by rounding, less than 1e-5 of its length. Batches are a
/// function of the texts, never of the threads, so that a call gives the same bytes at any count.
#[derive(Debug)]
pub struct T5Encoder {
    config: EncoderConfig,
    model: Model,
    network: T5,
    fingerprint: String,
}

impl Component for T5Encoder {
    type Config = EncoderConfig;
    const NAME: &'static str = "t5";
    const SUMMARY: &'static str = "pooled states of a T5 encoder";

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
            .with(format!("{:?} with </s>, f32, {}", config.pooling, config.normalize))
            .with(format!("{} {:?}", config.max_tokens, config.max_query_tokens))
            .short();
        let network = model.network(&tensors)?;
        Ok(Self { config, model, network, fingerprint })
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
        let encoding = Encoding {
            dimension: self.model.config().d_model,
            tokenise: |text: &str| self.model.tokens().encode(text, limit),
            batches: |lengths: &[usize]| batches(lengths, self.config.batch_tokens),
            vectors: |rows: &[&[u32]]| {
                let pass = Pass::interruptible(ctx);
                self.pooled(rows.iter().copied(), &pass).map_err(|e| pass.error(&e))
            },
        };
        encode(ctx, texts, out, &encoding)
    }
}

impl T5Encoder {
    /// The vectors of one batch, row-major.
    fn pooled<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u32]>,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Vec<f32>> {
        let batch = Batch::new(rows, self.model.config().pad)?;
        let states = self.network.encode(&batch, pass)?;
        let (values, dimension) = (Values::of(&states), self.model.config().d_model);
        let mut vectors = vec![0.0; batch.rows * dimension];
        let rows = values.get()?.chunks_exact(batch.length * dimension);
        for (row, (states, vector)) in rows.zip(vectors.chunks_exact_mut(dimension)).enumerate() {
            let length = batch.lengths.as_ref().map_or(batch.length, |lengths| lengths[row]);
            let states = states.chunks_exact(dimension).take(length);
            pool(self.config.pooling, states, vector);
            if self.config.normalize {
                let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
                // A vector of zeros has no direction.
                scale(vector, 1.0 / length.max(f32::MIN_POSITIVE));
            }
        }
        Ok(vectors)
    }
}

/// Makes one vector, which is zero so far, of a text's states, of which there is at least one.
fn pool<'a>(
    pooling: Pooling,
    mut states: impl ExactSizeIterator<Item = &'a [f32]>,
    vector: &mut [f32],
) {
    let length = states.len();
    match pooling {
        Pooling::First => vector.copy_from_slice(states.next().expect("a text has a token")),
        Pooling::Last => vector.copy_from_slice(states.last().expect("a text has a token")),
        Pooling::Mean => {
            states.for_each(|state| kernels::add_to(vector, state));
            scale(vector, 1.0 / length as f32);
        }
        Pooling::WeightedMean => {
            for (weight, state) in (1..).zip(states) {
                for (sum, x) in vector.iter_mut().zip(state) {
                    *sum += weight as f32 * x;
                }
            }
            scale(vector, 2.0 / (length * (length + 1)) as f32);
        }
    }
}

fn scale(vector: &mut [f32], factor: f32) {
    for x in vector {
        *x *= factor;
    }
}

/// What a reader of results should know about the vectors.
fn random_note(model: &str) -> String {
    format!(
        "the encoder's weights are random (model `{model}`): its vectors carry no meaning; \
         accuracy means nothing yet"
    )
}

/// Groups positions of similar length, the longest first, within a budget of padded tokens.
pub(crate) fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
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
    fn pooling_is_what_it_says() {
        let (states, mut found) = ([[1.0, 0.0], [2.0, 6.0], [6.0, 0.0]], Vec::new());
        for pooling in [Pooling::Mean, Pooling::WeightedMean, Pooling::First, Pooling::Last] {
            let mut vector = [0.0; 2];
            pool(pooling, states.iter().map(<[f32; 2]>::as_slice), &mut vector);
            found.push(vector);
        }
        assert_eq!(found[0], [3.0, 2.0]);
        assert!((found[1][0] - 23.0 / 6.0).abs() < 1e-6 && found[1][1] == 2.0, "{found:?}");
        assert_eq!(found[2..], [[1.0, 0.0], [6.0, 0.0]]);
    }

    #[test]
    fn normalised_vectors_have_length_one_and_the_same_direction() {
        let plain = encode(&encoder(&json!({})), 1, &["w3 w4"], TextRole::Pool);
        let unit = encode(&encoder(&json!({"normalize": true})), 1, &["w3 w4"], TextRole::Pool);
        let length = plain.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(plain.iter().zip(&unit).all(|(a, b)| (a / length - b).abs() < 1e-6));
    }

    #[test]
    fn cuda_is_refused_by_name() {
        let options = json!({"model": "m", "device": "cuda:0"});
        let config: EncoderConfig = deft_core::options::parse(&options).expect("parsed");
        let error = T5Encoder::check(&config).expect_err("no CUDA");
        assert_eq!(error.option(), Some("device"));
        assert!(error.message().contains("cuda:0"));
    }
}
