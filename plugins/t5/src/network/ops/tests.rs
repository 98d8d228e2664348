//! The forms of every operation against each other, and against those on the GPU that
//! `DEFT_T5_DEVICE` names.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::config::Precision;
use crate::device::Placement;
use crate::gpu_kernels;

use super::{Add, GatedGelu, Linear, RmsNorm, Scale, apply1, apply2, product, swap_middle};
use crate::network::Lengths;
use crate::network::attention::{Attend, PositionBias};
use crate::network::dropout::Dropout;
use crate::network::kernels;
use crate::testing;

type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// Every operation of two arguments with the shapes of these.
fn operations() -> [(&'static str, Op, [&'static [usize]; 2]); 21] {
    [
        ("linear", |x, w| apply2(x, w, Linear), [&[3, 4], &[5, 4]]),
        ("scale", |x, v| apply2(x, v, Scale), [&[3, 4], &[4]]),
        ("scale by a column", |x, v| apply2(x, v, Scale), [&[3, 4], &[4, 1]]),
        ("add", |x, y| apply2(x, y, Add), [&[3, 4], &[3, 4]]),
        ("norm", |x, w| apply2(x, w, NORM), [&[3, 4], &[4]]),
        ("gated gelu", |a, b| apply2(a, b, GatedGelu), [&[3, 4], &[3, 4]]),
        ("attend", |x, b| apply2(x, b, attend(false)), [&[2, 2, 3, 4], &[2, 3, 4]]),
        ("attend causally", attend_causally, [&[2, 2, 3, 4], &[6, 2]]),
        // More than a warp, a block and a grid of a GPU take at once.
        ("norm of wide rows", |x, w| apply2(x, w, NORM), [&[5, 700], &[700]]),
        ("norm of wider rows", |x, w| apply2(x, w, NORM), [&[3, 2056], &[2056]]),
        ("norm of many rows", |x, w| apply2(x, w, NORM), [&[600, 40], &[40]]),
        ("gated gelu of many", |a, b| apply2(a, b, GatedGelu), [&[9, 130], &[9, 130]]),
        ("gated gelu of many more", |a, b| apply2(a, b, GatedGelu), [&[9, 1360], &[9, 1360]]),
        ("sum of many", |a, b| apply2(a, b, Add), [&[9, 1360], &[9, 1360]]),
        ("attend to 70 keys", attend_to_many, [&[2, 3, 5, 70], &[3, 5, 70]]),
        // In as many packs of 16 bytes for each thread as there are, and in more.
        ("attend to 72 keys", attend_to_many, [&[2, 3, 5, 72], &[3, 5, 72]]),
        ("attend to 200 keys", attend_to_many, [&[2, 2, 3, 200], &[2, 3, 200]]),
        ("attend to 512 keys", attend_to_many, [&[2, 1, 3, 512], &[1, 3, 512]]),
        ("attend to 600 keys", attend_to_many, [&[2, 1, 3, 600], &[1, 3, 600]]),
        ("attend to 1096 keys", attend_to_many, [&[2, 1, 2, 1096], &[1, 2, 1096]]),
        ("attend to 2056 keys", attend_to_many, [&[2, 1, 2, 2056], &[1, 2, 2056]]),
    ]
}

const NORM: RmsNorm = RmsNorm { epsilon: 1e-6 };

/// Of two rows, one of which has padding for almost half of its keys.
fn attend_to_many(scores: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let keys = scores.dim(3)?;
    let lengths = Some(Arc::new(Lengths::new(vec![keys / 2 + 1, keys])));
    apply2(scores, bias, Attend { lengths, causal: false })
}

/// Of two rows with up to four keys.
fn attend(causal: bool) -> Attend {
    Attend { lengths: Some(Arc::new(Lengths::new(vec![4, 2]))), causal }
}

/// Three last queries of four keys, with the bias of a table.
fn attend_causally(scores: &Tensor, table: &Tensor) -> Result<Tensor> {
    let buckets = (0..6).map(|distance| distance * 7 % 6).collect();
    let bias = PositionBias { queries: 3, keys: 4, buckets, hidden_from: Some(4) };
    apply2(scores, &bias.of(table)?, attend(true))
}

/// Main memory, with these numbers.
fn host(precision: DType) -> Placement {
    Placement { precision, ..Placement::host() }
}

/// Where the fused forms do not compute, with how near the results come to theirs.
///
/// bf16 has 8 bits; each operation rounds its arguments, result and gradients to them.
fn other_places() -> Vec<(Placement, f64)> {
    let on_gpu = [(Precision::F32, 1e-5), (Precision::Bf16, 4e-2)]
        .map(|(precision, tolerance)| testing::gpu(precision).map(|place| (place, tolerance)));
    let in_memory = [(host(DType::F64), 1e-5), (host(DType::BF16), 4e-2)];
    in_memory.into_iter().chain(on_gpu.into_iter().flatten()).collect()
}

/// Numbers without a pattern.
fn numbers(shape: &[usize], place: &Placement) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|n| (n * 37 % 23) as f32 / 11.0 - 1.0).collect();
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor");
    place.put(&tensor).expect("put there")
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).expect("a tensor");
    let flat = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1());
    flat.expect("values")
}

/// The result and the gradients of the arguments that are trained, which are variables.
fn way(
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
    shapes: &[&[usize]],
    trained: &[bool],
    place: &Placement,
) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let argument = |(shape, trained): (&&[usize], &bool)| match numbers(shape, place) {
        values if *trained => Var::from_tensor(&values).expect("a variable").into_inner(),
        values => values,
    };
    let arguments: Vec<Tensor> = shapes.iter().zip(trained).map(argument).collect();
    let result = op(&arguments).expect("a result");
    let store = result.sqr().and_then(|y| y.sum_all()?.backward()).expect("gradients");
    let gradient = |argument: &Tensor| store.get(argument).map(values);
    (values(&result), arguments.iter().map(gradient).collect())
}

fn assert_near(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0_f64, |largest, x| largest.max(x.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        let off = (found - wanted).abs();
        assert!(off <= tolerance * largest, "{what}: {found}, not {wanted} (of {largest})");
    }
}

#[test]
fn only_what_is_trained_gets_a_gradient_and_it_does_not_depend_on_the_other() {
    let places = other_places().into_iter().map(|(place, _)| place);
    for place in places.chain([host(DType::F32)]) {
        let dtype = place.precision;
        for (name, op, shapes) in operations() {
            let of =
                |trained: [bool; 2]| way(|all| op(&all[0], &all[1]), &shapes, &trained, &place).1;
            let both = of([true, true]);
            assert!(both.iter().all(Option::is_some), "{name} in {dtype:?}");
            assert_eq!(of([true, false]), [both[0].clone(), None], "{name} in {dtype:?}");
            assert_eq!(of([false, true]), [None, both[1].clone()], "{name} in {dtype:?}");
        }
    }
}

#[test]
fn operations_are_the_fused_ones_everywhere() {
    for (place, tolerance) in other_places() {
        for (name, op, shapes) in operations() {
            let run =
                |place: &Placement| way(|all| op(&all[0], &all[1]), &shapes, &[true, true], place);
            let ((fused, wanted), (other, found)) = (run(&host(DType::F32)), run(&place));
            let name = format!("{name} in {:?} on {:?}", place.precision, place.device);
            assert_near(&name, &other, &fused, tolerance);
            for (found, wanted) in found.into_iter().zip(wanted) {
                let (found, wanted) = (found.expect("of both"), wanted.expect("of both"));
                assert_near(&format!("gradient of {name}"), &found, &wanted, tolerance);
            }
        }
    }
}

#[test]
fn operations_of_one_argument_are_the_fused_ones_everywhere() {
    let attend = |all: &[Tensor]| apply1(&all[0], attend(false));
    let bias = |queries, keys| {
        move |all: &[Tensor]| {
            let buckets = (0..queries + keys - 1).map(|distance| distance * 7 % 6).collect();
            PositionBias { queries, keys, buckets, hidden_from: None }.of(&all[0])
        }
    };
    let check = |name: &str, op: &dyn Fn(&[Tensor]) -> Result<Tensor>, shape: &[usize]| {
        let run = |place: &Placement| way(op, &[shape], &[true], place);
        let (fused, wanted) = run(&host(DType::F32));
        for (place, tolerance) in other_places() {
            let (other, found) = run(&place);
            assert_near(name, &other, &fused, tolerance);
            let (found, wanted) = (found[0].as_ref(), wanted[0].as_ref());
            assert_near(name, found.expect("a gradient"), wanted.expect("a gradient"), tolerance);
        }
    };
    check("attend", &attend, &[2, 2, 3, 4]);
    let swap = |all: &[Tensor]| swap_middle(&all[0])?.contiguous();
    for width in [5, 64] {
        check("swap", &swap, &[2, 3, 7, width]);
    }
    for (queries, keys) in [(1, 5), (2, 1), (4, 4), (3, 7)] {
        check("position bias", &bias(queries, keys), &[6, 2]);
    }
}

#[test]
fn dropout_drops_the_same_everywhere() {
    // Of several blocks of random numbers, the last of which is not whole.
    for (shape, rate) in [([40, 50], 0.3), ([7, 33], 0.3), ([3, 5], 0.0001), ([64, 64], 0.9)] {
        let drop = |all: &[Tensor]| apply1(&all[0], Dropout { rate, seed: 5, stream: 1 << 40 | 9 });
        let (wanted, wanted_gradient) = way(drop, &[&shape], &[true], &host(DType::F32));
        for (place, tolerance) in other_places() {
            let (found, found_gradient) = way(drop, &[&shape], &[true], &place);
            assert_near("dropout", &found, &wanted, tolerance);
            let same = found.iter().zip(&wanted).all(|(a, b)| (*a == 0.0) == (*b == 0.0));
            assert!(same, "another mask in {:?} on {:?}", place.precision, place.device);
            let (found, wanted) = (found_gradient[0].as_ref(), wanted_gradient[0].as_ref());
            assert_near("gradient", found.expect("one"), wanted.expect("one"), tolerance);
        }
    }
}

#[test]
fn the_result_of_a_composed_operation_is_whole_where_a_graph_has_it() {
    let x = Var::from_tensor(&numbers(&[2, 2, 3, 4], &host(DType::F64))).expect("a variable");
    let bias = numbers(&[2, 3, 4], &host(DType::F64));
    let probs = apply2(x.as_tensor(), &bias, attend(false)).expect("probabilities");
    let sums = values(&probs.sum(3).expect("sums"));
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12), "{sums:?}");
}

#[test]
fn a_product_takes_matrices_that_are_parts_of_others() {
    let (a, b) = (numbers(&[2, 3, 6], &host(DType::F64)), numbers(&[2, 8, 5], &host(DType::F64)));
    let (a, b) = (a.narrow(2, 1, 4).expect("a part"), b.narrow(1, 2, 4).expect("a part"));
    let found = product(&a, &b).expect("a product");
    let wanted = a.contiguous().and_then(|a| a.matmul(&b.contiguous()?)).expect("a product");
    assert_eq!(values(&found), values(&wanted));
}

#[test]
fn the_likeliest_ids_are_those_of_main_memory() {
    let Some(place) = testing::gpu(Precision::F32) else { return };
    let width = 1000;
    let row = |set: &[(usize, f32)]| {
        let mut row: Vec<f32> = (0..width).map(|n| (n * 37 % 101) as f32 / 128.0).collect();
        for &(at, value) in set {
            row[at] = value;
        }
        row
    };
    // Equal ones in one thread and in two; what is no number first, last and between.
    let rows = [
        row(&[(3, 2.0), (259, 2.0)]),
        row(&[(259, 2.0), (4, 2.0)]),
        row(&[(999, 3.0)]),
        row(&[(0, f32::NAN)]),
        row(&[(999, f32::INFINITY), (3, 4.0)]),
        row(&[(500, f32::NEG_INFINITY)]),
        vec![-5.0; width],
    ];
    let wanted: Vec<_> = rows.iter().map(|row| kernels::largest(row)).collect();
    assert_eq!((wanted[0], wanted[1], wanted[3], wanted[6]), (Some(3), Some(4), None, Some(0)));
    let logits = Tensor::from_vec(rows.concat(), (rows.len(), width), &place.device);
    let logits = logits.expect("a tensor");
    assert_eq!(gpu_kernels::largest(&logits).expect("positions"), wanted);
    let rounded = logits.to_dtype(DType::BF16).expect("bf16");
    assert_eq!(gpu_kernels::largest(&rounded).expect("positions")[..4], wanted[..4]);
}
