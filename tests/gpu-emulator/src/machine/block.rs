//! The threads of a block, in turns: each runs until it waits for others or has ended.

use super::exchange::{self, LANES};
use super::launch::Fault;
use super::space::Spaces;
use super::threads::{Arrival, Block, State, Thread};
use crate::ptx::Kernel;
use crate::ptx::operation::Reduce;

/// Runs a block's threads to their ends, and counts their instructions. `threads` are kept from block to
/// block for their memory.
///
/// # Errors
///
/// What the first thread did wrong, or that none can go on.
pub(super) fn run(
    kernel: &Kernel,
    block: &Block<'_>,
    arguments: &[Vec<u8>],
    spaces: &mut Spaces<'_>,
    threads: &mut Vec<Thread>,
) -> Result<u64, Fault> {
    let [x, y, z] = block.threads;
    let count = x * y * z;
    spaces.shared.fill(0);
    // Where nobody waits, the threads can have the same registers one after the other.
    let kept = if kernel.waits { count } else { 1 };
    threads.resize_with(kept as usize, Thread::default);
    let mut instructions = 0;
    for number in 0..count {
        let thread = &mut threads[(number % kept) as usize];
        thread.start(number, kernel.function, block, arguments)?;
        if !kernel.waits {
            thread.proceed(block, spaces)?;
            instructions += thread.clock;
        }
    }
    if kernel.waits {
        take_turns(threads, block, spaces)?;
        instructions = threads.iter().map(|thread| thread.clock).sum();
    }
    Ok(instructions)
}

fn take_turns(
    threads: &mut [Thread],
    block: &Block<'_>,
    spaces: &mut Spaces<'_>,
) -> Result<(), Fault> {
    loop {
        for thread in &mut *threads {
            thread.proceed(block, spaces)?;
        }
        if threads.iter().all(|thread| thread.state == State::Ended) {
            return Ok(());
        }
        let mut goes_on = false;
        for warp in threads.chunks_mut(LANES) {
            goes_on |= exchange::settle(warp)?;
        }
        if !goes_on && !open_barriers(threads) && !tell_who_is_active(threads) {
            let what = "the threads wait for each other, and none can go on";
            return Err(Fault::Failed(what.to_owned()));
        }
    }
}

fn arrival(thread: &Thread) -> Option<Arrival> {
    if let State::AtBarrier(arrival) = thread.state { Some(arrival) } else { None }
}

/// Opens the barriers that all have reached who have to; false where there are none.
fn open_barriers(threads: &mut [Thread]) -> bool {
    let alive = threads.iter().filter(|thread| thread.state != State::Ended).count() as u64;
    let mut has_opened = false;
    for at in 0..threads.len() {
        let Some(first) = arrival(&threads[at]) else { continue };
        let arrived = threads.iter().filter_map(arrival).filter(|it| it.id == first.id);
        let (count, set) = arrived
            .fold((0_u64, 0_u64), |(count, set), it| (count + 1, set + u64::from(it.predicate)));
        if count < first.threads.unwrap_or(alive).min(alive) {
            continue;
        }
        for thread in &mut *threads {
            let Some(own) = arrival(thread).filter(|it| it.id == first.id) else { continue };
            match own.reduce {
                Some(Reduce::Count) => thread.set(own.to, set),
                Some(Reduce::All) => thread.set(own.to, u64::from(set == count)),
                Some(Reduce::Any) => thread.set(own.to, u64::from(set > 0)),
                None => {}
            }
            thread.state = State::Ready;
        }
        has_opened = true;
    }
    has_opened
}

/// Lanes that have asked at the same instruction learn of each other; false where nobody has asked.
fn tell_who_is_active(threads: &mut [Thread]) -> bool {
    let mut has_told = false;
    for warp in threads.chunks_mut(LANES) {
        for lane in 0..warp.len() {
            let State::AsksWhoIsActive(to) = warp[lane].state else { continue };
            let place = warp[lane].waits_at();
            let asks = |thread: &Thread| {
                thread.state == State::AsksWhoIsActive(to) && thread.waits_at() == place
            };
            let bits = warp.iter().enumerate().map(|(at, thread)| u64::from(asks(thread)) << at);
            let mask: u64 = bits.sum();
            for thread in warp.iter_mut().filter(|thread| asks(thread)) {
                thread.set(to, mask);
                thread.state = State::Ready;
            }
            has_told = true;
        }
    }
    has_told
}
