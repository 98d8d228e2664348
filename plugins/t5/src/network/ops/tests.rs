//! The two forms of every operation against each other.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};

use super::{Add, GatedGelu, Linear, RmsNorm, Scale, apply1, apply2, product};
use crate::network::Lengths;
use crate::network::attention::{Attend, PositionBias};
use crate::network::dropout::{Dropout, Masked};

type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// Every operation of two arguments with the shapes of these.
fn operations() -> [(&'static str, Op, [&'static [usize]; 2]); 8] {
    [
        ("linear", |x, w| apply2(x, w, Linear), [&[3, 4], &[5, 4]]),
        ("scale", |x, v| apply2(x, v, Scale), [&[3, 4], &[4]]),
        ("scale by a column", |x, v| apply2(x, v, Scale), [&[3, 4], &[4, 1]]),
        ("add", |x, y| apply2(x, y, Add), [&[3, 4], &[3, 4]]),
        ("norm", |x, w| apply2(x, w, RmsNorm { epsilon: 1e-6 }), [&[3, 4], &[4]]),
        ("gated gelu", |a, b| apply2(a, b, GatedGelu), [&[3, 4], &[3, 4]]),
        ("attend", |x, b| apply2(x, b, attend(false)), [&[2, 2, 3, 4], &[2, 3, 4]]),
        ("attend causally", attend_causally, [&[2, 2, 3, 4], &[6, 2]]),
    ]
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

/// Numbers without a pattern.
fn numbers(shape: &[usize], dtype: DType) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|n| (n * 37 % 23) as f32 / 11.0 - 1.0).collect();
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor");
    tensor.to_dtype(dtype).expect("a type")
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1());
    flat.expect("values")
}

/// The result and the gradients of the arguments that are trained, which are variables.
fn way(
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
    shapes: &[&[usize]],
    trained: &[bool],
    dtype: DType,
) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let argument = |(shape, trained): (&&[usize], &bool)| match numbers(shape, dtype) {
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
    for dtype in [DType::F32, DType::F64] {
        for (name, op, shapes) in operations() {
            let of =
                |trained: [bool; 2]| way(|all| op(&all[0], &all[1]), &shapes, &trained, dtype).1;
            let both = of([true, true]);
            assert!(both.iter().all(Option::is_some), "{name} in {dtype:?}");
            assert_eq!(of([true, false]), [both[0].clone(), None], "{name} in {dtype:?}");
            assert_eq!(of([false, true]), [None, both[1].clone()], "{name} in {dtype:?}");
        }
    }
}

#[test]
fn composed_operations_are_the_fused_ones() {
    // bf16 has 8 bits; each operation rounds its arguments, result and gradients to them.
    for (dtype, tolerance) in [(DType::F64, 1e-5), (DType::BF16, 4e-2)] {
        for (name, op, shapes) in operations() {
            let run = |dtype| way(|all| op(&all[0], &all[1]), &shapes, &[true, true], dtype);
            let ((fused, wanted), (composed, found)) = (run(DType::F32), run(dtype));
            assert_near(name, &composed, &fused, tolerance);
            for (found, wanted) in found.into_iter().zip(wanted) {
                let (found, wanted) = (found.expect("of both"), wanted.expect("of both"));
                assert_near(&format!("gradient of {name}"), &found, &wanted, tolerance);
            }
        }
    }
}

#[test]
fn composed_operations_of_one_argument_are_the_fused_ones() {
    let attend = |all: &[Tensor]| apply1(&all[0], attend(false));
    let bias = |queries, keys| {
        move |all: &[Tensor]| {
            let buckets = (0..queries + keys - 1).map(|distance| distance * 7 % 6).collect();
            PositionBias { queries, keys, buckets, hidden_from: None }.of(&all[0])
        }
    };
    let check = |name: &str, op: &dyn Fn(&[Tensor]) -> Result<Tensor>, shape: &[usize]| {
        let run = |dtype| way(op, &[shape], &[true], dtype);
        let ((fused, wanted), (composed, found)) = (run(DType::F32), run(DType::F64));
        assert_near(name, &composed, &fused, 1e-5);
        let (found, wanted) = (found[0].as_ref(), wanted[0].as_ref());
        assert_near(name, found.expect("a gradient"), wanted.expect("a gradient"), 1e-5);
    };
    check("attend", &attend, &[2, 2, 3, 4]);
    for (queries, keys) in [(1, 5), (2, 1), (4, 4), (3, 7)] {
        check("position bias", &bias(queries, keys), &[6, 2]);
    }
}

#[test]
fn dropout_drops_the_same_in_both_forms() {
    let (rate, seed, stream) = (0.3, 5, 9);
    let fused = |all: &[Tensor]| all[0].apply_op1(Dropout { rate, seed, stream });
    let composed = |all: &[Tensor]| {
        let mask = Dropout { rate, seed, stream }.mask(&all[0])?;
        apply1(&all[0], Masked { rate, mask })
    };
    let (wanted, wanted_gradient) = way(fused, &[&[40, 50]], &[true], DType::F32);
    let (found, found_gradient) = way(composed, &[&[40, 50]], &[true], DType::F64);
    assert_near("dropout", &found, &wanted, 1e-6);
    let (found, wanted) = (found_gradient[0].as_ref(), wanted_gradient[0].as_ref());
    assert_near("gradient", found.expect("one"), wanted.expect("one"), 1e-6);
}

#[test]
fn the_result_of_a_composed_operation_is_whole_where_a_graph_has_it() {
    let x = Var::from_tensor(&numbers(&[2, 2, 3, 4], DType::F64)).expect("a variable");
    let bias = numbers(&[2, 3, 4], DType::F64);
    let probs = apply2(x.as_tensor(), &bias, attend(false)).expect("probabilities");
    let sums = values(&probs.sum(3).expect("sums"));
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12), "{sums:?}");
}

#[test]
fn a_product_takes_matrices_that_are_parts_of_others() {
    let (a, b) = (numbers(&[2, 3, 6], DType::F64), numbers(&[2, 8, 5], DType::F64));
    let (a, b) = (a.narrow(2, 1, 4).expect("a part"), b.narrow(1, 2, 4).expect("a part"));
    let found = product(&a, &b).expect("a product");
    let wanted = a.contiguous().and_then(|a| a.matmul(&b.contiguous()?)).expect("a product");
    assert_eq!(values(&found), values(&wanted));
}
