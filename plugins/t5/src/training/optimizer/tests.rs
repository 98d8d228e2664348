//! Both ways to take a step, against the papers and each other; the one on a GPU where
//! `DEFT_T5_DEVICE` names one.

use super::*;
use crate::config::Precision;
use crate::testing;
use candle_core::Device;
use serde_json::{Value, json};

const RATE: f64 = 0.01;

fn optimizer(options: &Value) -> Optimizer {
    let mut all = json!({"model": "m"});
    for (key, value) in options.as_object().expect("an object") {
        all[key] = value.clone();
    }
    Optimizer::new(&deft_core::options::parse(&all).expect("options"))
}

/// The gradients of three steps, from 1e-9 to 10.
fn gradients(count: usize) -> Vec<Vec<f64>> {
    let gradient = |step: usize, at: usize| {
        let size = 10_f64.powi(i32::try_from(at % 11).expect("small") - 9);
        size * ((step * 31 + at * 17) as f64 % 7.0 - 3.2)
    };
    (0..3).map(|step| (0..count).map(|at| gradient(step, at)).collect()).collect()
}

/// Main memory, and the GPU if there is one.
fn places() -> impl Iterator<Item = Device> {
    let gpu = testing::gpu(Precision::F32).map(|place| place.device);
    [Device::Cpu].into_iter().chain(gpu)
}

/// A step where the parameter is.
fn take(slot: &mut Slot, parameter: &Var, update: &Update) {
    let taken = if parameter.device().is_cpu() {
        slot.host(parameter, update)
    } else {
        slot.on_gpu(parameter, None, update)
    };
    taken.expect("a step");
}

/// The values after three steps from numbers around 1.
fn steps(place: &Device, optimizer: &Optimizer, dims: &[usize], clip: f32) -> Vec<f32> {
    let (variable, _) = after_steps(place, optimizer, dims, Limits { scale: 1.0, clip });
    values(variable.as_tensor())
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|tensor| tensor.to_vec1()).expect("values")
}

/// A parameter of numbers around 1 after three steps.
#[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
fn after_steps(
    place: &Device,
    optimizer: &Optimizer,
    dims: &[usize],
    limits: Limits,
) -> (Var, Slot) {
    let count = dims.iter().product();
    let start = (0..count).map(|at| 1.0 + at as f32 / 8.0).collect();
    let tensor = Tensor::from_vec(start, dims, place).expect("a tensor");
    let variable = Var::from_tensor(&tensor).expect("a variable");
    let mut slot = optimizer.slot(variable.as_tensor()).expect("a slot");
    for (step, gradient) in gradients(count).iter().enumerate() {
        let gradient: Vec<f32> = gradient.iter().map(|&g| g as f32).collect();
        slot.gradient = Tensor::from_vec(gradient, dims, place).expect("a tensor");
        let update = optimizer.update(step + 1, RATE, limits);
        take(&mut slot, &variable, &update);
        assert!(values(&slot.gradient).iter().all(|&g| g == 0.0));
    }
    (variable, slot)
}

fn assert_near(found: &[f32], wanted: &[f64]) {
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = (f64::from(*found) - wanted).abs();
        assert!(off < 1e-3 * RATE, "[{at}]: {found}, not {wanted}");
    }
}

/// Adam by the book, in f64.
fn adam(count: usize, decay: f64, clip: f64) -> Vec<f64> {
    let all = gradients(count);
    let value = |at: usize| {
        let (mut value, mut mean, mut square) = (1.0 + at as f64 / 8.0, 0.0, 0.0);
        for (step, gradient) in (1..).zip(&all) {
            let g = gradient[at].clamp(-clip, clip);
            mean = 0.9 * mean + 0.1 * g;
            square = 0.999 * square + 0.001 * g * g;
            let (mean, square) =
                (mean / (1.0 - 0.9_f64.powi(step)), square / (1.0 - 0.999_f64.powi(step)));
            value -= RATE * decay * value + RATE * mean / (square.sqrt() + 1e-8);
        }
        value
    };
    (0..count).map(value).collect()
}

#[test]
fn adam_and_adamw_are_those_of_the_papers() {
    for place in places() {
        let found = steps(&place, &optimizer(&json!({})), &[22], f32::INFINITY);
        assert_near(&found, &adam(22, 0.0, f64::INFINITY));
        let found = steps(&place, &optimizer(&json!({"optimizer": "adamw"})), &[22], 0.01);
        assert_near(&found, &adam(22, 0.01, 0.01));
    }
}

/// Adafactor by the book, in f64, its squares as a matrix.
fn adafactor(rows: usize, columns: usize) -> Vec<f64> {
    let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
    let mut values: Vec<f64> = (0..rows * columns).map(|at| 1.0 + at as f64 / 8.0).collect();
    let (mut of_rows, mut of_columns) = (vec![0.0; rows], vec![0.0; columns]);
    for (step, gradient) in (1..).zip(gradients(rows * columns)) {
        let beta = 1.0 - f64::from(step).powf(-0.8);
        let square = |row: usize, column: usize| gradient[row * columns + column].powi(2) + 1e-30;
        for (row, mean) in of_rows.iter_mut().enumerate() {
            let sum: f64 = (0..columns).map(|column| square(row, column)).sum();
            *mean = beta * *mean + (1.0 - beta) * sum / columns as f64;
        }
        for (column, mean) in of_columns.iter_mut().enumerate() {
            let sum: f64 = (0..rows).map(|row| square(row, column)).sum();
            *mean = beta * *mean + (1.0 - beta) * sum / rows as f64;
        }
        let mean = of_rows.iter().sum::<f64>() / rows as f64;
        let update: Vec<f64> = (0..rows * columns)
            .map(|at| {
                let square = of_rows[at / columns] * of_columns[at % columns] / mean;
                gradient[at] / square.sqrt()
            })
            .collect();
        let rate = RATE * rms(&values).max(1e-3) / rms(&update).max(1.0);
        values.iter_mut().zip(update).for_each(|(value, update)| *value -= rate * update);
    }
    values
}

#[test]
fn adafactor_is_that_of_the_paper() {
    let optimizer = optimizer(&json!({"optimizer": "adafactor"}));
    for place in places() {
        let found = steps(&place, &optimizer, &[4, 6], f32::INFINITY);
        assert_near(&found, &adafactor(4, 6));
        // The vectors of IA3 are matrices of one column.
        let found = steps(&place, &optimizer, &[12, 1], f32::INFINITY);
        assert_near(&found, &adafactor(12, 1));
    }
}

#[test]
fn both_ways_agree_on_values_and_moments() {
    let Some(gpu) = places().nth(1) else { return };
    for (options, dims) in [
        (json!({"optimizer": "adamw", "weight_decay": 0.1}), &[4, 6][..]),
        (json!({"optimizer": "adafactor"}), &[4, 6][..]),
        (json!({"optimizer": "adafactor"}), &[22][..]),
        // More than a block and a grid of a GPU take at once.
        (json!({}), &[70, 30][..]),
        (json!({"optimizer": "adafactor"}), &[300, 290][..]),
        (json!({"optimizer": "adafactor"}), &[700][..]),
        (
            json!({"optimizer": "adafactor", "scale_parameter": false, "weight_decay": 0.1}),
            &[6, 4][..],
        ),
    ] {
        let optimizer = optimizer(&options);
        for limits in
            [Limits { scale: 1.0, clip: f32::INFINITY }, Limits { scale: 0.25, clip: 0.01 }]
        {
            let [(wanted, wanted_slot), (found, slot)] =
                [&Device::Cpu, &gpu].map(|place| after_steps(place, &optimizer, dims, limits));
            // A step is a share of the size of all values.
            let largest = values(wanted.as_tensor()).into_iter().fold(0.0, f32::max);
            assert_close(found.as_tensor(), wanted.as_tensor(), 1e-6, 1e-6 * largest);
            let wanted = wanted_slot.moments.arrays().into_iter().flatten();
            for ((_, found), (_, wanted)) in slot.moments.arrays().into_iter().flatten().zip(wanted)
            {
                // Sums that nearly cancel show more of the roundings.
                assert_close(found, wanted, 1e-5, 0.0);
            }
        }
    }
}

/// No element is further off than a share of itself, and so much more.
#[track_caller]
fn assert_close(found: &Tensor, wanted: &Tensor, share: f32, more: f32) {
    for (found, wanted) in values(found).into_iter().zip(values(wanted)) {
        assert!((found - wanted).abs() <= share * wanted.abs() + more, "{found}, not {wanted}");
    }
}

#[test]
fn a_step_on_a_gpu_rounds_the_values_to_what_the_network_computes_with() {
    let Some(gpu) = places().nth(1) else { return };
    for options in [json!({}), json!({"optimizer": "adafactor"})] {
        for dims in [&[4, 6][..], &[22][..]] {
            let optimizer = optimizer(&options);
            let no_limits = Limits { scale: 1.0, clip: f32::INFINITY };
            let (values, mut slot) = after_steps(&gpu, &optimizer, dims, no_limits);
            let working = Var::zeros(dims, DType::BF16, &gpu).expect("a variable");
            let update = optimizer.update(4, RATE, no_limits);
            slot.on_gpu(&values, Some(&working), &update).expect("a step");
            let wide = |of: &Var| of.as_detached_tensor().to_dtype(DType::F32).expect("f32");
            let rounded = values.as_detached_tensor().to_dtype(DType::BF16).expect("bf16");
            let rounded = rounded.to_dtype(DType::F32).expect("f32");
            assert_eq!(self::values(&wide(&working)), self::values(&rounded));
        }
    }
}
