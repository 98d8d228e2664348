//! Weights of a new network: normal numbers with T5's deviations.

use candle_core::{Device, Tensor};
use deft_core::{ErrorKind, Result, ResultExt};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::network::{Initial, Parameter};

/// A new tensor, from a stream that its name gives it: another network, another order or a part of
/// the network gives the same numbers under the same name.
pub(crate) fn random_tensor(parameter: &Parameter, seed: u64) -> Result<Tensor> {
    let count = parameter.shape.iter().product();
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let values = match parameter.initial {
        Initial::Constant(value) => vec![value as f32; count],
        Initial::Normal(deviation) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream(&parameter.name));
            let mut draw = || -> f32 { StandardNormal.sample(&mut rng) };
            (0..count).map(|_| draw() * deviation as f32).collect()
        }
    };
    Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu)
        .or_error(ErrorKind::Unexpected, "cannot make a tensor")
}

/// FNV-1a of the name: a fixed function, unlike the standard library's hashers.
pub(crate) fn stream(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, seed: u64) -> Vec<f32> {
        let (name, shape) = (name.to_owned(), vec![100, 100]);
        let tensor = random_tensor(&Parameter { name, shape, initial: Initial::Normal(0.5) }, seed);
        tensor.expect("a tensor").flatten_all().and_then(|t| t.to_vec1()).expect("values")
    }

    #[test]
    fn a_tensor_depends_on_its_name_and_the_seed_alone() {
        let a = values("a", 7);
        assert_eq!(a, values("a", 7));
        assert_ne!(a, values("b", 7));
        assert_ne!(a, values("a", 8));
    }

    #[test]
    fn the_deviation_is_the_one_asked_for() {
        let a = values("a", 1);
        let mean = a.iter().sum::<f32>() / a.len() as f32;
        let deviation = (a.iter().map(|x| x * x).sum::<f32>() / a.len() as f32).sqrt();
        assert!(mean.abs() < 0.02 && (deviation - 0.5).abs() < 0.02, "{mean} ± {deviation}");
    }
}
