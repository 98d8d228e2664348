//! Batches that do not fit into a GPU's memory, and what else a GPU may fail with.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Error as Cause;
use deft_core::{Error, ErrorKind};

use super::Placement;
use super::room::{self, NARROWER, OTHER_GPU};

/// What helps where there is no memory for the smallest part.
const SMALLER: &[&str] = &[
    NARROWER,
    "a lower limit of tokens",
    OTHER_GPU,
    "for training a smaller `batch_size` or `gradient_checkpointing: true`",
];
/// What helps where the GPU is at fault.
const GO_ON: &str = "what is finished is kept: the same command goes on from there; `nvidia-smi` and \
                     the system's log tell what the GPU has";
/// What a tensor with more numbers than can be counted is known by.
const TOO_MANY: &str = "numbers are too many for one tensor";
/// Where there is no memory: the driver's, and those of cuBLAS and cuRAND, which have workspaces of
/// their own.
const OUT_OF_MEMORY: [&str; 4] =
    ["ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED", "STATUS_ALLOCATION_FAILED", TOO_MANY];
/// How errors of the driver and of libraries begin. What else candle calls an error of CUDA, as a
/// kernel that it does not have, is a defect of ours or its own.
const OF_LIBRARIES: [&str; 3] = ["DriverError(", "CublasError(", "CurandError("];

/// An error of computing that may be candle's.
pub(crate) trait Computing {
    /// candle's error, if it is one.
    fn cause(&self) -> Option<&Cause>;
}

impl Computing for Cause {
    fn cause(&self) -> Option<&Cause> {
        Some(self)
    }
}

/// Computes some texts together, or in halves where the GPU has no memory for all of them, down to
/// one, which is tried twice: what is kept for arrays is given back in between. `padded` counts their
/// tokens with padding.
///
/// `most_tokens` is how many padded tokens are tried at once: it falls where so many do not fit, so
/// that later batches are not tried in vain.
///
/// Rows computed apart have other neighbours, and so differ by rounding from those computed together.
pub(crate) fn split_on_oom<I, T, E: Computing>(
    texts: &[I],
    padded: &impl Fn(&[I]) -> usize,
    placement: &Placement,
    most_tokens: &AtomicUsize,
    compute: &impl Fn(&[I]) -> Result<Vec<T>, E>,
) -> Result<Vec<T>, E> {
    let (first, second) = texts.split_at(texts.len().div_ceil(2));
    let is_one = second.is_empty();
    if is_one || padded(texts) <= most_tokens.load(Ordering::Relaxed) {
        match compute(texts) {
            Err(error) if error.cause().is_some_and(is_out_of_memory) => {
                // A library may want what is kept for arrays.
                placement.give_back();
                if is_one {
                    return compute(texts);
                }
                // As long as the longest of all, which later ones may be.
                let each = padded(texts) / texts.len();
                most_tokens.fetch_min(first.len() * each, Ordering::Relaxed);
            }
            computed => return computed,
        }
    }
    let mut computed = split_on_oom(first, padded, placement, most_tokens, compute)?;
    computed.extend(split_on_oom(second, padded, placement, most_tokens, compute)?);
    Ok(computed)
}

/// Tokens of some texts, each padded to the longest.
pub(crate) fn padded(texts: &[&[u32]]) -> usize {
    texts.len() * longest(texts)
}

/// Tokens of the longest of some texts.
pub(crate) fn longest(texts: &[&[u32]]) -> usize {
    texts.iter().map(|text| text.len()).max().unwrap_or(0)
}

/// The error of a tensor with more than [`MOST_IN_TENSOR`](super::MOST_IN_TENSOR) numbers: it is
/// answered as one of memory is, with smaller batches.
pub(crate) fn too_many_numbers(count: usize) -> Cause {
    Cause::Cuda(format!("{count} {TOO_MANY}").into())
}

/// What an error of a GPU tells the user, `what` being what was computed, and where; `None` where the
/// error is of another kind.
pub(crate) fn failure(error: &Cause, placement: Option<&Placement>, what: &str) -> Option<Error> {
    let text = text(error)?;
    if has_any(&text, &OUT_OF_MEMORY) {
        let message = format!("the GPU has not enough memory for {what}");
        let error = Error::new(ErrorKind::Unsupported, message).with_hint(room::take(SMALLER));
        let free = placement.and_then(Placement::free_bytes).map(room::gigabytes);
        return Some(match free {
            // What did not fit is gone by now.
            Some(free) => error.with_context("free without it", free),
            None => error,
        });
    }
    if !has_any(&text, &OF_LIBRARIES) {
        return None;
    }
    // Without the backtrace that candle adds where one is asked for: it is not of use to a user.
    let failed = Error::new(ErrorKind::Unexpected, "the GPU has failed").with_source(root(error));
    Some(failed.with_hint(GO_ON))
}

/// Whether a GPU had no memory left, or a tensor too many numbers.
fn is_out_of_memory(error: &Cause) -> bool {
    text(error).is_some_and(|text| has_any(&text, &OUT_OF_MEMORY))
}

/// An error of CUDA as text. candle hides its type, and in a build without CUDA there is none: the
/// text is the same in both.
fn text(error: &Cause) -> Option<String> {
    match root(error) {
        Cause::Cuda(error) => Some(format!("{error:?}")),
        _ => None,
    }
}

fn has_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// The error beneath what was added to it.
fn root(error: &Cause) -> &Cause {
    match error {
        Cause::WithBacktrace { inner, .. }
        | Cause::Context { inner, .. }
        | Cause::WithPath { inner, .. } => root(inner),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const NO_MEMORY: &str = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";

    fn cuda(text: &str) -> Cause {
        Cause::Cuda(text.into())
    }

    /// The first id of each text, where there are no more than `most` texts; `tried` gets how many
    /// there were each time.
    fn firsts(
        most: usize,
        failure: impl Fn() -> Cause,
        tried: &RefCell<Vec<usize>>,
    ) -> impl Fn(&[&[u32]]) -> candle_core::Result<Vec<u32>> {
        move |texts| {
            tried.borrow_mut().push(texts.len());
            if texts.len() > most {
                return Err(failure().context("in a test"));
            }
            Ok(texts.iter().map(|text| text[0]).collect())
        }
    }

    fn split<T>(
        texts: &[&[u32]],
        most_tokens: &AtomicUsize,
        compute: impl Fn(&[&[u32]]) -> candle_core::Result<Vec<T>>,
    ) -> candle_core::Result<Vec<T>> {
        split_on_oom(texts, &padded, &Placement::host(), most_tokens, &compute)
    }

    #[test]
    fn a_batch_that_does_not_fit_is_split() {
        let ids: Vec<u32> = (0..11).collect();
        let texts: Vec<&[u32]> = ids.chunks(1).collect();
        let failures: [fn() -> Cause; 2] = [|| cuda(NO_MEMORY), || too_many_numbers(1 << 40)];
        for failure in failures {
            for most in [1, 2, 3, 10, 11] {
                let (all, tried) = (AtomicUsize::new(usize::MAX), RefCell::default());
                let found = split(&texts, &all, firsts(most, failure, &tried));
                assert_eq!(found.expect("computed"), ids, "{most}");
            }
        }
    }

    #[test]
    fn what_did_not_fit_once_is_not_tried_again() {
        let text = [7_u32; 10];
        let texts = [text.as_slice(); 8];
        let (most_tokens, tried) = (AtomicUsize::new(usize::MAX), RefCell::default());
        let compute = firsts(2, || cuda(NO_MEMORY), &tried);
        for _ in 0..2 {
            assert_eq!(split(&texts, &most_tokens, &compute).expect("computed"), [7; 8]);
        }
        // All, a half, and then nothing but quarters.
        assert_eq!(*tried.borrow(), [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(most_tokens.into_inner(), 20);
    }

    #[test]
    fn a_text_that_does_not_fit_alone_is_an_error_that_says_so() {
        let (most_tokens, tried) = (AtomicUsize::new(usize::MAX), RefCell::default());
        let texts: [&[u32]; 3] = [&[1], &[2], &[3]];
        let error = split(&texts, &most_tokens, firsts(0, || cuda(NO_MEMORY), &tried));
        assert_eq!(*tried.borrow(), [3, 2, 1, 1]);
        let told = failure(&error.expect_err("nothing fits"), None, "a text of 9 tokens");
        let told = told.expect("a GPU's error");
        assert_eq!(told.kind(), ErrorKind::Unsupported);
        assert_eq!(told.message(), "the GPU has not enough memory for a text of 9 tokens");
        assert!(told.hint().is_some_and(|hint| hint.contains("precision: bf16")), "{told:?}");
    }

    #[test]
    fn every_library_that_has_no_memory_is_understood() {
        for text in [
            NO_MEMORY,
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "CurandError(CURAND_STATUS_ALLOCATION_FAILED)",
        ] {
            assert!(is_out_of_memory(&cuda(text)), "{text}");
        }
        assert!(!is_out_of_memory(&cuda("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)")));
        assert!(!is_out_of_memory(&Cause::Msg("ERROR_OUT_OF_MEMORY".to_owned())));
    }

    #[test]
    fn another_failure_of_a_gpu_is_not_tried_again_and_names_the_way_on() {
        let (most_tokens, tried) = (AtomicUsize::new(usize::MAX), RefCell::default());
        let lost = || {
            let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
            let inner = Box::new(cuda("DriverError(CUDA_ERROR_DEVICE_UNAVAILABLE)"));
            Cause::WithBacktrace { inner, backtrace }
        };
        let texts: [&[u32]; 2] = [&[1], &[2]];
        let error = split(&texts, &most_tokens, firsts(0, lost, &tried)).expect_err("lost");
        assert_eq!(*tried.borrow(), [2]);
        let told = failure(&error, None, "a text").expect("a GPU's error");
        assert!(told.to_string().len() < 200, "a message to be read: {told}");
        assert_eq!((told.kind(), told.message()), (ErrorKind::Unexpected, "the GPU has failed"));
        assert!(told.to_string().contains("CUDA_ERROR_DEVICE_UNAVAILABLE"), "{told}");
        assert!(told.hint().is_some_and(|hint| hint.contains("same command goes on")), "{told:?}");
    }

    #[test]
    fn what_is_no_failure_of_a_gpu_is_left_to_others() {
        for other in [
            Cause::wrap(Error::cancelled()),
            cuda("MissingKernel { module_name: \"fill\" }"),
            cuda("UnsupportedDtype { dtype: F64, op: \"a test\" }"),
            cuda("InternalError(\"a test\")"),
        ] {
            assert!(failure(&other, None, "a text").is_none(), "{other}");
        }
    }
}
