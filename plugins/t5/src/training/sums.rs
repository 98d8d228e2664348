//! The gradients of a step, summed over its micro-batches.

use candle_core::Tensor;
use deft_core::Result;
use deft_neural::{Workers, in_place};

use crate::model::defect;
use crate::network::head::{HeadRows, SLICE};
use crate::network::ops::{add_to, is_host};

use super::arrays;
use super::optimizer::Slot;
use super::parameters::Parameters;

/// What one micro-batch adds to the gradients of a step.
#[derive(Debug)]
pub(crate) struct Contribution {
    /// Of every parameter but the two tables, with its place.
    pub(super) dense: Vec<(usize, Tensor)>,
    /// Of the rows of the embeddings that were looked up, with their ids.
    pub(super) embeddings: Vec<(Vec<u32>, Tensor)>,
    /// For the output layer.
    pub(super) head: HeadRows,
}

/// The gradients of a step, summed over its micro-batches as they are handed over: always in the
/// same order.
///
/// The sums and the optimizer's moments are f32 and stay on the device. At the peak there are,
/// beside them and the parameters, the gradients of one micro-batch for each thread that computes,
/// in the network's numbers, and of the two tables the rows that it has looked up.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// In the order of the parameters.
    pub(crate) slots: Vec<Slot>,
    /// Of each micro-batch so far, in that order: the output layer's gradient is made of them at the
    /// end.
    pub(super) head_rows: Vec<HeadRows>,
}

impl Sums {
    /// Adds a micro-batch's gradients, the output layer's excepted.
    pub(crate) fn add(&mut self, parameters: &Parameters, of: Contribution) -> Result<()> {
        // Each goes as soon as it is added.
        for (place, gradient) in of.dense {
            add_to(&mut self.slots[place].gradient, &gradient).map_err(|e| defect(&e))?;
        }
        if let Some(place) = parameters.embeddings() {
            let table = &self.slots[place].gradient;
            for (ids, rows) in &of.embeddings {
                arrays::add_rows(table, ids, rows).map_err(|e| defect(&e))?;
            }
        }
        if parameters.head().is_some() {
            self.head_rows.push(of.head);
        }
        Ok(())
    }

    /// Adds the output layer's gradient of all micro-batches: in main memory a slice of the
    /// vocabulary a task, on a device all at once.
    pub(crate) fn add_head(&mut self, parameters: &Parameters, workers: &Workers) -> Result<()> {
        let Some(place) = parameters.head() else { return Ok(()) };
        let weight = parameters.trained()[place].working().as_detached_tensor();
        let rows = HeadRows::join(&std::mem::take(&mut self.head_rows)).map_err(|e| defect(&e))?;
        let sum = &mut self.slots[place].gradient;
        if is_host(&weight) {
            add_by_slices(&rows, &weight, sum, workers)
        } else {
            rows.add_whole(&weight, sum).map_err(|e| defect(&e))
        }
    }

    /// The gradient's length: the parameters in their order, each by one thread.
    pub(super) fn norm(&self, workers: &Workers) -> Result<f64> {
        let gradients: Vec<&Tensor> = self.slots.iter().map(|slot| &slot.gradient).collect();
        if !gradients.iter().all(|gradient| is_host(gradient)) {
            let squares = arrays::composed::squares(&gradients).map_err(|e| defect(&e))?;
            return Ok(squares.iter().sum::<f64>().sqrt());
        }
        let mut squares = 0.0;
        workers.run(
            gradients.len(),
            |place| arrays::squares(gradients[place]).map_err(|e| defect(&e)),
            |_, of_one| {
                squares += of_one;
                Ok(())
            },
        )?;
        Ok(squares.sqrt())
    }

    /// The sum for a parameter.
    #[cfg(test)]
    pub(crate) fn gradient(&self, place: usize) -> Vec<f32> {
        let flat = self.slots[place].gradient.flatten_all();
        flat.and_then(|flat| flat.to_vec1()).expect("values")
    }
}

/// Adds the output layer's gradient in main memory, a slice of the vocabulary a task.
fn add_by_slices(rows: &HeadRows, weight: &Tensor, sum: &Tensor, workers: &Workers) -> Result<()> {
    let width = weight.dim(1).map_err(|e| defect(&e))?;
    let mut outcome = Ok(());
    in_place(sum, |sum| {
        let mut slices: Vec<_> = sum.chunks_mut(SLICE * width).enumerate().collect();
        outcome = workers.for_each_mut(&mut slices, |(slice, sum)| {
            rows.add_slice(weight, *slice * SLICE, sum).map_err(|e| defect(&e))
        });
    })
    .map_err(|e| defect(&e))?;
    outcome
}
