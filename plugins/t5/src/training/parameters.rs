//! The parameters of a training.
//!
//! What is trained is f32 to its optimizer, whatever the network computes in: a step is often smaller
//! than half of the distance between two numbers of bf16, and would be lost in them.

use candle_core::{DType, Tensor, Var};
use deft_core::{Error, ErrorKind, Result};
use deft_neural::Workers;

use crate::device::Placement;
use crate::model::defect;
use crate::network::ops::is_host;
use crate::network::{Gradients, Tensors};

use super::arrays;
use super::optimizer::{Optimizer, Slot, Update};
use super::sums::{Contribution, Sums};

/// The tensors of a network: those that are trained, as variables, and those that are not.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// Sorted by name.
    trained: Vec<Trained>,
    frozen: Tensors,
    /// Where the embeddings are among the trained ones.
    embeddings: Option<usize>,
    /// Where the output layer is: it may be the embeddings.
    head: Option<usize>,
}

/// A parameter that is trained.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) name: String,
    /// Its values in f32, which the optimizer changes: what is saved.
    pub(crate) master: Var,
    /// The same in the numbers that the network computes in, where these are others.
    working: Option<Var>,
}

impl Trained {
    /// At the peak there are two copies of the tensor on the device.
    fn new(name: String, tensor: &Tensor, placement: &Placement) -> candle_core::Result<Self> {
        let master = Var::from_tensor(&tensor.to_device(&placement.device)?)?;
        let working = if placement.precision == DType::F32 {
            None
        } else {
            let rounded = master.as_detached_tensor().to_dtype(placement.precision)?;
            Some(Var::from_tensor(&rounded)?)
        };
        Ok(Self { name, master, working })
    }

    /// The variable that the network is built from.
    pub(crate) fn working(&self) -> &Var {
        self.working.as_ref().unwrap_or(&self.master)
    }

    /// Sets the values to f32 from any device.
    fn set(&self, values: &Tensor) -> candle_core::Result<()> {
        self.master.set(&values.to_device(self.master.device())?)?;
        self.follow()
    }

    /// Applies the sum of the gradients, which is zero afterwards.
    fn step(&self, slot: &mut Slot, update: &Update) -> candle_core::Result<()> {
        if is_host(self.master.as_tensor()) {
            slot.host(&self.master, update)?;
            self.follow()
        } else {
            slot.on_gpu(&self.master, self.working.as_ref(), update)
        }
    }

    /// Sets what the network computes with to the present values.
    fn follow(&self) -> candle_core::Result<()> {
        match &self.working {
            None => Ok(()),
            Some(working) => {
                working.set(&self.master.as_detached_tensor().to_dtype(working.dtype())?)
            }
        }
    }
}

impl Parameters {
    /// Parameters with the values of these tensors, which are f32 in main memory; `frozen` are not
    /// trained. They go to the device one after the other.
    pub(crate) fn new(trained: Tensors, frozen: Tensors, placement: &Placement) -> Result<Self> {
        let trained: Vec<Trained> = trained
            .into_iter()
            .map(|(name, tensor)| Trained::new(name, &tensor, placement))
            .collect::<candle_core::Result<_>>()
            .map_err(|e| placement.not_put(&e))?;
        let frozen = frozen
            .into_iter()
            .map(|(name, tensor)| Ok((name, placement.put(&tensor)?)))
            .collect::<candle_core::Result<_>>()
            .map_err(|e| placement.not_put(&e))?;
        let place = |wanted: &str| trained.iter().position(|trained| trained.name == wanted);
        let embeddings = place("shared.weight");
        let head = place("lm_head.weight").or(embeddings);
        Ok(Self { trained, frozen, embeddings, head })
    }

    /// All tensors as a network takes them that is trained.
    pub(crate) fn tensors(&self) -> Tensors {
        let variable =
            |trained: &Trained| (trained.name.clone(), trained.working().as_tensor().clone());
        let frozen = self.frozen.iter().map(|(name, tensor)| (name.clone(), tensor.clone()));
        self.trained.iter().map(variable).chain(frozen).collect()
    }

    /// All tensors as a network takes them that only computes: they follow the training.
    pub(crate) fn detached(&self) -> Tensors {
        self.tensors().into_iter().map(|(name, tensor)| (name, tensor.detach())).collect()
    }

    /// The present values of what is trained, in f32 where they are.
    pub(crate) fn values(&self) -> Tensors {
        let tensor =
            |trained: &Trained| (trained.name.clone(), trained.master.as_detached_tensor());
        self.trained.iter().map(tensor).collect()
    }

    /// What is trained, by name.
    pub(crate) fn trained(&self) -> &[Trained] {
        &self.trained
    }

    /// Where the embeddings are among what is trained.
    pub(super) fn embeddings(&self) -> Option<usize> {
        self.embeddings
    }

    /// Where the output layer is among what is trained: it may be the embeddings.
    pub(super) fn head(&self) -> Option<usize> {
        self.head
    }

    /// Whether the embeddings are trained.
    pub(crate) fn trains_embeddings(&self) -> bool {
        self.embeddings.is_some()
    }

    /// What is not trained, as the network computes with it.
    pub(crate) fn frozen(&self) -> &Tensors {
        &self.frozen
    }

    /// Sets the values of what is trained, one after the other, to those that `value` has of a name.
    pub(crate) fn set(&self, value: impl Fn(&str) -> Result<Tensor>) -> Result<()> {
        for trained in &self.trained {
            let values = value(&trained.name)?;
            check_shape(&trained.name, values.dims(), trained.master.dims())?;
            trained.set(&values).map_err(|e| defect(&e))?;
        }
        Ok(())
    }

    /// Sums of no micro-batch yet.
    pub(crate) fn sums(&self, optimizer: &Optimizer) -> Result<Sums> {
        let slot = |trained: &Trained| optimizer.slot(trained.master.as_tensor());
        let slots = self.trained.iter().map(slot).collect::<candle_core::Result<_>>();
        Ok(Sums { slots: slots.map_err(|e| defect(&e))?, ..Sums::default() })
    }

    /// The gradient of every parameter; none may be missing: it would silently never be trained.
    pub(crate) fn contribution(&self, mut gradients: Gradients) -> Result<Contribution> {
        let mut dense = Vec::with_capacity(self.trained.len());
        for (place, trained) in self.trained.iter().enumerate() {
            if [self.embeddings, self.head].contains(&Some(place)) {
                continue;
            }
            let gradient = gradients.take(trained.working()).map_err(|e| defect(&e))?;
            let gradient = gradient.ok_or_else(|| {
                let message = format!("the parameter `{}` got no gradient", trained.name);
                Error::new(ErrorKind::Unexpected, message)
            })?;
            dense.push((place, gradient.contiguous().map_err(|e| defect(&e))?));
        }
        let (embeddings, head) = gradients.into_tables().map_err(|e| defect(&e))?;
        Ok(Contribution { dense, embeddings, head })
    }

    /// Refuses values that are no numbers: nothing good can be trained on or predicted from them.
    pub(crate) fn check_values(&self) -> Result<()> {
        for Trained { name, master, .. } in &self.trained {
            if !arrays::is_finite(master.as_tensor()).map_err(|e| defect(&e))? {
                return Err(not_finite(&format!("`{name}` has values that are no numbers")));
            }
        }
        Ok(())
    }

    /// The gradient's length; a gradient that is not finite is an error.
    pub(crate) fn gradient_norm(&self, sums: &Sums, workers: &Workers) -> Result<f64> {
        let norm = sums.norm(workers)?;
        if norm.is_finite() {
            return Ok(norm);
        }
        // In f64 the squares of f32 do not overflow: one of the elements is not finite.
        for (slot, Trained { name, .. }) in sums.slots.iter().zip(&self.trained) {
            if !arrays::is_finite(&slot.gradient).map_err(|e| defect(&e))? {
                return Err(not_finite(&format!("the gradient of `{name}` is not finite")));
            }
        }
        Ok(norm)
    }

    /// Applies the sums, which are zero again afterwards. It is not to be stopped half-way: after a
    /// failure some parameters are those of before and some are not.
    pub(crate) fn update(&self, sums: &mut Sums, update: &Update, workers: &Workers) -> Result<()> {
        let mut pairs: Vec<_> = sums.slots.iter_mut().zip(&self.trained).collect();
        workers.for_each_mut(&mut pairs, |(slot, trained)| {
            trained.step(slot, update).map_err(|e| defect(&e))
        })
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, name: &str, master: Var) {
        self.trained.push(Trained { name: name.to_owned(), master, working: None });
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn parameters(values: &[(&str, &[f32])]) -> Parameters {
        let named = |&(name, values): &(&str, &[f32])| (name.to_owned(), tensor(values));
        let trained = values.iter().map(named).collect();
        Parameters::new(trained, Tensors::new(), &Placement::host()).expect("parameters")
    }

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).expect("a tensor")
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
            let mut sums = parameters.sums(&optimizer).expect("sums");
            sums.slots[0].gradient = tensor(&[f32::MAX; 2]);
            assert!(parameters.gradient_norm(&sums, &workers).expect("a length").is_finite());
            sums.slots[1].gradient = tensor(&[0.0, bad]);
            let error = parameters.gradient_norm(&sums, &workers).expect_err("not finite");
            assert_eq!(error.message(), "the gradient of `b` is not finite");
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.hint().is_some_and(|hint| hint.contains("learning_rate")));
        }
    }

    #[test]
    fn the_network_computes_with_rounded_values_that_follow_the_masters() {
        let placement = Placement { precision: DType::BF16, ..Placement::host() };
        let [trained, frozen] = ["trained", "frozen"]
            .map(|name| Tensors::from([(name.to_owned(), tensor(&[1.0, 1.0 + 1.0 / 1024.0]))]));
        let parameters = Parameters::new(trained, frozen, &placement).expect("parameters");
        let (detached, values) = (parameters.detached(), |tensor: &Tensor| {
            let wide = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.to_vec1::<f32>());
            wide.expect("values")
        });
        assert_eq!(values(&parameters.values()["trained"]), [1.0, 1.0 + 1.0 / 1024.0]);
        for tensor in parameters.tensors().values() {
            assert_eq!((tensor.dtype(), values(tensor)), (DType::BF16, vec![1.0; 2]));
        }
        parameters.set(|_| Ok(tensor(&[2.0, 3.0 + 1.0 / 1024.0]))).expect("set");
        assert_eq!(values(&parameters.values()["trained"]), [2.0, 3.0 + 1.0 / 1024.0]);
        assert_eq!(values(&detached["trained"]), [2.0, 3.0]);
        let error = parameters.set(|_| Ok(tensor(&[2.0]))).expect_err("another shape");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}
