//! What threads do together: barriers, shuffles and votes.

use super::decoder::{Decoded, Decoder, Refused};
use crate::ptx::operation::{Exchange, Op, Slot};
use crate::ptx::scalar::Scalar;

fn warp_barrier(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let (mask, spare) = (it.from(0, Scalar::U32)?, it.spare());
    let (what, kind) = (Exchange::Wait, Scalar::U32);
    it.done(Op::Exchange { what, kind, to: spare, valid: spare, from: [mask; 3], mask })
}

pub(super) fn barrier(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    if it.has("warp") {
        return warp_barrier(it);
    }
    it.ignore(|modifier| matches!(modifier, "cta" | "aligned"));
    // Of only some of the block's threads, or joining predicates.
    if !it.has("sync") || it.count() > 1 {
        return Err(Refused::Unknown);
    }
    let id = it.from(0, Scalar::U32)?;
    it.done(Op::Barrier { id })
}

pub(super) fn shuffle(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
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

pub(super) fn vote(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("sync");
    let what = it.one(|modifier| {
        Some(match modifier {
            "all" => Exchange::VoteAll,
            "any" => Exchange::VoteAny,
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
