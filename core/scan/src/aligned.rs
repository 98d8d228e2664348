//! Numbers that begin where a cache line does.

/// Bytes of a cache line, and of the widest vector: one that crosses a line is loaded in two steps.
const LINE: usize = 64;

/// Memory for numbers, on the boundary of a line if the allocator's answer can be shifted to one:
/// that is for speed alone.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    memory: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// Room for so many numbers, whose values do not matter.
    pub(crate) fn resize(&mut self, length: usize) -> &mut [f32] {
        let slack = LINE / size_of::<f32>();
        if self.memory.len() < length + slack {
            self.memory = vec![0.0; length + slack];
            self.start = self.memory.as_ptr().align_offset(LINE).min(slack);
        }
        self.length = length;
        &mut self.memory[self.start..self.start + length]
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_line_and_keep_their_place() {
        let mut numbers = Aligned::default();
        assert!(numbers.as_slice().is_empty());
        for length in [3, 1000, 7, 0, 5000] {
            let fill: Vec<_> = (0..length).map(|i| i as f32).collect();
            numbers.resize(length).copy_from_slice(&fill);
            assert_eq!(numbers.as_slice(), fill);
            assert_eq!(numbers.as_slice().as_ptr().align_offset(LINE), 0);
        }
    }
}
