//! What a run may take, on the command line.

use clap::Args;

use crate::console::parse_size;
use crate::pipeline::LimitOptions;

/// Arguments of commands that refuse what does not fit.
#[derive(Debug, Clone, Args)]
pub(super) struct LimitArgs {
    /// Disk that may be used, 300GB for instance [default: what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk: Option<u64>,
    /// Memory that may be used, 64GiB for instance [default: what is available]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Only warn of what does not fit
    #[arg(long)]
    ignore_limits: bool,
}

impl LimitArgs {
    pub(super) fn options(&self) -> LimitOptions {
        LimitOptions { disk: self.disk, memory: self.memory, ignored: self.ignore_limits }
    }
}
