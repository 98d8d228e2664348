//! The threads of a block, in turns: each runs until it waits for others or has ended.

use super::FRESH;
use super::exchange::{self, LANES};
use super::launch::Fault;
use super::space::Spaces;
use super::threads::{Block, State, Thread};
use crate::ptx::Kernel;

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
    spaces.shared.fill(FRESH);
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
        if !goes_on && !open_barrier(threads) {
            let what = "the threads wait for each other, and none can go on";
            return Err(Fault::Failed(what.to_owned()));
        }
    }
}

/// Opens the barrier that all threads have reached that have not ended; false where there is none.
fn open_barrier(threads: &mut [Thread]) -> bool {
    let mut waiting = threads.iter().filter(|thread| thread.state != State::Ended);
    let Some(State::AtBarrier(first)) = waiting.next().map(|thread| thread.state) else {
        return false;
    };
    if !waiting.all(|thread| thread.state == State::AtBarrier(first)) {
        return false;
    }
    for thread in threads.iter_mut().filter(|thread| thread.state != State::Ended) {
        thread.state = State::Ready;
    }
    true
}
