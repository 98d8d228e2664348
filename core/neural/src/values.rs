//! Access to the values of candle's tensors.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, StorageRef, Tensor, bail};

/// Lets `change` write to the values of a contiguous f32 tensor.
///
/// Whoever shares its storage sees the new values, networks that hold it and detached copies among
/// them. No graph that was made with the old ones may be gone back through afterwards.
///
/// # Errors
///
/// candle's when the tensor is no such one.
pub fn in_place(tensor: &Tensor, change: impl FnMut(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&InPlace(RefCell::new(change)))
}

/// candle lends operations immutably, though it calls each once: hence the cell.
struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "in-place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            bail!("{} needs a contiguous f32 tensor", self.name())
        };
        (self.0.borrow_mut())(&mut values[start..end]);
        Ok(())
    }
}

/// Read access to a contiguous f32 tensor in main memory.
#[derive(Debug)]
pub struct Values<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Values<'a> {
    /// Those of a tensor.
    pub fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, layout }
    }

    /// The values.
    ///
    /// # Errors
    ///
    /// candle's when the tensor is no such one.
    pub fn get(&self) -> Result<&[f32]> {
        match (&*self.storage, self.layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => {
                Ok(&storage.as_slice::<f32>()?[start..end])
            }
            _ => {
                bail!("a contiguous tensor in main memory is needed, this one is {:?}", self.layout)
            }
        }
    }
}
