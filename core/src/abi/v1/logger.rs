//! Log lines of a plugin, forwarded to the host: every library has its own `log` statics.

use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

/// Where a library sends its log lines: level (1 = error … 5 = trace), target, message.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct FfiLogger {
    pub log: extern "C" fn(level: u8, target: RStr<'_>, message: RStr<'_>),
    /// The most detailed level that is wanted.
    pub max_level: u8,
}

/// The number of a level.
pub fn level_number(level: log::Level) -> u8 {
    level as u8
}

/// The level with a number.
pub fn level_from(number: u8) -> log::Level {
    match number {
        0 | 1 => log::Level::Error,
        2 => log::Level::Warn,
        3 => log::Level::Info,
        4 => log::Level::Debug,
        _ => log::Level::Trace,
    }
}

struct Forwarder(FfiLogger);

impl log::Log for Forwarder {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        level_number(metadata.level()) <= self.0.max_level
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            (self.0.log)(
                level_number(record.level()),
                record.target().into(),
                message.as_str().into(),
            );
        }
    }

    fn flush(&self) {}
}

/// Sends this library's log lines to `logger` from now on; only the first call has an effect.
pub fn install_logger(logger: FfiLogger) {
    if log::set_boxed_logger(Box::new(Forwarder(logger))).is_ok() {
        log::set_max_level(level_from(logger.max_level).to_level_filter());
    }
}
