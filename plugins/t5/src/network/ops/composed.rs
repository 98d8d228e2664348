//! Operations made of candle's own, or of kernels for a GPU, as single steps of candle's graph.
//!
//! candle lets an operation compute its result from the arguments' storages only, not from tensors.
//! So the result is computed beforehand, on tensors without a graph, and the step that candle is
//! given hands it out.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, InplaceOp1, Layout, Result, Shape, Storage,
    Tensor, bail,
};

use super::is_host;

/// An operation of one argument, composed.
pub(crate) trait Composed1: CustomOp1 {
    /// The result: a new tensor, never the argument or a view of it.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The gradient of the argument, from that of the result.
    fn backward(&self, x: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Tensor>;
}

/// An operation of two arguments, composed.
pub(crate) trait Composed2: CustomOp2 {
    /// The result: a new tensor, never an argument or a view of one.
    fn forward(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// The gradients of the arguments that want one, from that of the result.
    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]>;
}

/// What the gradients of an operation of two arguments are made of; none has a graph.
pub(crate) struct Way<'a> {
    pub(crate) a: &'a Tensor,
    pub(crate) b: &'a Tensor,
    pub(crate) result: &'a Tensor,
    /// Of the result, contiguous.
    pub(crate) grad: &'a Tensor,
}

/// The gradients that are wanted of two.
pub(crate) fn wanted(
    [wants_a, wants_b]: [bool; 2],
    of_a: impl FnOnce() -> Result<Tensor>,
    of_b: impl FnOnce() -> Result<Tensor>,
) -> Result<[Option<Tensor>; 2]> {
    Ok([wants_a.then(of_a).transpose()?, wants_b.then(of_b).transpose()?])
}

/// Applies an operation in the form that its argument asks for.
pub(crate) fn apply1<O>(x: &Tensor, op: O) -> Result<Tensor>
where
    O: Composed1 + Send + Sync + 'static,
{
    if is_host(x) {
        return x.apply_op1(op);
    }
    let value = op.forward(&x.detach())?;
    if x.track_op() { x.apply_op1(Step::new(op, &value)?) } else { Ok(value) }
}

/// Applies an operation in the form that its first argument asks for.
pub(crate) fn apply2<O>(a: &Tensor, b: &Tensor, op: O) -> Result<Tensor>
where
    O: Composed2 + Send + Sync + 'static,
{
    if is_host(a) {
        return a.apply_op2(b, op);
    }
    let value = op.forward(&a.detach(), &b.detach())?;
    if a.track_op() || b.track_op() { a.apply_op2(b, Step::new(op, &value)?) } else { Ok(value) }
}

/// A composed operation as a step of candle's graph, with its result.
struct Step<O> {
    op: O,
    /// Until candle takes it.
    result: Mutex<Option<Storage>>,
    shape: Shape,
}

impl<O> Step<O> {
    fn new(op: O, result: &Tensor) -> Result<Self> {
        let (result, shape) = (result.contiguous()?, result.shape().clone());
        let taken = Take::default();
        result.inplace_op1(&taken)?;
        Ok(Self { op, result: taken.0, shape })
    }

    fn take(&self) -> Option<Storage> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        match self.take() {
            Some(Storage::Cpu(storage)) => Ok((storage, self.shape.clone())),
            _ => bail!("a result in main memory was to be handed out once"),
        }
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        match self.take() {
            Some(Storage::Cuda(storage)) => Ok((storage, self.shape.clone())),
            _ => bail!("a result on a GPU was to be handed out once"),
        }
    }
}

impl<O: Composed1> CustomOp1 for Step<O> {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, x: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.op.backward(&x.detach(), &result.detach(), &grad.contiguous()?).map(Some)
    }
}

impl<O: Composed2> CustomOp2 for Step<O> {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let wants = [a.track_op(), b.track_op()];
        let (a, b, result, grad) = (a.detach(), b.detach(), result.detach(), grad.contiguous()?);
        let way = Way { a: &a, b: &b, result: &result, grad: &grad };
        let [of_a, of_b] = self.op.backward(&way, wants)?;
        Ok((of_a, of_b))
    }
}

/// Takes a tensor's storage out of it: nobody else may have the tensor.
#[derive(Default)]
struct Take(Mutex<Option<Storage>>);

impl Take {
    fn put(&self, storage: Storage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(storage);
    }
}

impl InplaceOp1 for Take {
    fn name(&self) -> &'static str {
        "t5-take"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        let rest = nothing(storage)?;
        self.put(Storage::Cpu(std::mem::replace(storage, rest)));
        Ok(())
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
        let rest = nothing(storage)?;
        self.put(Storage::Cuda(std::mem::replace(storage, rest)));
        Ok(())
    }
}

/// What is left behind: CUDA has no storage of nothing at all.
fn nothing<S: BackendStorage>(storage: &S) -> Result<S>
where
    S::Device: BackendDevice<Storage = S>,
{
    storage.device().zeros_impl(&Shape::from(1), storage.dtype())
}
