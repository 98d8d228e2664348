//! The parameters of a training with the sums of their gradients.

use candle_core::{Tensor, Var};
use deft_core::{Error, ErrorKind, Result};

use crate::model::defect;
use crate::network::head::{HeadRows, SLICE};
use crate::network::kernels::{self, AdamUpdate};
use crate::network::ops::Values;
use crate::network::{Gradients, Tensors};
use crate::parallel::Workers;

use super::optimizer::Slot;

/// The variables that are trained, sorted by name.
#[derive(Debug)]
pub(crate) struct Parameters {
    named: Vec<(String, Var)>,
    /// Where the embeddings are among them.
    embeddings: usize,
    /// Where the output layer is: it may be the embeddings.
    head: usize,
}

/// What one micro-batch adds to the gradients of a step.
#[derive(Debug)]
pub(crate) struct Contribution {
    /// Of every parameter but the two tables, with its place.
    dense: Vec<(usize, Tensor)>,
    gradients: Gradients,
}

/// The gradients of a step, summed over its micro-batches in their order.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// In the order of the parameters.
    slots: Vec<Slot>,
    /// Of each micro-batch so far: the output layer's gradient is made of them at the end.
    head_rows: Vec<HeadRows>,
}

impl Parameters {
    /// Variables with the values of these tensors.
    pub(crate) fn new(tensors: Tensors) -> Result<Self> {
        let mut named = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            named.push((name, Var::from_tensor(&tensor).map_err(|e| defect(&e))?));
        }
        let place = |wanted: &str| named.iter().position(|(name, _)| name == wanted);
        let embeddings = place("shared.weight").ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "the network has no embeddings to train")
        })?;
        let head = place("lm_head.weight").unwrap_or(embeddings);
        Ok(Self { named, embeddings, head })
    }

    /// The variables as the network takes them.
    pub(crate) fn tensors(&self) -> Tensors {
        let tensor =
            |(name, variable): &(String, Var)| (name.clone(), variable.as_tensor().clone());
        self.named.iter().map(tensor).collect()
    }

    /// Their values, at the end of training.
    pub(crate) fn into_tensors(self) -> Tensors {
        let tensor = |(name, variable): (String, Var)| (name, variable.as_detached_tensor());
        self.named.into_iter().map(tensor).collect()
    }

    /// Sums of no micro-batch yet.
    pub(crate) fn sums(&self) -> Sums {
        let slots = self.named.iter().map(|(_, variable)| Slot::new(variable)).collect();
        Sums { slots, head_rows: Vec::new() }
    }

    /// The gradient of every parameter; none may be missing: it would silently never be trained.
    pub(crate) fn contribution(&self, mut gradients: Gradients) -> Result<Contribution> {
        let mut dense = Vec::with_capacity(self.named.len());
        for (place, (name, variable)) in self.named.iter().enumerate() {
            if place == self.embeddings || place == self.head {
                continue;
            }
            let gradient = gradients.take(variable).ok_or_else(|| {
                let message = format!("the parameter `{name}` got no gradient");
                Error::new(ErrorKind::Unexpected, message)
            })?;
            dense.push((place, gradient.contiguous().map_err(|e| defect(&e))?));
        }
        Ok(Contribution { dense, gradients })
    }

    /// Checked after the first step, when a network that cannot be trained shows itself.
    pub(crate) fn check_finite(&self, sums: &Sums) -> Result<()> {
        let is_bad = |slot: &Slot| slot.gradient.iter().any(|x| !x.is_finite());
        match sums.slots.iter().zip(&self.named).find(|(slot, _)| is_bad(slot)) {
            None => Ok(()),
            Some((_, (name, _))) => {
                let message = format!("the gradient of `{name}` is not finite in the first step");
                Err(Error::new(ErrorKind::Model, message))
            }
        }
    }

    /// Applies the sums, which are zero again afterwards.
    pub(crate) fn update(
        &self,
        sums: &mut Sums,
        update: &AdamUpdate,
        workers: &Workers,
    ) -> Result<()> {
        let mut pairs: Vec<_> = sums.slots.iter_mut().zip(&self.named).collect();
        workers.for_each_mut(&mut pairs, |(slot, (_, variable))| slot.update(variable, update))
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, name: &str, variable: Var) {
        self.named.push((name.to_owned(), variable));
    }
}

impl Sums {
    /// Adds a micro-batch's gradients, the output layer's excepted.
    pub(crate) fn add(&mut self, parameters: &Parameters, of: Contribution) -> Result<()> {
        for (place, gradient) in &of.dense {
            let values = Values::of(gradient);
            let values = values.get().map_err(|e| defect(&e))?;
            kernels::add_to(&mut self.slots[*place].gradient, values);
        }
        let table = &mut self.slots[parameters.embeddings].gradient;
        for (ids, rows) in of.gradients.embeddings().map_err(|e| defect(&e))? {
            let rows = rows.contiguous().map_err(|e| defect(&e))?;
            let values = Values::of(&rows);
            let values = values.get().map_err(|e| defect(&e))?;
            let width = values.len() / ids.len();
            for (&id, row) in ids.iter().zip(values.chunks_exact(width)) {
                kernels::add_to(&mut table[id as usize * width..][..width], row);
            }
        }
        self.head_rows.push(of.gradients.head);
        Ok(())
    }

    /// Adds the output layer's gradient of all micro-batches, a slice of the vocabulary a task.
    pub(crate) fn add_head(&mut self, parameters: &Parameters, workers: &Workers) -> Result<()> {
        let weight = parameters.named[parameters.head].1.as_detached_tensor();
        let rows = HeadRows::join(&std::mem::take(&mut self.head_rows)).map_err(|e| defect(&e))?;
        let width = weight.dim(1).map_err(|e| defect(&e))?;
        let sum = &mut self.slots[parameters.head].gradient;
        let mut slices: Vec<_> = sum.chunks_mut(SLICE * width).enumerate().collect();
        workers.for_each_mut(&mut slices, |(slice, sum)| {
            rows.add_gradient(&weight, *slice * SLICE, sum).map_err(|e| defect(&e))
        })
    }

    /// The sum for a parameter.
    #[cfg(test)]
    pub(crate) fn gradient(&self, place: usize) -> &[f32] {
        &self.slots[place].gradient
    }
}
