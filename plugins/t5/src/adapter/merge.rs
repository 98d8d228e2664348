//! An adapter and its weights as weights alone.

use candle_core::Tensor;
use deft_core::{Error, ErrorKind, Result};

use super::{AdapterSpec, Kind};
use crate::network::Tensors;
use crate::network::projection::{IA3, LORA_A, LORA_B};

impl AdapterSpec {
    /// Puts the adapter's `tensors` into the weights that are there.
    pub(crate) fn merge(&self, tensors: &Tensors, into: &mut Tensors) -> Result<()> {
        for (name, weight) in into {
            *weight = self.merged(tensors, name, weight)?;
        }
        Ok(())
    }

    /// A weight with what the adapter's `tensors` have for it: `diag(l)·W`, or `W·diag(l)` for a
    /// vector on inputs, or `W + s·B·A`; else as it is.
    pub(crate) fn merged(&self, tensors: &Tensors, name: &str, weight: &Tensor) -> Result<Tensor> {
        let of = |suffix: &str| tensors.get(&format!("{}.{suffix}", name.strip_suffix(".weight")?));
        let (tensor, merged) = match (self.kind, of(IA3), of(LORA_A), of(LORA_B)) {
            (Kind::Ia3, Some(vector), _, _) => (vector, weight.broadcast_mul(vector)),
            (Kind::Lora { .. }, _, Some(a), Some(b)) => {
                let scale = f64::from(self.adapting().scale);
                (a, b.matmul(a).and_then(|product| weight + (product * scale)?))
            }
            _ => return Ok(weight.clone()),
        };
        merged.map_err(|error| {
            Error::new(
                ErrorKind::Model,
                format!("the {} adapter does not fit the model", self.name()),
            )
            .with_context("weight", name)
            .with_context("found", format!("{:?}", tensor.dims()))
            .with_context("wanted", format!("one for {:?}", weight.dims()))
            .with_source(&error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32], shape: (usize, usize)) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).expect("a tensor")
    }

    fn merged(kind: Kind, adapter: &[(&str, Tensor)]) -> Result<Vec<Vec<f32>>> {
        let mut weights = Tensors::new();
        weights.insert("a.k.weight".to_owned(), tensor(&[1.0, 2.0, 3.0, 4.0], (2, 2)));
        let spec = AdapterSpec { kind, modules: vec!["k".to_owned()], inputs: Vec::new() };
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
    fn a_vector_on_inputs_scales_the_columns() {
        let vector = ("a.k.ia3_l", tensor(&[2.0, 3.0], (1, 2)));
        assert_eq!(merged(Kind::Ia3, &[vector]).expect("merged"), [[2.0, 6.0], [6.0, 12.0]]);
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
        assert_eq!((error.kind(), error.context("weight")), (ErrorKind::Model, Some("a.k.weight")));
        assert_eq!(error.context("found"), Some("[3, 1]"));
    }
}
