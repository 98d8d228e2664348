//! The threads of a training, or of predictions.

use deft_core::Result;
use deft_neural::Workers;

use crate::device::Placement;

/// Threads that tokenise, and those that compute: the same ones in main memory with f32.
#[derive(Debug)]
pub(crate) struct Threads {
    all: Workers,
    /// One, where a device computes, which does one thing after the other and has memory for one
    /// batch at a time; and where other numbers than f32 are tried in main memory, as on a device.
    queue: Option<Workers>,
}

impl Threads {
    /// Starts so many threads, and one more where the batches stand in a queue.
    pub(crate) fn new(count: usize, placement: &Placement) -> Result<Self> {
        let queue = (!placement.is_host()).then(|| Workers::new(1)).transpose()?;
        Ok(Self { all: Workers::new(count)?, queue })
    }

    /// Those that work on texts.
    pub(crate) fn all(&self) -> &Workers {
        &self.all
    }

    /// Those that compute with the network. Their stacks are large enough for candle's walk through
    /// the graph of a training step.
    pub(crate) fn computing(&self) -> &Workers {
        self.queue.as_ref().unwrap_or(&self.all)
    }
}
