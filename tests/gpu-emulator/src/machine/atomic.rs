//! What an atomic operation writes.

use super::{float, integer};
use crate::ptx::operation::{Atomic, Float, Integer, Style};
use crate::ptx::scalar::Scalar;

/// The new value in memory; `b` is the second operand of a comparison and exchange.
pub(super) fn new_value(what: Atomic, kind: Scalar, old: u64, [a, b]: [u64; 2]) -> u64 {
    let whole = |what| integer::compute(what, kind, [old, a, 0, 0]);
    let [old, a] = [kind.extend(old), kind.extend(a)];
    match what {
        Atomic::Exchange => a,
        Atomic::CompareExchange if old == a => b,
        Atomic::CompareExchange => old,
        Atomic::Add if kind.is_float() => number(Float::Add, kind, old, a),
        Atomic::Min if kind.is_float() => number(Float::Min { nan: false }, kind, old, a),
        Atomic::Max if kind.is_float() => number(Float::Max { nan: false }, kind, old, a),
        Atomic::Add => whole(Integer::Add),
        Atomic::Min => whole(Integer::Min),
        Atomic::Max => whole(Integer::Max),
        Atomic::And => whole(Integer::And),
        Atomic::Or => whole(Integer::Or),
        Atomic::Xor => whole(Integer::Xor),
        Atomic::Increment if old >= a => 0,
        Atomic::Increment => old + 1,
        Atomic::Decrement if old == 0 || old > a => a,
        Atomic::Decrement => old - 1,
    }
}

fn number(what: Float, kind: Scalar, old: u64, a: u64) -> u64 {
    float::compute(what, Style::default(), kind, [old, a, 0])
}
