//! Whether a saved adapter is one of this network: what does not fit would silently do nothing.

use std::collections::HashMap;

use deft_core::{Error, ErrorKind, Result};

use super::{AdapterSpec, Kind};
use crate::network::projection::{IA3, LORA_A, LORA_B};
use crate::network::{Parameter, Tensors};

impl AdapterSpec {
    /// Refuses tensors that a network with these parameters has no place for, and halves of pairs.
    pub(crate) fn check(&self, tensors: &Tensors, network: &[Parameter]) -> Result<()> {
        if tensors.is_empty() {
            return Err(Error::new(ErrorKind::Model, "the adapter has no tensors")
                .with_hint("save it again: it would change nothing"));
        }
        let shapes = network.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        for (name, tensor) in tensors {
            let wanted = self.shape_of(name, tensors, &shapes)?;
            if tensor.dims() != wanted {
                let message =
                    format!("the adapter's tensor `{name}` has another shape than it must have");
                return Err(Error::new(ErrorKind::Model, message)
                    .with_context("found", format!("{:?}", tensor.dims()))
                    .with_context("wanted", format!("{wanted:?}"))
                    .with_hint(
                        "are adapter_config.json, the tensors and the base of one training?",
                    ));
            }
        }
        Ok(())
    }

    /// The shape that the tensor of a name must have.
    fn shape_of(
        &self,
        name: &str,
        tensors: &Tensors,
        network: &HashMap<&str, &[usize]>,
    ) -> Result<[usize; 2]> {
        let (module, suffix) = self.split(name)?;
        let Some(&[rows, columns]) = network.get(format!("{module}.weight").as_str()).copied()
        else {
            let message =
                format!("the network has no `{module}.weight` for the adapter's `{name}`");
            return Err(Error::new(ErrorKind::Model, message)
                .with_hint("correct `base_model_name_or_path`: the adapter is of another model"));
        };
        let Kind::Lora { rank, .. } = self.kind else {
            let on_inputs = self.inputs.iter().any(|end| module.ends_with(end.as_str()));
            return Ok(if on_inputs { [1, columns] } else { [rows, 1] });
        };
        let (other, shape) = match suffix {
            LORA_A => (LORA_B, [rank, columns]),
            _ => (LORA_A, [rows, rank]),
        };
        if tensors.contains_key(&format!("{module}.{other}")) {
            return Ok(shape);
        }
        let message = format!("the adapter has `{name}` and no `{module}.{other}`");
        Err(Error::new(ErrorKind::Model, message).with_hint("save it again: one needs the other"))
    }

    /// A tensor's module and what it is to it.
    fn split<'a>(&self, name: &'a str) -> Result<(&'a str, &'static str)> {
        let suffixes: &[&'static str] = match self.kind {
            Kind::Ia3 => &[IA3],
            Kind::Lora { .. } => &[LORA_A, LORA_B],
        };
        let module = |suffix: &str| name.strip_suffix(suffix)?.strip_suffix('.');
        let found = suffixes.iter().find_map(|&suffix| Some((module(suffix)?, suffix)));
        found.ok_or_else(|| {
            let message = format!("the adapter's tensor `{name}` is none of {}", self.name());
            Error::new(ErrorKind::Model, message)
                .with_context("allowed", format!("MODULE.{}", suffixes.join(", MODULE.")))
                .with_hint("save it again without what else was trained")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};

    const LORA: Kind = Kind::Lora { rank: 3, alpha: 8.0, dropout: 0.0 };

    /// The outcome for tensors of these names and shapes on `k`, of four times two numbers.
    fn check(kind: Kind, inputs: &[&str], tensors: &[(&str, (usize, usize))]) -> Result<()> {
        let network = [Parameter {
            name: "a.k.weight".to_owned(),
            shape: vec![4, 2],
            initial: crate::network::Initial::Constant(1.0),
        }];
        let zeros = |shape| Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("a tensor");
        let tensors: Tensors =
            tensors.iter().map(|&(name, shape)| (name.to_owned(), zeros(shape))).collect();
        let inputs = inputs.iter().map(|&name| name.to_owned()).collect();
        let spec = AdapterSpec { kind, modules: vec!["k".to_owned()], inputs };
        spec.check(&tensors, &network)
    }

    #[test]
    fn adapters_of_the_network_pass() {
        check(Kind::Ia3, &[], &[("a.k.ia3_l", (4, 1))]).expect("on outputs");
        check(Kind::Ia3, &["k"], &[("a.k.ia3_l", (1, 2))]).expect("on inputs");
        let pair = [("a.k.lora_A.weight", (3, 2)), ("a.k.lora_B.weight", (4, 3))];
        check(LORA, &[], &pair).expect("a pair");
    }

    #[test]
    fn what_would_do_nothing_is_refused_by_name() {
        let a = ("a.k.lora_A.weight", (3, 2));
        for (kind, tensors, words) in [
            (Kind::Ia3, &[][..], "has no tensors"),
            (Kind::Ia3, &[("b.k.ia3_l", (4, 1))], "no `b.k.weight`"),
            (Kind::Ia3, &[("a.k.lora_A.weight", (3, 2))], "`a.k.lora_A.weight` is none of IA3"),
            (Kind::Ia3, &[("a.k.modules.weight", (4, 2))], "`a.k.modules.weight` is none of IA3"),
            (LORA, &[("a.k.lora_magnitude_vector", (4, 1))], "is none of LoRA"),
            (LORA, &[a], "and no `a.k.lora_B.weight`"),
        ] {
            let error = check(kind, &[], tensors).expect_err(words);
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.message().contains(words), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn another_shape_is_shown_beside_the_one_it_must_be() {
        let b = ("a.k.lora_B.weight", (4, 3));
        for (kind, inputs, tensors, wanted) in [
            (Kind::Ia3, &[][..], vec![("a.k.ia3_l", (1, 4))], "[4, 1]"),
            (Kind::Ia3, &[], vec![("a.k.ia3_l", (1, 2))], "[4, 1]"),
            (Kind::Ia3, &["k"], vec![("a.k.ia3_l", (4, 1))], "[1, 2]"),
            // Another rank than adapter_config.json says.
            (LORA, &[], vec![("a.k.lora_A.weight", (2, 2)), b], "[3, 2]"),
        ] {
            let error = check(kind, inputs, &tensors).expect_err("another shape");
            assert_eq!(error.context("wanted"), Some(wanted), "{error}");
        }
    }
}
