//! Encoder `faulty`: hashed words.

use deft_core::prelude::*;

use crate::config::{Calls, Config, EVER};
use crate::words::{place, words};

const DIMENSION: usize = 32;

#[derive(Debug)]
pub(crate) struct FaultyEncoder {
    config: Config,
    calls: Calls,
}

impl Component for FaultyEncoder {
    type Config = Config;
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "hashed words, with a fault";

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: Config, _children: Children) -> Result<Self> {
        Ok(Self { config, calls: Calls::default() })
    }
}

impl Encoder for FaultyEncoder {
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        self.config.answer(name)
    }

    fn info(&self) -> EncoderInfo {
        let salt = if self.config.has("fingerprint") { EVER.count() } else { 0 };
        EncoderInfo::new(DIMENSION, format!("faulty {salt}"))
    }

    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let is_honest = self.config.only_for_queries && role != TextRole::Query;
        let has = |fault| !is_honest && self.config.has(fault);
        let mut report = EncodeReport::default();
        for (row, (text, vector)) in texts.iter().zip(out.chunks_exact_mut(DIMENSION)).enumerate() {
            if !has("cancelled") {
                ctx.check()?;
            }
            report.tokens += encode(text, vector);
            if has("odd_texts") {
                // The first character of an empty text.
                vector[0] += f32::from(text.as_bytes()[0]);
            }
            if has("order") {
                vector[0] += row as f32;
            }
        }
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let disturbance = [
            ("neighbours", longest as f32),
            ("threads", ctx.threads() as f32),
            ("repeatable", self.calls.count() as f32),
            ("concurrent", f32::from(has("concurrent") && self.calls.overlapped())),
            ("finite", f32::INFINITY),
        ];
        for vector in out.chunks_exact_mut(DIMENSION) {
            for (fault, added) in disturbance {
                vector[1] += if has(fault) { added } else { 0.0 };
            }
        }
        if has("tokens") {
            report.tokens = (texts.len() * longest) as u64;
        }
        if has("empty_batch") {
            assert!(!texts.is_empty(), "no text at all");
        }
        Ok(report)
    }
}

/// Writes the vector of a text and returns its number of words.
fn encode(text: &str, vector: &mut [f32]) -> u64 {
    vector.fill(0.0);
    vector[0] = 1.0;
    let mut count = 0;
    for word in words(text) {
        vector[place(word, DIMENSION)] += 1.0;
        count += 1;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    for x in vector {
        *x /= length;
    }
    count
}
