//! Comparisons.

use std::cmp::Ordering;

use super::float::{decode, flushed};
use crate::ptx::operation::{Combine, Relation, Test};
use crate::ptx::scalar::{Scalar, low_bits};

/// The comparison and its opposite, each combined with another predicate as the test says.
pub(super) fn test(test: Test, [a, b]: [u64; 2], also: bool) -> (bool, bool) {
    let order = if test.flush {
        order(test.kind, flushed(a, test.kind), flushed(b, test.kind))
    } else {
        order(test.kind, a, b)
    };
    let holds = holds(test.relation, order);
    match test.combine {
        Combine::Alone => (holds, !holds),
        Combine::And => (holds && also, !holds && also),
        Combine::Or => (holds || also, !holds || also),
        Combine::Xor => (holds ^ also, !holds ^ also),
    }
}

/// 1.0 or all ones of a type where the comparison holds, else 0.
pub(super) fn set(it: Test, into: Scalar, from: [u64; 2], also: bool) -> u64 {
    let value = match into {
        Scalar::F32 => 0x3f80_0000,
        Scalar::F16 => 0x3c00,
        Scalar::Bf16 => 0x3f80,
        _ => low_bits(u64::MAX, into.bits()),
    };
    if test(it, from, also).0 { value } else { 0 }
}

/// `None` where a number is not one.
fn order(kind: Scalar, a: u64, b: u64) -> Option<Ordering> {
    if kind.is_float() {
        decode(kind, a).partial_cmp(&decode(kind, b))
    } else if kind.is_signed() {
        Some((kind.extend(a) as i64).cmp(&(kind.extend(b) as i64)))
    } else {
        Some(kind.extend(a).cmp(&kind.extend(b)))
    }
}

fn holds(relation: Relation, order: Option<Ordering>) -> bool {
    match relation {
        Relation::Eq => order == Some(Ordering::Equal),
        Relation::Ne => order.is_some_and(Ordering::is_ne),
        Relation::Lt => order == Some(Ordering::Less),
        Relation::Le => order.is_some_and(Ordering::is_le),
        Relation::Gt => order == Some(Ordering::Greater),
        Relation::Ge => order.is_some_and(Ordering::is_ge),
        Relation::Equ => order.is_none_or(Ordering::is_eq),
        Relation::Neu => order.is_none_or(Ordering::is_ne),
        Relation::Ltu => order.is_none_or(Ordering::is_lt),
        Relation::Leu => order.is_none_or(Ordering::is_le),
        Relation::Gtu => order.is_none_or(Ordering::is_gt),
        Relation::Geu => order.is_none_or(Ordering::is_ge),
        Relation::Num => order.is_some(),
        Relation::Nan => order.is_none(),
    }
}
