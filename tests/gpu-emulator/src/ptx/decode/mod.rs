//! From a statement to an instruction; here: moves, jumps, and who decodes what else there is.

mod call;
mod decoder;
mod float;
mod integer;
mod memory;
mod operand;
mod warp;

pub(super) use self::decoder::Refused;
use self::decoder::{Decoded, Decoder};
use self::operand::Operand;
use super::operation::Op;
use super::scalar::Scalar;
use super::scope::Scope;
use super::tokens::Token;

/// The instruction of a statement without its guard, and what has to be done before it without one.
/// Branches are not among them: they need the function's labels.
pub(super) fn statement(
    opcode: &str,
    operands: &[Token<'_>],
    scope: &mut Scope,
) -> (Vec<Op>, Result<Op, Refused>) {
    if opcode.split('.').next() == Some("call") {
        return (Vec::new(), call::decode(operands, scope));
    }
    let Ok(operands) = operand::operands(operands) else {
        return (Vec::new(), Err(Refused::Unknown));
    };
    let mut decoder = Decoder::new(scope, opcode, operands);
    let op = op(&mut decoder);
    (decoder.before, op)
}

fn op(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    match it.name {
        "mov" => mov(it),
        "ret" => plain(it, Op::Return),
        "exit" => it.done(Op::Exit),
        "trap" => it.done(Op::Trap),
        "membar" | "fence" | "nanosleep" | "prefetch" | "prefetchu" | "brkpt" => Ok(Op::Nothing),
        "selp" => select(it),
        "setp" => float::compare(it),
        "set" => float::set(it),
        "cvt" => float::convert(it),
        "ld" | "ldu" => memory::load(it),
        "st" => memory::store(it),
        "atom" | "red" => memory::atomic(it),
        "cvta" => memory::generic(it),
        "shfl" => warp::shuffle(it),
        "vote" => warp::vote(it),
        "bar" | "barrier" => warp::barrier(it),
        "shf" => integer::funnel(it),
        _ => arithmetic(it),
    }
}

/// What computes a number of its operands: the type tells whether they are integers.
fn arithmetic(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let kind = it.kind()?;
    if kind.is_float() { float::arithmetic(it, kind) } else { integer::arithmetic(it, kind) }
}

fn plain(it: &mut Decoder<'_, '_>, op: Op) -> Decoded<Op> {
    it.has("uni");
    it.done(op)
}

fn mov(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let kind = it.kind()?;
    let op = match (it.operand(0)?, it.operand(1)?) {
        (Operand::Vector(parts), _) => {
            let (bits, count) = lanes(kind, parts.len())?;
            let mut to = [0; 4];
            for (slot, part) in to.iter_mut().zip(&parts) {
                *slot = it.result(part)?.0;
            }
            Op::Unpack { bits, count, to, from: it.from(1, kind)? }
        }
        (_, Operand::Vector(parts)) => {
            let (bits, count) = lanes(kind, parts.len())?;
            let part_kind = if bits == 16 { Scalar::U16 } else { Scalar::U32 };
            let mut from = [0; 4];
            for (slot, part) in from.iter_mut().zip(&parts) {
                *slot = it.value(part, part_kind)?;
            }
            Op::Pack { bits, count, to: it.to(0)?, from }
        }
        _ => Op::Move { to: it.to(0)?, from: it.from(1, kind)? },
    };
    it.done(op)
}

/// Bits and number of the parts of a register.
fn lanes(kind: Scalar, count: usize) -> Decoded<(u8, u8)> {
    match (kind.bits(), count) {
        (bits @ (16 | 32 | 64), 2 | 4) if bits as usize / count >= 8 => {
            Ok(((bits as usize / count) as u8, count as u8))
        }
        _ => Err(Refused::Unknown),
    }
}

fn select(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let kind = it.kind()?;
    let (to, from) = (it.to(0)?, [it.from(1, kind)?, it.from(2, kind)?]);
    let predicate = it.from(3, Scalar::Pred)?;
    it.done(Op::Select { kind, to, from, predicate })
}
