//! Loads, stores, atomics and addresses.

use super::decoder::{Decoded, Decoder, Refused};
use super::operand::Operand;
use crate::ptx::operation::{Atomic, Op, Space};

fn space(modifier: &str) -> Option<Space> {
    Some(match modifier {
        // Constants are in memory of the module, as its other variables are.
        "global" | "const" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "local" | "param" | "param::entry" | "param::func" => Space::Local,
        _ => return None,
    })
}

/// Takes what tells of caches and of the order that other threads see: here every access is seen at
/// once.
fn ignore_order(it: &mut Decoder<'_, '_>) {
    let order = ["volatile", "relaxed", "acquire", "release", "acq_rel", "weak", "mmio"];
    let scope = ["cta", "cluster", "gpu", "sys"];
    let cache = ["nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "noftz"];
    it.ignore(|modifier| {
        order.contains(&modifier)
            || scope.contains(&modifier)
            || cache.contains(&modifier)
            || modifier.starts_with("L1::")
            || modifier.starts_with("L2::")
    });
}

fn lanes(it: &mut Decoder<'_, '_>) -> u8 {
    it.one(|modifier| match modifier {
        "v2" => Some(2),
        "v4" => Some(4),
        _ => None,
    })
    .unwrap_or(1)
}

/// The registers of a vector, or the only one.
fn parts<'a>(it: &Decoder<'_, 'a>, at: usize, count: u8) -> Decoded<Vec<Operand<'a>>> {
    let parts = match it.operand(at)? {
        Operand::Vector(parts) => parts,
        single => vec![single],
    };
    if parts.len() == usize::from(count) { Ok(parts) } else { Err(Refused::Unknown) }
}

pub(super) fn load(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    ignore_order(it);
    let space = it.one(space).unwrap_or(Space::Generic);
    let (count, kind) = (lanes(it), it.kind()?);
    let (mut to, mut bits) = ([0; 4], 64);
    for (slot, part) in to.iter_mut().zip(&parts(it, 0, count)?) {
        let (register, bits_of_register) = it.result(part)?;
        (*slot, bits) = (register, bits_of_register.min(bits));
    }
    let address = it.address(1, space)?;
    it.done(Op::Load { kind, count, bits, address, to })
}

pub(super) fn store(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    ignore_order(it);
    let space = it.one(space).unwrap_or(Space::Generic);
    let (count, kind) = (lanes(it), it.kind()?);
    let address = it.address(0, space)?;
    let mut from = [0; 4];
    for (slot, part) in from.iter_mut().zip(&parts(it, 1, count)?) {
        *slot = it.value(part, kind)?;
    }
    it.done(Op::Store { kind, count, address, from })
}

pub(super) fn atomic(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    ignore_order(it);
    let space = it.one(space).unwrap_or(Space::Generic);
    let what = it.one(|modifier| {
        Some(match modifier {
            "add" => Atomic::Add,
            "min" => Atomic::Min,
            "max" => Atomic::Max,
            "and" => Atomic::And,
            "or" => Atomic::Or,
            "xor" => Atomic::Xor,
            "exch" => Atomic::Exchange,
            "cas" => Atomic::CompareExchange,
            "inc" => Atomic::Increment,
            "dec" => Atomic::Decrement,
            _ => return None,
        })
    });
    let (what, kind) = (what.ok_or(Refused::Unknown)?, it.kind()?);
    // `red` is `atom` without a result.
    let first = usize::from(it.name == "atom");
    let to = if first == 1 { it.to(0)? } else { it.spare() };
    let (address, from) = (it.address(first, space)?, it.all(first + 1, kind)?);
    it.done(Op::Atomic { what, kind, address, to, from })
}

/// `cvta`.
pub(super) fn generic(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let back = it.has("to");
    let space = it.one(space).ok_or(Refused::Unknown)?;
    let kind = it.kind()?;
    let (to, from) = (it.to(0)?, it.from(1, kind)?);
    it.done(Op::Generic { space, back, to, from })
}
