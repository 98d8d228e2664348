//! What the lanes of a warp give each other: shuffles and votes.

use super::launch::Fault;
use super::threads::{State, Thread};
use crate::ptx::operation::{Exchange, Slot};
use crate::ptx::scalar::Scalar;

/// Lanes of a warp.
pub(super) const LANES: usize = 32;

/// What a lane brings to an exchange, and where it wants the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) what: Exchange,
    pub(super) kind: Scalar,
    pub(super) to: Slot,
    /// Takes whether a shuffle's lane was in range.
    pub(super) valid: Slot,
    /// The value, and for a shuffle the lane or distance and the segments.
    pub(super) from: [u64; 3],
    /// The lanes that take part.
    pub(super) mask: u32,
}

/// Lets the lanes go on whose partners are all there; false where there are none.
///
/// # Errors
///
/// `Failed`: a lane is not in its own mask.
pub(super) fn settle(warp: &mut [Thread]) -> Result<bool, Fault> {
    let mut offers = [None; LANES];
    let mut alive = 0_u32;
    for (lane, thread) in warp.iter().enumerate() {
        if let State::Exchanges(offer) = thread.state {
            if offer.mask >> lane & 1 == 0 {
                return Err(Fault::Failed(format!("lane {lane} is not in its mask")));
            }
            offers[lane] = Some(offer);
        }
        alive |= u32::from(thread.state != State::Ended) << lane;
    }
    let mut has_settled = false;
    for lane in 0..warp.len() {
        let Some(offer) = offers[lane] else { continue };
        let members = offer.mask & alive;
        let is_partner = |at: usize| {
            offers[at].is_some_and(|it: Offer| it.what == offer.what && it.mask == offer.mask)
        };
        if !lanes(members).all(is_partner) {
            continue;
        }
        for at in lanes(members) {
            if let Some(own) = offers[at] {
                give(&mut warp[at], at, own, members, &offers);
            }
        }
        // They are done.
        lanes(members).for_each(|at| offers[at] = None);
        has_settled = true;
    }
    Ok(has_settled)
}

fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |lane| mask >> lane & 1 == 1)
}

fn give(
    thread: &mut Thread,
    lane: usize,
    own: Offer,
    members: u32,
    offers: &[Option<Offer>; LANES],
) {
    let value = |lane: usize| offers[lane].map(|offer| offer.kind.extend(offer.from[0]));
    let agree = |wanted: u64| lanes(members).all(|lane| value(lane) == Some(wanted));
    let result = match own.what {
        Exchange::Wait => None,
        Exchange::ShuffleUp
        | Exchange::ShuffleDown
        | Exchange::ShuffleXor
        | Exchange::ShuffleIndex => {
            let (from, is_valid) = source(lane as u64, &own);
            thread.set(own.valid, u64::from(is_valid));
            // From a lane that takes no part there is no value: here the lane's own.
            let from = if members >> from & 1 == 1 { from } else { lane };
            value(from)
        }
        Exchange::VoteAll => Some(u64::from(agree(1))),
        Exchange::VoteAny => Some(u64::from(!agree(0))),
        Exchange::Ballot => {
            let voted = lanes(members).filter(|&lane| value(lane) == Some(1));
            Some(voted.map(|lane| 1 << lane).sum())
        }
    };
    if let Some(result) = result {
        thread.set(own.to, result);
    }
    thread.state = State::Ready;
}

/// The lane that a shuffle reads from, and whether it is in range.
fn source(lane: u64, own: &Offer) -> (usize, bool) {
    let (by, clamp) = (own.from[1] & 31, own.from[2] & 31);
    let segment = own.from[2] >> 8 & 31;
    let (least, most) = (lane & segment, lane & segment | clamp & !segment);
    let (from, is_valid) = match own.what {
        Exchange::ShuffleUp => {
            let from = lane.wrapping_sub(by);
            (from, from as i64 >= most as i64)
        }
        Exchange::ShuffleDown => (lane + by, lane + by <= most),
        Exchange::ShuffleXor => (lane ^ by, lane ^ by <= most),
        _ => {
            let from = least | by & !segment;
            (from, from <= most)
        }
    };
    ((if is_valid { from } else { lane }) as usize & 31, is_valid)
}
