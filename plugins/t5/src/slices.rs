//! The texts of a call in slices, some of them on their way at once: while a GPU computes one, the
//! next is tokenised, so that it does not wait for the processor but at the first.

use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::{Context, EncodeReport, Result};
use deft_neural::Workers;

/// Texts of a slice: of ordinary length, they fill a batch of a GPU.
pub const SLICE: usize = 256;

/// One slice with room for its vectors.
struct Slice<'a> {
    texts: &'a [&'a str],
    out: &'a mut [f32],
    report: EncodeReport,
}

/// Encodes texts slice by slice, `at_once` of them at a time, each with its share of the threads.
/// `encode` is what encodes some texts into their vectors, which are `dimension` numbers each.
///
/// # Errors
///
/// Those of `encode`: the first in the order of the texts.
pub(crate) fn in_slices(
    ctx: &Context<'_>,
    texts: &[&str],
    (out, dimension): (&mut [f32], usize),
    at_once: usize,
    encode: impl Fn(&Context<'_>, &[&str], &mut [f32]) -> Result<EncodeReport> + Sync,
) -> Result<EncodeReport> {
    if texts.len() <= SLICE || out.len() != texts.len() * dimension {
        return encode(ctx, texts, out);
    }
    let share = ctx.with_threads(ctx.threads().div_ceil(at_once)).quiet();
    let slices = texts.chunks(SLICE).zip(out.chunks_mut(SLICE * dimension));
    let mut slices: Vec<Slice<'_>> =
        slices.map(|(texts, out)| Slice { texts, out, report: EncodeReport::default() }).collect();
    let done = AtomicUsize::new(0);
    Workers::new(at_once)?.for_each_mut(&mut slices, |slice| {
        slice.report = encode(&share, slice.texts, slice.out)?;
        let before = done.fetch_add(slice.texts.len(), Ordering::Relaxed);
        ctx.progress(before + slice.texts.len(), texts.len(), "rows");
        Ok(())
    })?;
    Ok(slices.iter().fold(EncodeReport::default(), |all, slice| EncodeReport {
        tokens: all.tokens + slice.report.tokens,
        truncated: all.truncated + slice.report.truncated,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use deft_core::{Error, ErrorKind};

    /// A text's vector is its length and its number of tokens, which are its words.
    fn encode(_: &Context<'_>, texts: &[&str], out: &mut [f32]) -> Result<EncodeReport> {
        let mut tokens = 0;
        for (text, vector) in texts.iter().zip(out.chunks_exact_mut(2)) {
            if *text == "bad" {
                return Err(Error::new(ErrorKind::Data, "a bad text"));
            }
            let words = text.split_whitespace().count();
            vector.copy_from_slice(&[text.len() as f32, words as f32]);
            tokens += words as u64;
        }
        Ok(EncodeReport { tokens, truncated: texts.len() as u64 })
    }

    #[test]
    fn slices_give_the_vectors_and_the_report_of_the_whole() {
        let texts: Vec<String> = (0..3 * SLICE + 5).map(|n| "w ".repeat(n % 7)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (mut whole, mut sliced) = (vec![0.0; 2 * texts.len()], vec![0.0; 2 * texts.len()]);
        let wanted = encode(&context(3), &texts, &mut whole).expect("vectors");
        for at_once in [1, 2, 3] {
            sliced.fill(0.0);
            let found = in_slices(&context(3), &texts, (&mut sliced, 2), at_once, encode);
            assert_eq!((found.expect("vectors"), &sliced), (wanted, &whole), "{at_once} at once");
        }
    }

    #[test]
    fn an_error_in_a_slice_is_that_of_the_call() {
        let mut texts = vec!["w"; 3 * SLICE];
        texts[2 * SLICE] = "bad";
        let mut out = vec![0.0; 2 * texts.len()];
        let error = in_slices(&context(2), &texts, (&mut out, 2), 2, encode).expect_err("bad");
        assert_eq!(error.message(), "a bad text");
    }
}
