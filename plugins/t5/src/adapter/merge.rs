//! An adapter and its weights as weights alone.

use deft_core::{Error, ErrorKind, Result};

use super::{AdapterSpec, Kind};
use crate::network::Tensors;
use crate::network::projection::{IA3, LORA_A, LORA_B};

impl AdapterSpec {
    /// Puts the adapter's `tensors` into the weights that are there: `diag(l)·W` or `W + s·B·A`.
    ///
    /// Weights of parts that were not read are passed over.
    pub(crate) fn merge(&self, tensors: &Tensors, into: &mut Tensors) -> Result<()> {
        let (first, names) = match self.kind {
            Kind::Ia3 => (IA3, "IA3"),
            Kind::Lora { .. } => (LORA_A, "LoRA"),
        };
        for (name, tensor) in tensors {
            let Some(module) = name.strip_suffix(first).and_then(|name| name.strip_suffix('.'))
            else {
                continue;
            };
            let weight_name = format!("{module}.weight");
            let Some(weight) = into.get(&weight_name) else { continue };
            let merged = match self.kind {
                Kind::Ia3 => tensor.reshape(((), 1)).and_then(|l| weight.broadcast_mul(&l)),
                Kind::Lora { .. } => {
                    let b = tensors.get(&format!("{module}.{LORA_B}")).ok_or_else(|| {
                        Error::new(ErrorKind::Model, format!("the adapter has no `{LORA_B}`"))
                            .with_context("module", module)
                    })?;
                    let scale = f64::from(self.adapting().scale);
                    b.matmul(tensor).and_then(|product| weight + (product * scale)?)
                }
            };
            let merged = merged.map_err(|error| {
                Error::new(ErrorKind::Model, format!("the {names} adapter does not fit the model"))
                    .with_context("module", module)
                    .with_context("weight", format!("{:?}", weight.dims()))
                    .with_context("adapter", format!("{:?}", tensor.dims()))
                    .with_source(&error)
            })?;
            into.insert(weight_name, merged);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    fn tensor(values: &[f32], shape: (usize, usize)) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).expect("a tensor")
    }

    fn merged(kind: Kind, adapter: &[(&str, Tensor)]) -> Result<Vec<Vec<f32>>> {
        let mut weights = Tensors::new();
        weights.insert("a.k.weight".to_owned(), tensor(&[1.0, 2.0, 3.0, 4.0], (2, 2)));
        let spec = AdapterSpec { kind, modules: vec!["k".to_owned()] };
        let adapter = adapter.iter().map(|(name, t)| ((*name).to_owned(), t.clone())).collect();
        spec.merge(&adapter, &mut weights)?;
        Ok(weights["a.k.weight"].to_vec2().expect("values"))
    }

    #[test]
    fn ia3_scales_the_rows_of_a_weight() {
        let vector = ("a.k.ia3_l", tensor(&[2.0, 3.0], (2, 1)));
        assert_eq!(merged(Kind::Ia3, &[vector]).expect("merged"), [[2.0, 4.0], [9.0, 12.0]]);
    }

    #[test]
    fn lora_adds_its_scaled_product() {
        let kind = Kind::Lora { rank: 1, alpha: 2.0, dropout: 0.0 };
        let a = ("a.k.lora_A.weight", tensor(&[1.0, 10.0], (1, 2)));
        let b = ("a.k.lora_B.weight", tensor(&[1.0, 2.0], (2, 1)));
        assert_eq!(merged(kind, &[a, b]).expect("merged"), [[3.0, 22.0], [7.0, 44.0]]);
    }

    #[test]
    fn an_adapter_of_another_shape_is_named_with_both() {
        let vector = ("a.k.ia3_l", tensor(&[2.0, 3.0, 4.0], (3, 1)));
        let error = merged(Kind::Ia3, &[vector]).expect_err("another shape");
        assert_eq!((error.kind(), error.context("module")), (ErrorKind::Model, Some("a.k")));
        assert_eq!(error.context("weight"), Some("[2, 2]"));
    }
}
