//! What threads do together: barriers, shuffles and votes.

use super::decoder::{Decoded, Decoder, Refused};
use super::operand::Operand;
use super::operation::{Exchange, Op, Reduce, Slot};
use super::scalar::Scalar;

pub(super) fn op(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let is_of_warp = it.has("warp");
    match it.name {
        "activemask" => {
            it.kind()?;
            let to = it.to(0)?;
            it.done(Op::ActiveMask { to })
        }
        "shfl" => shuffle(it),
        "vote" => vote(it),
        "bar" if is_of_warp => warp_barrier(it),
        "bar" | "barrier" => barrier(it),
        _ => reduce_warp(it),
    }
}

fn warp_barrier(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let (mask, spare) = (it.from(0, Scalar::U32)?, it.spare());
    let (what, kind) = (Exchange::Wait, Scalar::U32);
    it.done(Op::Exchange { what, kind, to: spare, valid: spare, from: [mask; 3], mask })
}

fn barrier(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.ignore(|modifier| matches!(modifier, "cta" | "aligned"));
    if it.has("red") {
        return reducing_barrier(it);
    }
    if !it.has("sync") {
        return Err(Refused::Unknown);
    }
    let threads = if it.count() > 1 { Some(it.from(1, Scalar::U32)?) } else { None };
    let (id, spare) = (it.from(0, Scalar::U32)?, it.spare());
    it.done(Op::Barrier { id, threads, reduce: None, to: spare, predicate: spare })
}

fn reducing_barrier(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let reduce = it.one(|modifier| match modifier {
        "popc" => Some(Reduce::Count),
        "and" => Some(Reduce::All),
        "or" => Some(Reduce::Any),
        _ => None,
    });
    it.kind()?;
    let reduce = Some(reduce.ok_or(Refused::Unknown)?);
    let (to, id, last) = (it.to(0)?, it.from(1, Scalar::U32)?, it.count() - 1);
    let threads = if last > 2 { Some(it.from(2, Scalar::U32)?) } else { None };
    let predicate = it.from(last, Scalar::Pred)?;
    it.done(Op::Barrier { id, threads, reduce, to, predicate })
}

fn shuffle(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let what = it.one(|modifier| {
        Some(match modifier {
            "up" => Exchange::ShuffleUp,
            "down" => Exchange::ShuffleDown,
            "bfly" => Exchange::ShuffleXor,
            "idx" => Exchange::ShuffleIndex,
            _ => return None,
        })
    });
    let (what, kind) = (what.ok_or(Refused::Unknown)?, it.kind()?);
    let (to, valid) = it.two_results(0)?;
    let from = [it.from(1, kind)?, it.from(2, Scalar::U32)?, it.from(3, Scalar::U32)?];
    let mask = mask(it, 4)?;
    it.done(Op::Exchange { what, kind, to, valid, from, mask })
}

/// The mask at the end; without one, as before `.sync`, all lanes.
fn mask(it: &mut Decoder<'_, '_>, at: usize) -> Decoded<Slot> {
    if it.count() > at { it.from(at, Scalar::U32) } else { Ok(it.given(u64::from(u32::MAX))) }
}

fn vote(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let what = it.one(|modifier| {
        Some(match modifier {
            "all" => Exchange::VoteAll,
            "any" => Exchange::VoteAny,
            "uni" => Exchange::VoteUniform,
            "ballot" => Exchange::Ballot,
            _ => return None,
        })
    });
    it.kind()?;
    let (to, predicate, mask, valid) =
        (it.to(0)?, it.from(1, Scalar::Pred)?, mask(it, 2)?, it.spare());
    let (what, kind) = (what.ok_or(Refused::Unknown)?, Scalar::Pred);
    it.done(Op::Exchange { what, kind, to, valid, from: [predicate; 3], mask })
}

/// `redux` and `match.any`.
fn reduce_warp(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let name = it.name;
    let what = it.one(|modifier| {
        Some(match (name, modifier) {
            ("match", "any") => Exchange::MatchAny,
            ("redux", "add") => Exchange::ReduceAdd,
            ("redux", "min") => Exchange::ReduceMin,
            ("redux", "max") => Exchange::ReduceMax,
            ("redux", "and") => Exchange::ReduceAnd,
            ("redux", "or") => Exchange::ReduceOr,
            ("redux", "xor") => Exchange::ReduceXor,
            _ => return None,
        })
    });
    let (what, kind) = (what.ok_or(Refused::Unknown)?, it.kind()?);
    if kind.is_float() || matches!(it.operand(0)?, Operand::Two(..)) {
        return Err(Refused::Unknown);
    }
    let (to, from, mask, valid) = (it.to(0)?, it.from(1, kind)?, mask(it, 2)?, it.spare());
    it.done(Op::Exchange { what, kind, to, valid, from: [from; 3], mask })
}
