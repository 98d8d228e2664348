//! Where networks compute: main memory, or the memory of one or more GPUs.
//!
//! What there is ([`found`]), what is taken of it ([`choose`]), in what numbers it computes
//! ([`precision`]), whether a network fits in ([`room`]), and what happens where a batch does not
//! ([`split`]). Everything that asks CUDA itself is in `gpu.rs`, which a build without CUDA has a
//! small twin of: the rest is the same in both.

mod capabilities;
mod choose;
mod found;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(not(feature = "cuda"))]
#[path = "no_gpu.rs"]
mod gpu;
mod lease;
mod pool;
mod precision;
mod room;
mod split;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use deft_core::{Context, Error, ErrorKind, Result, ResultExt};

use crate::config::{DeviceChoice, Precision};
use crate::model::defect;
use crate::network::Tensors;
use choose::{Choice, ELSE_CPU};
use found::Found;

pub(crate) use capabilities::capabilities;
pub(crate) use choose::no_cuda;
pub(crate) use lease::Lease;
pub(crate) use pool::Pool;
pub(crate) use room::{MOST_IN_TENSOR, batch_tokens, check_room, check_training, weight_bytes};
pub(crate) use split::{Computing, failure, longest, padded, split_on_oom, too_many_numbers};

/// Whether this build can use a GPU at all.
pub(crate) const HAS_CUDA: bool = gpu::BUILT.is_some();

/// Where a network computes, and in what numbers.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) device: Device,
    pub(crate) precision: DType,
    /// On a GPU in 32 bits, what is agreed on TF32: held, not read.
    pub(crate) _tf32: Option<Arc<bool>>,
}

impl Placement {
    /// Main memory and f32.
    pub(crate) fn host() -> Self {
        Self { device: Device::Cpu, precision: DType::F32, _tf32: None }
    }

    /// Whether it is main memory and f32: fused kernels, and one thread for each batch.
    pub(crate) fn is_host(&self) -> bool {
        self.device.is_cpu() && self.precision == DType::F32
    }

    /// A weight as it is computed with here.
    pub(crate) fn put(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        // Narrowed before it travels.
        tensor.to_dtype(self.precision)?.to_device(&self.device)
    }

    /// All weights of a network, as they are computed with here.
    pub(crate) fn put_all(&self, weights: &Tensors) -> Result<Tensors> {
        let put = |(name, weight): (&String, &Tensor)| Ok((name.clone(), self.put(weight)?));
        let there = weights.iter().map(put).collect::<candle_core::Result<_>>();
        there.map_err(|error| self.not_put(&error))
    }

    /// What an error tells the user that has come while weights were put here.
    pub(crate) fn not_put(&self, error: &candle_core::Error) -> Error {
        failure(error, Some(self), "the weights").unwrap_or_else(|| defect(error))
    }

    /// Bytes of the GPU's memory that are free; `None` on a CPU, and where a GPU does not tell.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        if self.device.is_cpu() { None } else { gpu::free_bytes(&self.device) }
    }

    /// Gives memory back to other programs that is kept for the next arrays. This one has it again
    /// when it needs it, but not for nothing: it is for when something large has gone.
    pub(crate) fn give_back(&self) {
        if !self.device.is_cpu() {
            gpu::give_back(&self.device);
        }
    }
}

/// Opens what the options name: one place, or with `cuda:all` one for every GPU.
///
/// Which it is, and with `auto` why it is no GPU, is logged once in a process.
///
/// # Errors
///
/// Of kind [`ErrorKind::Options`] at `device` when there is no such GPU or something that it needs is
/// missing, and at `precision` when the GPU has no such numbers, or a component that is still
/// there needs the switch of TF32 otherwise; [`ErrorKind::Unsupported`] when a GPU that is there
/// cannot be opened.
pub(crate) fn open(
    ctx: &Context<'_>,
    choice: DeviceChoice,
    precision: Precision,
) -> Result<Vec<Placement>> {
    // The CPU is taken without a look at CUDA, which may be broken.
    let found = if choice == DeviceChoice::Cpu { None } else { Found::look() };
    match choose::choose(found.as_ref(), choice)? {
        Choice::Host(why) => {
            if let Some(why) = why.filter(|why| is_news(why)) {
                ctx.info(&format!("computing on the CPU: {why}"));
            }
            Ok(vec![on_host(ctx, precision)])
        }
        Choice::Gpus(numbers) => {
            let found = found.expect("a GPU is chosen among those that were found");
            for &number in &numbers {
                let warning = precision::check(&found, number, precision)?;
                if let Some(warning) = warning.filter(|warning| is_news(warning)) {
                    ctx.warn(&warning);
                }
            }
            let tf32 = precision::claim_tf32(precision)?;
            let on_gpu = |number| on_gpu(ctx, number, precision, tf32.clone());
            numbers.into_iter().map(on_gpu).collect()
        }
    }
}

/// The same for a component that computes in one place.
pub(crate) fn open_one(
    ctx: &Context<'_>,
    choice: DeviceChoice,
    precision: Precision,
) -> Result<Placement> {
    let opened = open(ctx, choice, precision)?;
    Ok(opened.into_iter().next().expect("what is opened is one place at least"))
}

fn on_host(ctx: &Context<'_>, precision: Precision) -> Placement {
    let slow =
        "`precision: bf16` is slow on a CPU, which has no arithmetic for it: it is for checking";
    if precision == Precision::Bf16 && is_news(slow) {
        ctx.warn(slow);
    }
    Placement { precision: precision.dtype(), ..Placement::host() }
}

fn on_gpu(
    ctx: &Context<'_>,
    number: usize,
    precision: Precision,
    tf32: Option<Arc<bool>>,
) -> Result<Placement> {
    let opened = gpu::open(number)
        .or_error(ErrorKind::Unsupported, format!("GPU {number} cannot be opened"))
        .map_err(|error| {
            let hint = format!("does another program hold it? `nvidia-smi` tells; {ELSE_CPU}");
            error.with_hint(hint)
        })?;
    let placement = Placement { device: opened, precision: precision.dtype(), _tf32: tf32 };
    let free = placement
        .free_bytes()
        .map_or_else(String::new, |free| format!(" ({} free)", room::gigabytes(free)));
    let news = format!("computing on GPU {number}, in {precision}");
    if is_news(&news) {
        ctx.info(&format!("{news}{free}"));
    }
    Ok(placement)
}

/// Whether a line was not logged before: components are opened again and again in one run.
pub(crate) fn is_news(line: &str) -> bool {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn the_cpu_takes_any_precision_and_only_f32_is_for_the_fused_kernels() {
        for (precision, dtype, is_host) in [
            (Precision::F32, DType::F32, true),
            (Precision::Tf32, DType::F32, true),
            (Precision::Bf16, DType::BF16, false),
        ] {
            let placements =
                open(&context(1), DeviceChoice::Cpu, precision).expect("there is a CPU");
            assert_eq!(placements.len(), 1);
            assert_eq!((placements[0].precision, placements[0].is_host()), (dtype, is_host));
            assert!(placements[0].device.is_cpu() && placements[0].free_bytes().is_none());
        }
        assert!(Placement::host().is_host());
    }

    #[test]
    fn a_weight_is_put_into_the_precision() {
        let weight = Tensor::new(&[1.0_f32, 2.0], &Device::Cpu).expect("a tensor");
        let placement = Placement { precision: DType::BF16, ..Placement::host() };
        let put = placement.put(&weight).expect("put");
        assert_eq!((put.dtype(), put.dims()), (DType::BF16, [2].as_slice()));
    }

    #[test]
    fn a_line_is_news_once() {
        assert!(is_news("a line of a test"));
        assert!(!is_news("a line of a test"));
    }
}
