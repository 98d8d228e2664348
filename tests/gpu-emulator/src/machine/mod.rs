//! Runs a kernel: the blocks one after the other, and a block's threads in turns.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "registers are bits: to narrow them and to read them as signed is what instructions do"
)]

mod atomic;
mod bits;
mod block;
mod compare;
mod convert;
mod exact;
mod exchange;
mod execute;
mod float;
pub(crate) mod half;
mod integer;
pub(crate) mod launch;
mod space;
#[cfg(test)]
mod tests;
mod threads;

use self::launch::{Fault, Launch, Memory, Work};
use self::space::Spaces;
use self::threads::Block;
use crate::ptx::{Kernel, Module};

/// Most threads of a block, and most bytes of its shared memory: what every GPU from 8.0 on has, as
/// the driver says.
const MOST_THREADS: u64 = 1024;
const MOST_SHARED_BYTES: usize = 99 << 10;
/// What memory of a block and of a thread is full of at first: a kernel that reads what it has not
/// written shows it.
const FRESH: u8 = 0xCB;
/// Bytes: where the launch's shared memory begins is a multiple of this.
const SHARED_ALIGN: usize = 128;

/// Runs a kernel of a module to its end, and counts its work.
///
/// `memory` must allow the same addresses until then, and nobody else may write there.
///
/// # Errors
///
/// Why the kernel has ended before, with its name. What it has written until then stays.
pub(crate) fn run(
    module: &Module,
    kernel: &Kernel,
    launch: &Launch<'_>,
    memory: &dyn Memory,
) -> Result<Work, Fault> {
    run_blocks(module, kernel, launch, memory).map_err(|fault| named(fault, kernel))
}

fn run_blocks(
    module: &Module,
    kernel: &Kernel,
    launch: &Launch<'_>,
    memory: &dyn Memory,
) -> Result<Work, Fault> {
    let declared = module.functions[kernel.function].shared_bytes as usize;
    let is_alone = launch.shared_bytes == 0;
    let fixed_bytes = if is_alone { declared } else { declared.next_multiple_of(SHARED_ALIGN) };
    let shared_bytes = fixed_bytes.saturating_add(launch.shared_bytes);
    check(kernel, launch, shared_bytes)?;
    let mut spaces = Spaces::new(memory, &module.globals, shared_bytes);
    let (mut threads, mut instructions) = (Vec::new(), 0);
    let [x, y, z] = launch.grid;
    for at in (0..z).flat_map(|z| (0..y).flat_map(move |y| (0..x).map(move |x| [x, y, z]))) {
        let (grid, dynamic_shared) = (launch.grid, fixed_bytes as u64);
        let block = Block { module, grid, threads: launch.block, at, dynamic_shared };
        instructions += block::run(kernel, &block, launch.arguments, &mut spaces, &mut threads)?;
    }
    Ok(Work { instructions, bytes: spaces.bytes() })
}

fn check(kernel: &Kernel, launch: &Launch<'_>, shared_bytes: usize) -> Result<(), Fault> {
    let threads = launch.block.iter().fold(1_u64, |all, &it| all.saturating_mul(u64::from(it)));
    let fits = |(bytes, it): (&Vec<u8>, &crate::ptx::Parameter)| bytes.len() == it.size;
    let what = if threads == 0 || threads > MOST_THREADS {
        format!("{threads} threads in a block, where 1 to {MOST_THREADS} are possible")
    } else if shared_bytes > MOST_SHARED_BYTES {
        format!("{shared_bytes} bytes of shared memory, where {MOST_SHARED_BYTES} are possible")
    } else if launch.arguments.len() != kernel.parameters.len()
        || !launch.arguments.iter().zip(&kernel.parameters).all(fits)
    {
        "arguments that are not the kernel's parameters".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::Failed(what))
}

fn named(fault: Fault, kernel: &Kernel) -> Fault {
    let of_kernel = |what: &str| format!("kernel `{}`: {what}", kernel.name);
    match fault {
        Fault::Address(what) => Fault::Address(of_kernel(&what)),
        Fault::Failed(what) => Fault::Failed(of_kernel(&what)),
    }
}
