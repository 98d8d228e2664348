//! A GPU's memory: pieces of the process's own.

#![expect(unsafe_code, reason = "memory is taken and given back by address")]

use std::alloc::{self, Layout};
use std::collections::BTreeMap;
use std::ptr;

use super::status::{Answer, Status};
use crate::machine::launch::Memory;

/// Every address is a multiple of it, and what is taken counts in multiples of it, in bytes.
const ALIGNMENT: usize = 256;

/// What fresh memory is filled with, so that a program that reads what it has not written shows it.
const FRESH: u8 = 0xCB;

/// The pieces that are in use, and the account of a pool of memory.
#[derive(Debug)]
pub(crate) struct Allocations {
    /// Length in bytes of each piece, by its address.
    pieces: BTreeMap<u64, usize>,
    capacity: usize,
    used: usize,
    peak: usize,
    /// Bytes that the pool has of the GPU's: those in use, and those that were freed and are kept.
    reserved: usize,
    /// Bytes that the pool keeps when somebody waits for the GPU.
    threshold: u64,
}

impl Allocations {
    /// No piece, of `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { pieces: BTreeMap::new(), capacity, used: 0, peak: 0, reserved: 0, threshold: 0 }
    }

    /// Takes a piece of memory and tells its address.
    ///
    /// # Errors
    ///
    /// `OUT_OF_MEMORY` if so many bytes are not free.
    pub(crate) fn take(&mut self, bytes: usize) -> Answer<u64> {
        let counted = bytes.checked_next_multiple_of(ALIGNMENT).ok_or(Status::OUT_OF_MEMORY)?;
        if counted > self.capacity - self.used {
            return Err(Status::OUT_OF_MEMORY);
        }
        let layout = layout(bytes).ok_or(Status::OUT_OF_MEMORY)?;
        // SAFETY: the layout's length is not zero.
        let piece = unsafe { alloc::alloc(layout) };
        if piece.is_null() {
            return Err(Status::OUT_OF_MEMORY);
        }
        // SAFETY: the piece is as long.
        unsafe { ptr::write_bytes(piece, FRESH, bytes) };
        let address = piece.expose_provenance() as u64;
        self.pieces.insert(address, bytes);
        self.used += counted;
        self.peak = self.peak.max(self.used);
        self.reserved = self.reserved.max(self.used);
        Ok(address)
    }

    /// Gives back a piece of memory; the pool keeps it until [`Self::waited`] or [`Self::trim`].
    ///
    /// # Errors
    ///
    /// `INVALID_VALUE` if the address is not that of a piece.
    pub(crate) fn give_back(&mut self, address: u64) -> Answer {
        let bytes = self.pieces.remove(&address).ok_or(Status::INVALID_VALUE)?;
        self.used -= bytes.next_multiple_of(ALIGNMENT);
        free(address, bytes);
        Ok(())
    }

    /// Gives back all that is in use and all that is kept.
    pub(crate) fn clear(&mut self) {
        while let Some((address, bytes)) = self.pieces.pop_first() {
            free(address, bytes);
        }
        (self.used, self.reserved) = (0, 0);
    }

    /// Gives back what the pool keeps, but for `keep` bytes.
    pub(crate) fn trim(&mut self, keep: u64) {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        self.reserved = self.used.max(self.reserved.min(keep));
    }

    /// Does to what the pool keeps what waiting for the GPU does.
    pub(crate) fn waited(&mut self) {
        self.trim(self.threshold);
    }

    /// Sets how many bytes the pool keeps when somebody waits for the GPU.
    pub(crate) fn set_threshold(&mut self, bytes: u64) {
        self.threshold = bytes;
    }

    /// Bytes that the pool keeps when somebody waits for the GPU.
    pub(crate) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes that were in use at once, at most.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// Bytes in use or kept.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Bytes of the GPU that are neither in use nor kept.
    pub(crate) fn free(&self) -> usize {
        self.capacity - self.reserved
    }
}

impl Memory for Allocations {
    fn holds(&self, address: u64, length: usize) -> bool {
        let Some((start, bytes)) = self.pieces.range(..=address).next_back() else { return false };
        let offset = address - start;
        offset.checked_add(length as u64).is_some_and(|end| end <= *bytes as u64)
    }
}

impl Drop for Allocations {
    fn drop(&mut self) {
        self.clear();
    }
}

fn free(address: u64, bytes: usize) {
    let layout = layout(bytes).expect("a piece was taken with this layout");
    // SAFETY: the address and the length are those of a piece that was taken so, and no longer listed.
    unsafe { alloc::dealloc(at(address), layout) };
}

/// The pointer of an address that was given out.
#[expect(clippy::cast_possible_truncation, reason = "the addresses are the process's own")]
pub(crate) fn at<T>(address: u64) -> *mut T {
    ptr::with_exposed_provenance_mut(address as usize)
}

/// How a piece lies; `None` for a length that is zero or beyond all memory.
fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes, ALIGNMENT).ok().filter(|layout| layout.size() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_held_from_a_piece_s_first_byte_to_its_last() {
        let mut memory = Allocations::new(1024);
        let address = memory.take(10).expect("there is room");
        assert_eq!(address % 256, 0);
        assert!(memory.holds(address, 10) && memory.holds(address + 9, 1));
        assert!(!memory.holds(address, 11) && !memory.holds(address + 10, 1));
        assert!(!memory.holds(address - 1, 2) && !memory.holds(address + 1, usize::MAX));
        memory.give_back(address).expect("it was taken");
        assert!(!memory.holds(address, 1));
        assert_eq!(memory.give_back(address), Err(Status::INVALID_VALUE));
    }

    #[test]
    fn memory_ends() {
        let mut memory = Allocations::new(1024);
        let first = memory.take(700).expect("there is room");
        assert_eq!(memory.take(300), Err(Status::OUT_OF_MEMORY));
        assert_eq!(memory.take(usize::MAX), Err(Status::OUT_OF_MEMORY));
        memory.give_back(first).expect("it was taken");
        assert!(memory.take(1024).is_ok());
    }

    #[test]
    fn what_was_freed_is_kept_until_somebody_waits() {
        let mut memory = Allocations::new(1024);
        let address = memory.take(512).expect("there is room");
        memory.give_back(address).expect("it was taken");
        assert_eq!((memory.used(), memory.free(), memory.peak()), (0, 512, 512));
        memory.set_threshold(256);
        memory.waited();
        assert_eq!((memory.reserved(), memory.free()), (256, 768));
        memory.trim(0);
        assert_eq!(memory.free(), 1024);
    }
}
