//! What a GPU makes of a precision, and the switch that all GPUs share.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use deft_core::{Error, Result};

use super::choose::ELSE_CPU;
use super::found::{Built, Found, Gpu, Version};
use crate::config::Precision;

/// From this compute capability on a GPU multiplies in bf16 and TF32, and candle's kernels for bf16
/// are made.
const SINCE: Version = Version { major: 8, minor: 0 };

/// Refuses bf16 where the GPU of this number or the kernels have none; returns what is to be said
/// where the GPU has no TF32, which is a matter of its speed alone.
///
/// # Errors
///
/// Of kind [`ErrorKind::Options`](deft_core::ErrorKind::Options) at `precision`.
pub(super) fn check(found: &Found, number: usize, precision: Precision) -> Result<Option<String>> {
    let gpu = found.gpu(number);
    let old = gpu.filter(|gpu| gpu.capability < SINCE);
    match (precision, old) {
        (Precision::Bf16, Some(gpu)) => Err(no_bf16(number, gpu)),
        (Precision::Bf16, None) if found.built.capability < SINCE => {
            Err(no_bf16_kernels(&found.built))
        }
        (Precision::Tf32, Some(gpu)) => Ok(Some(format!(
            "`precision: tf32` needs compute capability {SINCE}, GPU {number} ({}) has {}: it \
             computes in f32",
            gpu.name, gpu.capability
        ))),
        _ => Ok(None),
    }
}

fn no_bf16(number: usize, gpu: &Gpu) -> Error {
    let message = format!(
        "GPU {number} ({}) has compute capability {}, and `precision: bf16` needs {SINCE} or \
         higher",
        gpu.name, gpu.capability
    );
    Error::option_at("precision", message)
        .with_hint(format!("take `precision: f32` or another GPU (`device`); {ELSE_CPU}"))
}

fn no_bf16_kernels(built: &Built) -> Error {
    let message = format!(
        "the plugin's kernels are for compute capability {}, and `precision: bf16` needs {SINCE} \
         or higher",
        built.capability
    );
    Error::option_at("precision", message).with_hint(format!(
        "build the plugin with CUDA_COMPUTE_CAP={}{} (docs/gpu.md), or take `precision: f32`; \
         {ELSE_CPU}",
        SINCE.major, SINCE.minor
    ))
}

/// Sets candle's switch for TF32, which is one for the whole process: what components that are
/// there compute in f32 must stay f32. In bf16 either will do.
///
/// What is returned is to be kept for as long as something is computed by it.
///
/// # Errors
///
/// Of kind [`ErrorKind::Options`](deft_core::ErrorKind::Options) at `precision` when a component
/// that is still there wants the other.
pub(super) fn claim_tf32(precision: Precision) -> Result<Option<Arc<bool>>> {
    /// What the components that are there have agreed on.
    static AGREED: Mutex<Weak<bool>> = Mutex::new(Weak::new());
    if precision == Precision::Bf16 {
        return Ok(None);
    }
    let agreed = agree(&AGREED, precision)?;
    // As long as it is held nobody can want another.
    candle_core::cuda::set_gemm_reduced_precision_f32(*agreed);
    Ok(Some(agreed))
}

/// Joins what is agreed on, or where nobody holds that any more, decides.
fn agree(agreed: &Mutex<Weak<bool>>, precision: Precision) -> Result<Arc<bool>> {
    let wants = precision == Precision::Tf32;
    let mut agreed = agreed.lock().unwrap_or_else(PoisonError::into_inner);
    let held = agreed.upgrade().unwrap_or_else(|| {
        let decided = Arc::new(wants);
        *agreed = Arc::downgrade(&decided);
        decided
    });
    if *held == wants {
        return Ok(held);
    }
    let message = format!(
        "`precision: {precision}` cannot be had beside a component with `{}` on a GPU: there is \
         one switch for both",
        if wants { Precision::F32 } else { Precision::Tf32 }
    );
    Err(Error::option_at("precision", message)
        .with_hint("give the encoder and the trainer the same, or one of them `bf16`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::ErrorKind;

    const OLD: Version = Version { major: 7, minor: 5 };

    /// One GPU, and kernels made for these.
    fn found(gpu: Version, kernels: Version) -> Found {
        let toolkit = Version { major: 13, minor: 0 };
        let gpu = Gpu { name: "Tesla T4".to_owned(), capability: gpu };
        Found {
            built: Built { toolkit, capability: kernels },
            missing: Vec::new(),
            driver: Ok(toolkit),
            gpus: Ok(vec![gpu]),
        }
    }

    #[test]
    fn bf16_is_refused_where_gpu_or_kernels_have_none() {
        for (gpu, kernels, message, remedy) in [
            (
                OLD,
                OLD,
                "GPU 0 (Tesla T4) has compute capability 7.5, and `precision: bf16` needs 8.0 or \
                 higher",
                "another GPU",
            ),
            (
                SINCE,
                OLD,
                "the plugin's kernels are for compute capability 7.5, and `precision: bf16` needs \
                 8.0 or higher",
                "CUDA_COMPUTE_CAP=80",
            ),
        ] {
            let error = check(&found(gpu, kernels), 0, Precision::Bf16).expect_err("no bf16");
            assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some("precision")));
            assert_eq!(error.message(), message);
            assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{error:?}");
        }
        assert_eq!(check(&found(SINCE, SINCE), 0, Precision::Bf16).expect("it has"), None);
    }

    #[test]
    fn tf32_on_a_gpu_without_it_is_f32_and_said() {
        let told = check(&found(OLD, OLD), 0, Precision::Tf32).expect("it computes");
        assert!(told.is_some_and(|told| told.ends_with("has 7.5: it computes in f32")));
        for (gpu, precision) in [(OLD, Precision::F32), (SINCE, Precision::Tf32)] {
            assert_eq!(check(&found(gpu, OLD), 0, precision).expect("it computes"), None);
        }
    }

    #[test]
    fn the_switch_can_be_set_anew_once_nobody_holds_it() {
        let agreed = Mutex::new(Weak::new());
        let held = agree(&agreed, Precision::Tf32).expect("the first decides");
        let shared = agree(&agreed, Precision::Tf32).expect("the same");
        assert!(*held && *shared);
        drop(held);
        let error = agree(&agreed, Precision::F32).expect_err("one is still there");
        assert_eq!(error.option(), Some("precision"));
        assert!(error.message().contains("beside a component with `tf32`"), "{error}");
        drop(shared);
        assert!(!*agree(&agreed, Precision::F32).expect("nobody is there"));
    }
}
