//! How fast a training is.

use std::time::Instant;

/// Tokens and time since the last line of the log.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    tokens: u64,
}

impl Pace {
    /// From here, where so many tokens have been trained on.
    pub(crate) fn new(tokens: u64) -> Self {
        Self { since: Instant::now(), tokens }
    }

    /// Tokens per second since the last call, up to so many tokens.
    pub(crate) fn tokens_per_second(&mut self, tokens: u64) -> f64 {
        let passed = self.since.elapsed().as_secs_f64();
        let trained = tokens - self.tokens;
        *self = Self::new(tokens);
        trained as f64 / passed.max(1e-9)
    }
}

/// Megabytes of memory that the process holds, where the system tells.
pub(crate) fn memory_megabytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}
