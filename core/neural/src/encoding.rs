//! Texts into vectors: tokenised once, in batches of similar length, each computed by one thread.

use deft_core::{Context, EncodeReport, Error, ErrorKind, Result};

use crate::Workers;

/// Texts of a tokenising task.
const TOKENISED_AT_ONCE: usize = 64;

/// A text's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// At least one id.
    pub ids: Vec<u32>,
    /// Whether the text was longer than allowed.
    pub is_cut: bool,
}

/// How an encoder does what [`encode`] puts together.
#[derive(Debug, Clone, Copy)]
pub struct Encoding<T, B, V> {
    /// Components of a vector.
    pub dimension: usize,
    /// The ids of a text.
    pub tokenise: T,
    /// Groups texts by their lengths in tokens, as positions: a function of nothing else, so that a
    /// call gives the same bytes at any number of threads.
    pub batches: B,
    /// The vectors of the texts of one batch, row-major.
    pub vectors: V,
}

/// The vectors of `texts`, in their order, into `out` (`texts × dimension`).
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when `out` has another length; [`ErrorKind::Cancelled`]; those of the
/// closures.
pub fn encode<T, B, V>(
    ctx: &Context<'_>,
    texts: &[&str],
    out: &mut [f32],
    encoding: &Encoding<T, B, V>,
) -> Result<EncodeReport>
where
    T: Fn(&str) -> Result<Encoded> + Sync,
    B: Fn(&[usize]) -> Vec<Vec<usize>> + Sync,
    V: Fn(&[&[u32]]) -> Result<Vec<f32>> + Sync,
{
    let dimension = encoding.dimension;
    if out.len() != texts.len() * dimension {
        return Err(Error::new(ErrorKind::Unexpected, "`out` has not the vectors' length")
            .with_context("found", out.len())
            .with_context("wanted", texts.len() * dimension));
    }
    let workers = Workers::new(ctx.threads())?;
    let encoded = tokenise(ctx, &workers, texts, &encoding.tokenise)?;
    let lengths: Vec<usize> = encoded.iter().map(|text| text.ids.len()).collect();
    let batches = (encoding.batches)(&lengths);
    let mut done = 0;
    workers.run(
        batches.len(),
        |task| {
            ctx.check()?;
            let rows = batches[task].iter().map(|&text| encoded[text].ids.as_slice());
            (encoding.vectors)(&rows.collect::<Vec<_>>())
        },
        |task, vectors| {
            for (&text, vector) in batches[task].iter().zip(vectors.chunks_exact(dimension)) {
                out[text * dimension..][..dimension].copy_from_slice(vector);
            }
            done += batches[task].len();
            ctx.progress(done, texts.len(), "rows");
            Ok(())
        },
    )?;
    Ok(EncodeReport {
        tokens: lengths.iter().sum::<usize>() as u64,
        truncated: encoded.iter().filter(|text| text.is_cut).count() as u64,
    })
}

fn tokenise(
    ctx: &Context<'_>,
    workers: &Workers,
    texts: &[&str],
    tokenise: &(impl Fn(&str) -> Result<Encoded> + Sync),
) -> Result<Vec<Encoded>> {
    let tasks: Vec<&[&str]> = texts.chunks(TOKENISED_AT_ONCE).collect();
    let mut encoded = Vec::with_capacity(texts.len());
    workers.run(
        tasks.len(),
        |task| {
            ctx.check()?;
            tasks[task].iter().map(|text| tokenise(text)).collect::<Result<Vec<_>>>()
        },
        |_, some| {
            encoded.extend(some);
            Ok(())
        },
    )?;
    Ok(encoded)
}
