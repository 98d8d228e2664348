//! What an encoder promises.

use std::sync::Arc;

use deft_core::{EncodeReport, Encoder, Handle, Result, TextRole};

use crate::Component;
use crate::component::suite;
use crate::data::{Random, odd_texts, texts};
use crate::report::{Check, Unmet, Verdict, ensure, skip_unless};
use crate::services::{SEED, TestServices, at_once, must_stop};

/// The checks of an encoder.
#[derive(Debug, Clone)]
pub struct EncoderChecks {
    pub(crate) component: Component,
    tolerance: f32,
}

suite!(EncoderChecks, CHECKS);

const CHECKS: &[Check<EncoderChecks>] = &[
    Check::new("finite", "every component of every vector is written, and is a number", finite),
    Check::new("repeatable", "the same call gives the same bits", repeatable),
    Check::new("neighbours", "a vector does not depend on its neighbours or padding", neighbours),
    Check::new("order", "a vector does not depend on its place in the batch", order),
    Check::new("threads", "a vector does not depend on the number of threads", threads),
    Check::new("concurrent", "calls at the same time do not disturb each other", concurrent),
    Check::new("odd_texts", "any text has a vector: empty, odd, a hundred thousand long", odd),
    Check::new("empty_batch", "no text at all is no error", empty_batch),
    Check::new("tokens", "tokens are counted without padding, cut texts at most once", tokens),
    Check::new("fingerprint", "equal options give equal fingerprints and dimensions", fingerprint),
    Check::new("cancelled", "a cancelled call stops within a second, and says so", cancelled),
];

impl EncoderChecks {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, tolerance: 1e-5 }
    }

    /// How far a vector may move with its neighbours, as a share of its length: 1e-5 by default,
    /// which is rounding; 0 for an encoder that is exact.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f32) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn create(&self) -> Result<Subject> {
        match self.component.create()? {
            Handle::Encoder(encoder) => {
                Ok(Subject { dimension: encoder.info().dimension, encoder })
            }
            other => unreachable!("an encoder was made, not {other:?}"),
        }
    }

    /// Compares the vectors of texts with those at `places` of others.
    fn compare(&self, texts: &[String], found: &Vectors, wanted: &Vectors) -> Verdict {
        let rows = found.rows.chunks_exact(found.dimension);
        let wanted = wanted.rows.chunks_exact(wanted.dimension);
        for ((text, found), wanted) in texts.iter().zip(rows).zip(wanted) {
            let moved = distance(found, wanted);
            ensure!(
                moved <= self.tolerance,
                "the vector of “{}” moved by {moved:e} of its length; allowed are {:e}",
                deft_core::excerpt(text),
                self.tolerance
            );
        }
        Ok(())
    }
}

/// The distance of two vectors as a share of the longer one's length.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let length =
        |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| x * x).sum::<f32>().sqrt();
    let apart = length(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let longer = length(&mut a.iter().copied()).max(length(&mut b.iter().copied()));
    if apart == 0.0 { 0.0 } else { apart / longer }
}

struct Subject {
    encoder: Arc<dyn Encoder>,
    dimension: usize,
}

#[derive(Debug, PartialEq)]
struct Vectors {
    rows: Vec<f32>,
    dimension: usize,
    report: EncodeReport,
}

impl Subject {
    fn encode_as(&self, texts: &[String], role: TextRole, threads: usize) -> Result<Vectors> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        // What is not written stays no number.
        let mut rows = vec![f32::NAN; texts.len() * self.dimension];
        let services = TestServices::new();
        let ctx = services.context(SEED, threads);
        let report = self.encoder.encode(&ctx, &texts, role, &mut rows)?;
        Ok(Vectors { rows, dimension: self.dimension, report })
    }

    fn encode(&self, texts: &[String], threads: usize) -> Result<Vectors> {
        self.encode_as(texts, TextRole::Pool, threads)
    }
}

/// Checks a promise for texts of the pool, then for queries: an encoder may treat them otherwise.
fn in_each_role(check: impl Fn(TextRole) -> Verdict) -> Verdict {
    check(TextRole::Pool)?;
    check(TextRole::Query).map_err(|unmet| match unmet {
        Unmet::Broken(how) => Unmet::Broken(format!("as queries: {how}")),
        skipped @ Unmet::Skipped(_) => skipped,
    })
}

impl Vectors {
    /// The vectors in another order.
    fn at(&self, places: &[usize]) -> Self {
        let row = |&place: &usize| &self.rows[place * self.dimension..][..self.dimension];
        let rows = places.iter().flat_map(row).copied().collect();
        Self { rows, dimension: self.dimension, report: self.report }
    }

    fn check_finite(&self, texts: &[String]) -> Verdict {
        for (text, vector) in texts.iter().zip(self.rows.chunks_exact(self.dimension)) {
            ensure!(
                vector.iter().all(|x| x.is_finite()),
                "the vector of “{}” has a component that is no number or was not written",
                deft_core::excerpt(text)
            );
        }
        Ok(())
    }
}

fn finite(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(70, 1));
    for role in [TextRole::Pool, TextRole::Query] {
        subject.encode_as(&texts, role, 2)?.check_finite(&texts)?;
    }
    Ok(())
}

fn repeatable(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(70, 2));
    let first = subject.encode(&texts, 2)?;
    for call in ["again", "a third time"] {
        ensure!(subject.encode(&texts, 2)? == first, "the same call gave other bits {call}");
    }
    ensure!(it.create()?.encode(&texts, 2)? == first, "another instance gave other bits");
    Ok(())
}

fn neighbours(it: &EncoderChecks) -> Verdict {
    let subject = it.create()?;
    let mut texts = texts(60, 3);
    texts[30] = texts[3].repeat(20);
    in_each_role(|role| {
        let together = subject.encode_as(&texts, role, 1)?;
        for (place, text) in texts.iter().enumerate().step_by(3) {
            let alone = subject.encode_as(std::slice::from_ref(text), role, 1)?;
            it.compare(&texts[place..=place], &alone, &together.at(&[place]))?;
        }
        let half = subject.encode_as(&texts[..30], role, 1)?;
        it.compare(&texts[..30], &half, &together)
    })
}

fn order(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(150, 4));
    let order = Random::new(4).order(texts.len());
    let shuffled: Vec<String> = order.iter().map(|&place| texts[place].clone()).collect();
    in_each_role(|role| {
        let straight = subject.encode_as(&texts, role, 1)?;
        it.compare(&shuffled, &subject.encode_as(&shuffled, role, 1)?, &straight.at(&order))
    })
}

fn threads(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(300, 5));
    in_each_role(|role| {
        let one = subject.encode_as(&texts, role, 1)?;
        [2, 5].iter().try_for_each(|&threads| {
            it.compare(&texts, &subject.encode_as(&texts, role, threads)?, &one)
        })
    })
}

fn concurrent(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(80, 6));
    let part = |number: usize| &texts[number * 20..][..20];
    in_each_role(|role| {
        let together = at_once(4, |number| subject.encode_as(part(number), role, 1));
        for (number, found) in together.into_iter().enumerate() {
            it.compare(part(number), &found?, &subject.encode_as(part(number), role, 1)?)?;
        }
        Ok(())
    })
}

fn odd(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, odd_texts());
    subject.encode(&texts, 2)?.check_finite(&texts)?;
    // A model without a limit for queries may need hours for the longest of them.
    let info = subject.encoder.info();
    let is_limited = info.max_query_tokens.is_some() || info.max_tokens.is_none();
    let texts = if is_limited { &texts[..] } else { &texts[..texts.len() - 1] };
    subject.encode_as(texts, TextRole::Query, 2)?.check_finite(texts)
}

fn empty_batch(it: &EncoderChecks) -> Verdict {
    let report = it.create()?.encode(&[], 2)?.report;
    ensure!(report == EncodeReport::default(), "no text at all gave {report:?}");
    Ok(())
}

fn tokens(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(60, 7));
    let info = subject.encoder.info();
    in_each_role(|role| {
        let together = subject.encode_as(&texts, role, 1)?.report;
        let mut alone = EncodeReport::default();
        for text in &texts {
            let one = subject.encode_as(std::slice::from_ref(text), role, 1)?.report;
            ensure!(one.truncated <= 1, "one text was cut {} times", one.truncated);
            alone.tokens += one.tokens;
            alone.truncated += one.truncated;
        }
        skip_unless!(together.tokens > 0, "it does not count tokens");
        ensure!(alone == together, "texts one by one gave {alone:?}, together {together:?}");
        let is_query = role == TextRole::Query;
        let limit = if is_query { info.max_query_tokens } else { info.max_tokens };
        ensure!(limit.is_some() || alone.truncated == 0, "texts were cut, but it states no limit");
        Ok(())
    })
}

fn fingerprint(it: &EncoderChecks) -> Verdict {
    let (one, other) = (it.create()?.encoder.info(), it.create()?.encoder.info());
    ensure!(one == other, "two instances with the same options say {one:?} and {other:?}");
    Ok(())
}

fn cancelled(it: &EncoderChecks) -> Verdict {
    let (subject, texts) = (it.create()?, texts(300, 8));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut out = vec![0.0; texts.len() * subject.dimension];
    for role in [TextRole::Pool, TextRole::Query] {
        let what = format!("`encode` of texts of the role {}", role.as_str());
        for threads in [1, 2] {
            let encoder = &subject.encoder;
            must_stop(&what, threads, |ctx| encoder.encode(ctx, &texts, role, &mut out))?;
        }
    }
    Ok(())
}
