//! Floating-point numbers, comparisons and conversions.

use super::decoder::{Decoded, Decoder, Refused};
use super::operand::Operand;
use crate::ptx::operation::{
    Combine, Conversion, Float, Op, Relation, Rounding, Slot, Style, Test,
};
use crate::ptx::scalar::Scalar;

pub(super) fn arithmetic(it: &mut Decoder<'_, '_>, kind: Scalar) -> Decoded<Op> {
    let nan = it.has("NaN");
    let what = match it.name {
        "add" => Float::Add,
        "sub" => Float::Sub,
        "mul" => Float::Mul,
        "fma" | "mad" => Float::Fma,
        "div" => Float::Div,
        "rcp" => Float::Reciprocal,
        "sqrt" => Float::Sqrt,
        "rsqrt" => Float::ReciprocalSqrt,
        "sin" => Float::Sin,
        "cos" => Float::Cos,
        "ex2" => Float::Exp2,
        "lg2" => Float::Log2,
        "tanh" => Float::Tanh,
        "neg" => Float::Neg,
        "abs" => Float::Abs,
        "copysign" => Float::CopySign,
        "min" => Float::Min { nan },
        "max" => Float::Max { nan },
        _ => return Err(Refused::Unknown),
    };
    let style = it.style();
    let (to, from) = (it.to(0)?, it.all(1, kind)?);
    it.done(Op::Float { what, style, kind, to, from })
}

pub(super) fn compare(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let (relation, combine, flush) = test(it)?;
    let kind = it.kind()?;
    let (to, otherwise) = it.two_results(0)?;
    let from = [it.from(1, kind)?, it.from(2, kind)?];
    let also = other_predicate(it, combine)?;
    let test = Test { relation, kind, flush, combine };
    // Two predicates, of the pair's two numbers.
    if kind.is_pair() {
        return Err(Refused::Unknown);
    }
    it.done(Op::Compare { test, to, otherwise, from, also })
}

pub(super) fn set(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let (relation, combine, flush) = test(it)?;
    let (into, kind) = (it.kind()?, it.kind()?);
    let to = it.to(0)?;
    let from = [it.from(1, kind)?, it.from(2, kind)?];
    let also = other_predicate(it, combine)?;
    let test = Test { relation, kind, flush, combine };
    if kind.is_pair() || into.is_pair() {
        return Err(Refused::Unknown);
    }
    it.done(Op::Set { test, into, to, from, also })
}

fn other_predicate(it: &mut Decoder<'_, '_>, combine: Combine) -> Decoded<Slot> {
    if combine == Combine::Alone { Ok(it.given(0)) } else { it.from(3, Scalar::Pred) }
}

fn test(it: &mut Decoder<'_, '_>) -> Decoded<(Relation, Combine, bool)> {
    let relation = it.one(relation).ok_or(Refused::Unknown)?;
    let combine = it.one(|modifier| match modifier {
        "and" => Some(Combine::And),
        "or" => Some(Combine::Or),
        "xor" => Some(Combine::Xor),
        _ => None,
    });
    Ok((relation, combine.unwrap_or(Combine::Alone), it.has("ftz")))
}

fn relation(modifier: &str) -> Option<Relation> {
    Some(match modifier {
        "eq" => Relation::Eq,
        "ne" => Relation::Ne,
        "lt" | "lo" => Relation::Lt,
        "le" | "ls" => Relation::Le,
        "gt" | "hi" => Relation::Gt,
        "ge" | "hs" => Relation::Ge,
        "equ" => Relation::Equ,
        "neu" => Relation::Neu,
        "ltu" => Relation::Ltu,
        "leu" => Relation::Leu,
        "gtu" => Relation::Gtu,
        "geu" => Relation::Geu,
        "num" => Relation::Num,
        "nan" => Relation::Nan,
        _ => return None,
    })
}

pub(super) fn convert(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let whole = it.one(|modifier| match modifier {
        "rni" => Some(Rounding::NearestEven),
        "rzi" => Some(Rounding::Zero),
        "rmi" => Some(Rounding::Down),
        "rpi" => Some(Rounding::Up),
        _ => None,
    });
    let style = it.style();
    let style = Style { rounding: whole.unwrap_or(style.rounding), ..style };
    let (into, from_kind) = (it.kind()?, it.kind()?);
    let operand: Operand<'_> = it.operand(0)?;
    let (to, bits) = it.result(&operand)?;
    let from: [Slot; 2] = it.all(1, from_kind)?;
    let two = it.count() == 3;
    if from_kind.is_pair() || into.is_pair() != two {
        return Err(Refused::Unknown);
    }
    let conversion = Conversion { from: from_kind, into, style, integral: whole.is_some(), bits };
    it.done(Op::Convert { conversion, to, from })
}
