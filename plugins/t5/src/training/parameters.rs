//! The parameters of a training with the sums of their gradients.

use candle_core::{Tensor, Var};
use deft_core::{Error, ErrorKind, Result};
use deft_neural::{Values, Workers, in_place};

use crate::model::defect;
use crate::network::head::{HeadRows, SLICE};
use crate::network::kernels;
use crate::network::{Gradients, Tensors};

use super::optimizer::{Optimizer, Slot, Update};

/// The tensors of a network: those that are trained, as variables, and those that are not.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// Sorted by name.
    trained: Vec<(String, Var)>,
    frozen: Tensors,
    /// Where the embeddings are among the trained ones.
    embeddings: Option<usize>,
    /// Where the output layer is: it may be the embeddings.
    head: Option<usize>,
}

/// What one micro-batch adds to the gradients of a step.
#[derive(Debug)]
pub(crate) struct Contribution {
    /// Of every parameter but the two tables, with its place.
    dense: Vec<(usize, Tensor)>,
    gradients: Gradients,
}

/// The gradients of a step, summed over its micro-batches as they are handed over: always in the
/// same order.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// In the order of the parameters.
    pub(crate) slots: Vec<Slot>,
    /// Of each micro-batch so far, in that order: the output layer's gradient is made of them at the
    /// end.
    head_rows: Vec<HeadRows>,
}

impl Parameters {
    /// Parameters with the values of these tensors, of which `frozen` are not trained.
    pub(crate) fn new(trained: Tensors, frozen: Tensors) -> Result<Self> {
        let mut named = Vec::with_capacity(trained.len());
        for (name, tensor) in trained {
            named.push((name, Var::from_tensor(&tensor).map_err(|e| defect(&e))?));
        }
        let place = |wanted: &str| named.iter().position(|(name, _)| name == wanted);
        let embeddings = place("shared.weight");
        let head = place("lm_head.weight").or(embeddings);
        Ok(Self { trained: named, frozen, embeddings, head })
    }

    /// All tensors as a network takes them that is trained.
    pub(crate) fn tensors(&self) -> Tensors {
        let variable =
            |(name, variable): &(String, Var)| (name.clone(), variable.as_tensor().clone());
        let frozen = self.frozen.iter().map(|(name, tensor)| (name.clone(), tensor.clone()));
        self.trained.iter().map(variable).chain(frozen).collect()
    }

    /// All tensors as a network takes them that only computes: they follow the training.
    pub(crate) fn detached(&self) -> Tensors {
        self.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach())).collect()
    }

    /// The present values of what is trained.
    pub(crate) fn values(&self) -> Tensors {
        let tensor =
            |(name, variable): &(String, Var)| (name.clone(), variable.as_detached_tensor());
        self.trained.iter().map(tensor).collect()
    }

    /// What is trained, by name.
    pub(crate) fn trained(&self) -> &[(String, Var)] {
        &self.trained
    }

    /// Whether the embeddings are trained.
    pub(crate) fn trains_embeddings(&self) -> bool {
        self.embeddings.is_some()
    }

    /// What is not trained.
    pub(crate) fn frozen(&self) -> &Tensors {
        &self.frozen
    }

    /// Sets the values of what is trained, one after the other, to those that `value` has of a name.
    pub(crate) fn set(&self, value: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        for (name, variable) in &self.trained {
            let tensor = value(name)?;
            let values = Values::of(&tensor);
            let values = values.get().map_err(|e| defect(&e))?;
            check_shape(name, tensor.dims(), variable.dims())?;
            in_place(variable.as_tensor(), |own| own.copy_from_slice(values))
                .map_err(|e| defect(&e))?;
        }
        Ok(())
    }

    /// Sums of no micro-batch yet.
    pub(crate) fn sums(&self, optimizer: &Optimizer) -> Sums {
        let slot = |(_, variable): &(String, Var)| optimizer.slot(variable.dims());
        Sums { slots: self.trained.iter().map(slot).collect(), head_rows: Vec::new() }
    }

    /// The gradient of every parameter; none may be missing: it would silently never be trained.
    pub(crate) fn contribution(&self, mut gradients: Gradients) -> Result<Contribution> {
        let mut dense = Vec::with_capacity(self.trained.len());
        for (place, (name, variable)) in self.trained.iter().enumerate() {
            if [self.embeddings, self.head].contains(&Some(place)) {
                continue;
            }
            let gradient = gradients.take(variable).map_err(|e| defect(&e))?.ok_or_else(|| {
                let message = format!("the parameter `{name}` got no gradient");
                Error::new(ErrorKind::Unexpected, message)
            })?;
            dense.push((place, gradient.contiguous().map_err(|e| defect(&e))?));
        }
        Ok(Contribution { dense, gradients })
    }

    /// Refuses values that are no numbers: nothing good can be trained on or predicted from them.
    pub(crate) fn check_values(&self) -> Result<()> {
        for (name, variable) in &self.trained {
            let values = Values::of(variable.as_tensor());
            if values.get().map_err(|e| defect(&e))?.iter().any(|x| !x.is_finite()) {
                return Err(not_finite(&format!("`{name}` has values that are no numbers")));
            }
        }
        Ok(())
    }

    /// The gradient's length; a gradient that is not finite is an error.
    pub(crate) fn gradient_norm(&self, sums: &Sums, workers: &Workers) -> Result<f64> {
        let norm = sums.norm(workers)?;
        // In f64 the squares of f32 do not overflow: one of the elements is not finite.
        let is_bad = |slot: &Slot| slot.gradient.iter().any(|x| !x.is_finite());
        match sums
            .slots
            .iter()
            .zip(&self.trained)
            .find(|(slot, _)| !norm.is_finite() && is_bad(slot))
        {
            None => Ok(norm),
            Some((_, (name, _))) => {
                Err(not_finite(&format!("the gradient of `{name}` is not finite")))
            }
        }
    }

    /// Applies the sums, which are zero again afterwards. It is not to be stopped half-way.
    pub(crate) fn update(&self, sums: &mut Sums, update: &Update, workers: &Workers) -> Result<()> {
        let mut pairs: Vec<_> = sums.slots.iter_mut().zip(&self.trained).collect();
        workers.for_each_mut(&mut pairs, |(slot, (_, variable))| {
            slot.apply(variable, update);
            Ok(())
        })
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, name: &str, variable: Var) {
        self.trained.push((name.to_owned(), variable));
    }
}

fn not_finite(message: &str) -> Error {
    Error::new(ErrorKind::Model, message).with_hint("a lower `learning_rate` often helps")
}

/// Refuses saved numbers of another shape than they must have.
pub(crate) fn check_shape(name: &str, found: &[usize], wanted: &[usize]) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("`{name}` has another shape"))
        .with_context("found", format!("{found:?}"))
        .with_context("wanted", format!("{wanted:?}")))
}

impl Sums {
    /// Adds a micro-batch's gradients, the output layer's excepted.
    pub(crate) fn add(&mut self, parameters: &Parameters, of: Contribution) -> Result<()> {
        for (place, gradient) in &of.dense {
            let values = Values::of(gradient);
            let values = values.get().map_err(|e| defect(&e))?;
            kernels::add_to(&mut self.slots[*place].gradient, values);
        }
        if let Some(place) = parameters.embeddings {
            self.add_embeddings(place, &of.gradients)?;
        }
        if parameters.head.is_some() {
            self.head_rows.push(of.gradients.head);
        }
        Ok(())
    }

    fn add_embeddings(&mut self, place: usize, gradients: &Gradients) -> Result<()> {
        let table = &mut self.slots[place].gradient;
        for (ids, rows) in gradients.embeddings().map_err(|e| defect(&e))? {
            let rows = rows.contiguous().map_err(|e| defect(&e))?;
            let values = Values::of(&rows);
            let values = values.get().map_err(|e| defect(&e))?;
            let width = values.len() / ids.len();
            for (&id, row) in ids.iter().zip(values.chunks_exact(width)) {
                kernels::add_to(&mut table[id as usize * width..][..width], row);
            }
        }
        Ok(())
    }

    /// Adds the output layer's gradient of all micro-batches, a slice of the vocabulary a task.
    pub(crate) fn add_head(&mut self, parameters: &Parameters, workers: &Workers) -> Result<()> {
        let Some(place) = parameters.head else { return Ok(()) };
        let weight = parameters.trained[place].1.as_detached_tensor();
        let rows = HeadRows::join(&std::mem::take(&mut self.head_rows)).map_err(|e| defect(&e))?;
        let width = weight.dim(1).map_err(|e| defect(&e))?;
        let sum = &mut self.slots[place].gradient;
        let mut slices: Vec<_> = sum.chunks_mut(SLICE * width).enumerate().collect();
        workers.for_each_mut(&mut slices, |(slice, sum)| {
            rows.add_gradient(&weight, *slice * SLICE, sum).map_err(|e| defect(&e))
        })
    }

    /// The gradient's length: the parameters in their order, each by one thread.
    fn norm(&self, workers: &Workers) -> Result<f64> {
        let mut squares = 0.0;
        workers.run(
            self.slots.len(),
            |place| Ok(self.slots[place].squares()),
            |_, of_one| {
                squares += of_one;
                Ok(())
            },
        )?;
        Ok(squares.sqrt())
    }

    /// The sum for a parameter.
    #[cfg(test)]
    pub(crate) fn gradient(&self, place: usize) -> &[f32] {
        &self.slots[place].gradient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn parameters(values: &[(&str, &[f32])]) -> Parameters {
        let tensor = |&(name, values): &(&str, &[f32])| {
            (name.to_owned(), Tensor::new(values, &Device::Cpu).expect("a tensor"))
        };
        Parameters::new(values.iter().map(tensor).collect(), Tensors::new()).expect("parameters")
    }

    #[test]
    fn the_tensor_is_named_whose_gradient_or_values_are_no_numbers() {
        let config = deft_core::options::parse(&serde_json::json!({"model": "m"}));
        let optimizer = Optimizer::new(&config.expect("options"));
        let workers = Workers::new(1).expect("threads");
        for bad in [f32::NAN, f32::INFINITY] {
            let parameters = parameters(&[("a", &[1.0, f32::MAX]), ("b", &[2.0, bad])]);
            let error = parameters.check_values().expect_err("not finite");
            assert_eq!(error.message(), "`b` has values that are no numbers");
            let mut sums = parameters.sums(&optimizer);
            sums.slots[0].gradient = vec![f32::MAX; 2];
            assert!(parameters.gradient_norm(&sums, &workers).expect("a length").is_finite());
            sums.slots[1].gradient[1] = bad;
            let error = parameters.gradient_norm(&sums, &workers).expect_err("not finite");
            assert_eq!(error.message(), "the gradient of `b` is not finite");
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.hint().is_some_and(|hint| hint.contains("learning_rate")));
        }
    }
}
