//! Addresses: which memory they are in, whether they may be used, and the bytes there.

#![expect(unsafe_code, reason = "a kernel's global addresses are addresses of this process")]

use std::cell::Cell;

use super::launch::{Fault, Memory};
use crate::ptx::operation::Space;

/// Where generic addresses of shared and of local memory begin; no address of the process is there.
/// Each is a window of 32 bits.
const SHARED_WINDOW: u64 = 1 << 60;
const LOCAL_WINDOW: u64 = 1 << 61;
/// Bytes and number of the pages whose permission is remembered.
const PAGE: u64 = 1024;
const PAGES: usize = 256;
/// An odd number whose multiples spread over the highest bits: 2^64 divided by the golden ratio.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The memory that a block's threads share.
pub(super) struct Spaces<'m> {
    memory: &'m dyn Memory,
    globals: &'m crate::ptx::Globals,
    pub(super) shared: Vec<u8>,
    /// Numbers of pages that a kernel may use as a whole, each at a place that the number tells.
    known: [Cell<u64>; PAGES],
    /// Bytes of global memory that were asked for.
    bytes: Cell<u64>,
}

/// Bytes that may be used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Global(u64),
    Shared(usize),
    Local(usize),
}

impl<'m> Spaces<'m> {
    /// With as many bytes of shared memory. What `memory` allows must stay allowed for as long as
    /// this lives.
    pub(super) fn new(
        memory: &'m dyn Memory,
        globals: &'m crate::ptx::Globals,
        shared_bytes: usize,
    ) -> Spaces<'m> {
        let known = [const { Cell::new(u64::MAX) }; PAGES];
        let bytes = Cell::new(0);
        Spaces { memory, globals, shared: vec![0; shared_bytes], known, bytes }
    }

    /// Bytes of global memory that `find` has found, each time that it did.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Finds the bytes at an address; `align` is a power of two.
    ///
    /// # Errors
    ///
    /// `Address`: not all of them may be used, or the address is not aligned.
    #[inline]
    pub(super) fn find(
        &self,
        local_bytes: usize,
        (space, address): (Space, u64),
        length: usize,
        align: usize,
    ) -> Result<Place, Fault> {
        let (place, is_held) = match where_is(space, address) {
            (Space::Shared, at) => {
                (Place::Shared(at as usize), fits(at, length, self.shared.len()))
            }
            (Space::Local, at) => (Place::Local(at as usize), fits(at, length, local_bytes)),
            (_, at) => {
                self.bytes.set(self.bytes.get() + length as u64);
                (Place::Global(at), self.holds(at, length))
            }
        };
        if is_held && address & (align as u64 - 1) == 0 {
            return Ok(place);
        }
        let what = if is_held { "is not aligned" } else { "is not allocated" };
        Err(Fault::Address(format!("{space:?} address {address:#x} of {length} bytes {what}")))
    }

    fn holds(&self, address: u64, length: usize) -> bool {
        if address >= SHARED_WINDOW {
            return false;
        }
        let page = address / PAGE;
        // Arrays are often a power of two apart: their pages must not all have the same place.
        let known = &self.known[(page.wrapping_mul(SCATTER) >> 56) as usize % PAGES];
        if known.get() == page && address % PAGE + length as u64 <= PAGE {
            return true;
        }
        if self.memory.holds(page * PAGE, PAGE as usize) {
            known.set(page);
        }
        self.memory.holds(address, length) || self.globals.holds(address, length)
    }

    /// Up to 8 bytes as a number; `place` is what `find` has found for the same local memory.
    #[inline]
    pub(super) fn read(&self, local: &[u8], place: Place, offset: usize, length: usize) -> u64 {
        let mut bytes = [0; 8];
        let into = &mut bytes[..length];
        match place {
            Place::Shared(at) => into.copy_from_slice(&self.shared[at + offset..][..length]),
            Place::Local(at) => into.copy_from_slice(&local[at + offset..][..length]),
            Place::Global(at) => {
                let from = (at as usize + offset) as *const u8;
                // SAFETY: `find` has asked the driver whether these bytes are allocated, and the
                // driver frees nothing while a kernel runs.
                unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), length) }
            }
        }
        u64::from_le_bytes(bytes)
    }

    /// Writes a number's low bytes.
    #[inline]
    pub(super) fn write(
        &mut self,
        local: &mut [u8],
        (place, offset): (Place, usize),
        value: u64,
        length: usize,
    ) {
        let bytes = &value.to_le_bytes()[..length];
        match place {
            Place::Shared(at) => self.shared[at + offset..][..length].copy_from_slice(bytes),
            Place::Local(at) => local[at + offset..][..length].copy_from_slice(bytes),
            Place::Global(at) => {
                let to = (at as usize + offset) as *mut u8;
                // SAFETY: as for reading; the memory was allocated to be written by kernels.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, length) }
            }
        }
    }

    /// Up to so many characters of a text that ends with NUL, for messages of kernels.
    pub(super) fn text(&self, address: u64, most: u64) -> String {
        let held = (address..address.saturating_add(most)).take_while(|&at| self.holds(at, 1));
        let bytes = held.map(|at| self.read(&[], Place::Global(at), 0, 1) as u8);
        let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn fits(at: u64, length: usize, bytes: usize) -> bool {
    at.checked_add(length as u64).is_some_and(|end| end <= bytes as u64)
}

/// The space of a generic address, and the address there; others are as they are.
fn where_is(space: Space, address: u64) -> (Space, u64) {
    match (space, address >> 32 << 32) {
        (Space::Generic, SHARED_WINDOW) => (Space::Shared, address - SHARED_WINDOW),
        (Space::Generic, LOCAL_WINDOW) => (Space::Local, address - LOCAL_WINDOW),
        (Space::Generic, _) => (Space::Global, address),
        _ => (space, address),
    }
}

/// An address of a space as a generic one.
pub(super) fn to_generic(space: Space, address: u64) -> u64 {
    match space {
        Space::Shared => address.wrapping_add(SHARED_WINDOW),
        Space::Local => address.wrapping_add(LOCAL_WINDOW),
        _ => address,
    }
}

/// A generic address as one of a space.
pub(super) fn from_generic(space: Space, address: u64) -> u64 {
    match space {
        Space::Shared => address.wrapping_sub(SHARED_WINDOW),
        Space::Local => address.wrapping_sub(LOCAL_WINDOW),
        _ => address,
    }
}
