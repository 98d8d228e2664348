//! The module's own variables: `.global` and `.const`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::declaration::{Declaration, Value};

/// Memory for the variables, which stays where it is as long as the module lives.
#[derive(Debug, Default)]
pub(crate) struct Globals {
    /// Words may be changed by a kernel that has their address.
    variables: Vec<Box<[AtomicU64]>>,
    /// First address and bytes of each variable, in the order of the addresses.
    ranges: Vec<(u64, usize)>,
}

impl Globals {
    /// Makes a variable and returns its address.
    ///
    /// # Errors
    ///
    /// The initialiser has an address that `find` does not know.
    pub(super) fn add(
        &mut self,
        it: &Declaration<'_>,
        find: impl Fn(&str) -> Option<u64>,
    ) -> Result<u64, String> {
        let mut bytes = vec![0; it.bytes as usize];
        for (value, into) in it.initial.iter().zip(bytes.chunks_mut(it.kind.bytes())) {
            let bits = match value {
                Value::Bits(bits) => *bits,
                Value::Address(name) => {
                    find(name).ok_or_else(|| format!("`{name}` in `{}` is unknown", it.name))?
                }
            };
            into.copy_from_slice(&bits.to_le_bytes()[..into.len()]);
        }
        Ok(self.keep(&bytes, it.align as usize))
    }

    /// Whether all bytes are in one variable.
    pub(crate) fn holds(&self, address: u64, length: usize) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        let Some(&(first, bytes)) = after.checked_sub(1).and_then(|at| self.ranges.get(at)) else {
            return false;
        };
        let offset = address - first;
        offset <= bytes as u64 && length as u64 <= bytes as u64 - offset
    }

    fn keep(&mut self, bytes: &[u8], align: usize) -> u64 {
        let align = align.max(8);
        let words: Box<[AtomicU64]> =
            (0..(bytes.len() + align).div_ceil(8)).map(|_| AtomicU64::new(0)).collect();
        // A kernel comes back with it as a number.
        let start = words.as_ptr().expose_provenance();
        let skipped = (start.next_multiple_of(align) - start) / 8;
        for (word, chunk) in words[skipped..].iter().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        let address = (start + skipped * 8) as u64;
        let at = self.ranges.partition_point(|&(first, _)| first < address);
        self.ranges.insert(at, (address, bytes.len()));
        self.variables.push(words);
        address
    }
}
