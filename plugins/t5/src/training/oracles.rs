//! Gradients and what is done to them, against the textbook.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use deft_core::Result;
use deft_neural::Workers;
use serde_json::{Value, json};

use super::learner::limits;
use super::optimizer::Optimizer;
use super::parameters::Parameters;
use super::sums::Sums;
use crate::adapter::AdapterSpec;
use crate::config::TrainerConfig;
use crate::device::Placement;
use crate::model::{Model, WHOLE, Weights};
use crate::network::dropout::Dropout;
use crate::network::projection::{Adapting, LORA_A, LORA_B};
use crate::network::{Batch, Pass, T5, Tensors, Work};
use crate::testing::{context, model_dir};

fn config(options: &Value) -> TrainerConfig {
    let mut all = json!({"model": "m"});
    for (key, value) in options.as_object().expect("an object") {
        all[key] = value.clone();
    }
    deft_core::options::parse(&all).expect("options")
}

/// Numbers without a pattern, between −size and size.
fn numbers(count: usize, size: f32) -> Vec<f32> {
    (0..count).map(|n| (((n * 7919 + 13) % 1009) as f32 / 504.5 - 1.0) * size).collect()
}

fn matrix(rows: usize, columns: usize, size: f32) -> Tensor {
    Tensor::from_vec(numbers(rows * columns, size), (rows, columns), &Device::Cpu)
        .expect("a matrix")
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|tensor| tensor.to_vec1()).expect("values")
}

/// No element is further off than a share of the largest wanted one.
#[track_caller]
fn assert_near(what: &str, found: &[f32], wanted: &[f32], share: f32) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    assert!(largest > 0.0, "{what}: there is nothing to compare");
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = (found - wanted).abs();
        assert!(off <= share * largest, "{what}[{at}]: {found}, not {wanted} (of {largest})");
    }
}

#[test]
fn dropout_zeroes_its_share_scales_the_rest_and_goes_back_through_the_same_mask() {
    const COUNT: usize = 60_000;
    let x = Var::ones(COUNT, DType::F32, &Device::Cpu).expect("a variable");
    for (rate, stream) in [(0.1, 1), (0.3, 2), (0.75, 3)] {
        let drop = |stream| x.apply_op1(Dropout { rate, seed: 5, stream }).expect("dropout");
        let y = drop(stream);
        let mut gradients = y.sum_all().and_then(|sum| sum.backward()).expect("gradients");
        let gradient = gradients.remove(x.as_tensor()).expect("a gradient");
        let found = values(&y);
        let zeros = found.iter().filter(|x| **x == 0.0).count() as f32 / COUNT as f32;
        // Five standard deviations are at most this.
        assert!((zeros - rate).abs() < 0.011, "{zeros} of {rate}");
        let scale = 1.0 / (1.0 - rate);
        assert!(found.iter().all(|&x| x == 0.0 || (x - scale).abs() < 1e-6 * scale));
        assert!(values(&gradient) == found, "another mask on the way back");
        assert!(values(&drop(stream)) == found && values(&drop(stream + 9)) != found);
    }
}

/// Values after some steps of Adam on gradients that are limited as `PyTorch` does it, in f64.
fn clipped_adam(start: &[f32], steps: &[Vec<f32>], rate: f64, norm: f64, value: f64) -> Vec<f32> {
    let mut values: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
    let (mut means, mut squares) = (vec![0.0; start.len()], vec![0.0; start.len()]);
    for (step, gradient) in (1..).zip(steps) {
        let gradient: Vec<f64> = gradient.iter().map(|&g| f64::from(g)).collect();
        let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (norm / (length + 1e-6)).min(1.0);
        for (at, g) in gradient.iter().enumerate() {
            let g = (g * scale).clamp(-value, value);
            means[at] = 0.9 * means[at] + 0.1 * g;
            squares[at] = 0.999 * squares[at] + 0.001 * g * g;
            let (mean, square) = (
                means[at] / (1.0 - 0.9_f64.powi(step)),
                squares[at] / (1.0 - 0.999_f64.powi(step)),
            );
            values[at] -= rate * mean / (square.sqrt() + 1e-8);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
    values.into_iter().map(|x| x as f32).collect()
}

#[test]
fn gradients_are_limited_by_the_length_of_all_tensors_and_then_by_element() {
    const RATE: f64 = 0.01;
    let shapes = [("a", 2, 3), ("b", 4, 4), ("c", 5, 1)];
    let starts = shapes.map(|(name, rows, columns)| (name.to_owned(), matrix(rows, columns, 1.0)));
    let count: usize = shapes.iter().map(|(_, rows, columns)| rows * columns).sum();
    // Lengths of about 7, 0.03 and 3: the second step is not limited.
    let steps = [2.0, 0.01, 1.0].map(|size| numbers(count, size)).to_vec();
    for (norm, value) in [(0.5, f64::INFINITY), (0.5, 0.05), (3.5, 0.5)] {
        let clip_value = if value.is_finite() { json!(value) } else { Value::Null };
        let config = config(&json!({"clip_norm": norm, "clip_value": clip_value}));
        let parameters = Parameters::new(starts.clone().into(), Tensors::new(), &Placement::host());
        let parameters = parameters.expect("parameters");
        let (optimizer, workers) = (Optimizer::new(&config), Workers::new(2).expect("threads"));
        let mut sums = parameters.sums(&optimizer).expect("sums");
        for (step, gradient) in (1..).zip(&steps) {
            let mut rest = &gradient[..];
            for slot in &mut sums.slots {
                let (own, others) = rest.split_at(slot.gradient.elem_count());
                let own = Tensor::from_slice(own, slot.gradient.shape(), &Device::Cpu);
                slot.gradient = own.expect("a gradient");
                rest = others;
            }
            let length = parameters.gradient_norm(&sums, &workers).expect("a length");
            let update = optimizer.update(step, RATE, limits(&config, Some(length)));
            parameters.update(&mut sums, &update, &workers).expect("updated");
        }
        let all = |tensors: &Tensors| tensors.values().flat_map(values).collect::<Vec<f32>>();
        let start = all(&starts.clone().into());
        let wanted = clipped_adam(&start, &steps, RATE, norm, value);
        let moves = |to: &[f32]| to.iter().zip(&start).map(|(a, b)| a - b).collect::<Vec<f32>>();
        let found = moves(&all(&parameters.values()));
        assert_near(&format!("{norm} and {value}"), &found, &moves(&wanted), 1e-4);
    }
}

/// A tiny model with an adapter on it whose `B` is not zero.
struct Adapted {
    model: Model,
    weights: Tensors,
    lora: Tensors,
    adapting: Adapting,
}

impl Adapted {
    fn new(options: &Value) -> Self {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(1);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let weights = model.tensors(&context(1), &WHOLE).expect("weights");
        let spec = AdapterSpec::of(&config(options)).expect("an adapter");
        let mut lora = spec.new_tensors(model.config(), 1).expect("tensors");
        for (name, tensor) in &mut lora {
            if name.ends_with(LORA_B) {
                let (rows, columns) = tensor.dims2().expect("a matrix");
                *tensor = matrix(rows, columns, 0.3);
            }
        }
        Self { model, weights, lora, adapting: spec.adapting() }
    }

    /// The adapter's, on frozen weights.
    fn parameters(&self) -> Parameters {
        let (lora, weights) = (self.lora.clone(), self.weights.clone());
        Parameters::new(lora, weights, &Placement::host()).expect("parameters")
    }

    fn network(&self, tensors: &Tensors) -> T5 {
        T5::adapted(self.model.config(), tensors, self.adapting).expect("a network")
    }

    /// Gradients by name; `in_segments` computes activations again.
    fn gradients(&self, parameters: &Parameters, pass: Pass<'_>, in_segments: bool) -> Gradients {
        let inputs = [&[3, 4, 5, 6, 1][..], &[7, 8, 1], &[9, 10, 11, 1]];
        let targets = [&[12, 13, 1][..], &[14, 1], &[15, 16, 17, 1]];
        let inputs = Batch::new(inputs, 0).expect("a batch");
        let work = Work { inputs: &inputs, targets: &targets, pass, divisor: 1 };
        let network = self.network(&parameters.tensors());
        let (_, gradients) = if in_segments {
            network.gradients_by_segments(&self.network(&parameters.detached()), work)
        } else {
            network.gradients(work)
        }
        .expect("gradients");
        let sum = |gradients| -> Result<Sums> {
            let workers = Workers::new(1)?;
            let mut sums = parameters.sums(&Optimizer::new(&config(&json!({}))))?;
            sums.add(parameters, parameters.contribution(gradients)?)?;
            sums.add_head(parameters, &workers)?;
            Ok(sums)
        };
        let sums = sum(gradients).expect("sums");
        let names = parameters.trained().iter().map(|trained| trained.name.clone());
        names.enumerate().map(|(place, name)| (name, sums.gradient(place))).collect()
    }
}

type Gradients = BTreeMap<String, Vec<f32>>;

#[test]
fn the_gradients_of_lora_are_those_of_the_sum_that_it_is() {
    let of = Adapted::new(&json!({
        "method": "lora", "lora_rank": 3, "lora_alpha": 6, "modules": ["q", "k", "v", "o", "wi_1"],
    }));
    let parameters = of.parameters();
    let pass = Pass::training(0.0, 0, 0).with_frozen_embeddings();
    let found = of.gradients(&parameters, pass, false);
    // W + s·B·A is trained as a whole: dA = s·Bᵀ·dW and dB = s·dW·Aᵀ.
    let scale = f64::from(of.adapting.scale);
    assert!((scale - 2.0).abs() < 1e-12);
    let modules = || of.lora.keys().filter_map(|name| name.strip_suffix(&format!(".{LORA_A}")));
    let halves = |module: &str| {
        (&of.lora[&format!("{module}.{LORA_A}")], &of.lora[&format!("{module}.{LORA_B}")])
    };
    let mut weights = of.weights.clone();
    for module in modules() {
        let (a, b) = halves(module);
        let added = b.matmul(a).and_then(|product| product * scale).expect("a product");
        let weight = weights.get_mut(&format!("{module}.weight")).expect("a weight");
        *weight = (&*weight + added).expect("a sum");
    }
    let merged = Parameters::new(weights, Tensors::new(), &Placement::host());
    let merged = merged.expect("parameters");
    let whole = of.gradients(&merged, Pass::training(0.0, 0, 0), false);
    assert_eq!(modules().count(), 2 * 5 + 2 * 9);
    for module in modules() {
        let (a, b) = halves(module);
        let dw = whole[&format!("{module}.weight")].clone();
        let shape = (b.dim(0).expect("rows"), a.dim(1).expect("columns"));
        let dw = Tensor::from_vec(dw, shape, &Device::Cpu).expect("a matrix");
        let scaled = |product: candle_core::Result<Tensor>| {
            values(&product.and_then(|product| product * scale).expect("a product"))
        };
        let of_a = scaled(b.t().and_then(|b| b.matmul(&dw)));
        let of_b = scaled(a.t().and_then(|a| dw.matmul(&a)));
        for (half, wanted) in [(LORA_A, of_a), (LORA_B, of_b)] {
            let name = format!("{module}.{half}");
            assert_near(&name, &found[&name], &wanted, 1e-4);
        }
    }
}

#[test]
fn lora_computed_again_drops_the_same() {
    let of = Adapted::new(&json!({
        "method": "lora", "lora_rank": 3, "lora_dropout": 0.4, "modules": ["q", "k", "v", "wo"],
    }));
    let parameters = of.parameters();
    let pass = |number| Pass::training(0.3, 5, number).with_frozen_embeddings();
    let kept = of.gradients(&parameters, pass(2), false);
    for (name, again) in of.gradients(&parameters, pass(2), true) {
        assert_near(&name, &again, &kept[&name], 1e-5);
    }
    assert!(kept != of.gradients(&parameters, pass(3), false), "the same masks");
}
