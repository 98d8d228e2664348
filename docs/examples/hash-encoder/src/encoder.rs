//! The encoder `hash`: feature hashing of words.

use deft_core::prelude::*;

use crate::config::HashConfig;

/// Texts between two looks at whether the user asked to stop.
const BATCH: usize = 1024;

/// The largest dimension that is allowed.
const MAX_DIMENSION: usize = 65_536;

/// Adds +1 or -1 to one component per word, then scales the vector to length 1.
///
/// Which component and which sign depend on the word's hash alone. The signs make words that share
/// a component cancel out on average. A text without words is the zero vector.
#[derive(Debug)]
pub struct HashEncoder {
    config: HashConfig,
}

impl Component for HashEncoder {
    type Config = HashConfig;
    const NAME: &'static str = "hash";
    const SUMMARY: &'static str = "words hashed into a vector; needs no model";

    fn check(config: &HashConfig) -> Result<()> {
        if (1..=MAX_DIMENSION).contains(&config.dimension) {
            return Ok(());
        }
        // The host turns the option's path into file, line and column of the manifest.
        Err(Error::option_at(
            "dimension",
            format!("`dimension` must be 1 to {MAX_DIMENSION} (dimension: {})", config.dimension),
        ))
    }

    fn new(_ctx: &Context<'_>, config: HashConfig, _children: Children) -> Result<Self> {
        Ok(Self { config })
    }
}

impl Encoder for HashEncoder {
    fn info(&self) -> EncoderInfo {
        let HashConfig { dimension, lowercase } = self.config;
        // Whatever can change a vector belongs into the fingerprint: an index that was built with
        // another one is refused. A change of the code below needs another word than `fnv1a`.
        EncoderInfo::new(dimension, format!("fnv1a words, {dimension}, lowercase {lowercase}"))
    }

    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        _role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let dimension = self.config.dimension;
        let mut report = EncodeReport::default();
        let batches = texts.chunks(BATCH).zip(out.chunks_mut(BATCH * dimension));
        for (i, (texts_of_batch, vectors)) in batches.enumerate() {
            ctx.check()?;
            for (text, vector) in texts_of_batch.iter().zip(vectors.chunks_exact_mut(dimension)) {
                report.tokens += self.encode_text(text, vector);
            }
            ctx.progress(i * BATCH + texts_of_batch.len(), texts.len(), "rows");
        }
        Ok(report)
    }
}

impl HashEncoder {
    /// Writes the vector of one text and returns its number of words.
    fn encode_text(&self, text: &str, vector: &mut [f32]) -> u64 {
        vector.fill(0.0);
        let mut words = 0;
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash =
                if self.config.lowercase { fnv1a(&word.to_lowercase()) } else { fnv1a(word) };
            // The lowest bit is the sign, the others choose the component: two independent draws.
            let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
            vector[(hash >> 1) as usize % self.config.dimension] += sign;
            words += 1;
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            for x in vector {
                *x /= length;
            }
        }
        words
    }
}

/// The 32-bit FNV-1a hash.
///
/// The standard library's hashers may change with the compiler; vectors in a store may not.
fn fnv1a(word: &str) -> u32 {
    word.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;

    fn encode(lowercase: bool, texts: &[&str]) -> Vec<Vec<f32>> {
        let ctx = Context::new(&NoServices, 0, 1);
        let config = HashConfig { dimension: 64, lowercase };
        let encoder = HashEncoder::new(&ctx, config, Children::none()).expect("valid options");
        let mut out = vec![f32::NAN; texts.len() * 64];
        encoder.encode(&ctx, texts, TextRole::Pool, &mut out).expect("nothing can fail");
        out.chunks(64).map(<[f32]>::to_vec).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn hash_is_the_published_fnv1a() {
        assert_eq!(fnv1a(""), 0x811c_9dc5);
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn vectors_have_length_one_and_an_empty_text_has_none() {
        let vectors = encode(true, &["The soup was cold.", "…"]);
        assert!((dot(&vectors[0], &vectors[0]) - 1.0).abs() < 1e-6);
        assert!(vectors[1].iter().all(|&x| x == 0.0));
    }

    #[test]
    fn texts_with_words_in_common_are_nearer() {
        let vectors = encode(true, &["the soup was cold", "cold soup again", "seven blue kites"]);
        assert!(dot(&vectors[0], &vectors[1]) > dot(&vectors[0], &vectors[2]));
    }

    #[test]
    fn case_counts_only_when_asked_for() {
        let folded = encode(true, &["Soup", "soup"]);
        assert_eq!(folded[0], folded[1]);
        let exact = encode(false, &["Soup", "soup"]);
        assert_ne!(exact[0], exact[1]);
    }

    #[test]
    fn a_vector_does_not_depend_on_its_neighbours() {
        let texts: Vec<String> = (0..=2 * BATCH).map(|i| format!("word{i}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let together = encode(true, &texts);
        assert_eq!(together[2 * BATCH], encode(true, &texts[2 * BATCH..])[0]);
    }

    #[test]
    fn impossible_dimension_is_refused_by_name() {
        for dimension in [0, MAX_DIMENSION + 1] {
            let error = HashEncoder::check(&HashConfig { dimension, lowercase: true });
            assert_eq!(error.expect_err("out of range").option(), Some("dimension"));
        }
    }
}
