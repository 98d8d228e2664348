//! The options that all components of this plugin share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deft_core::prelude::*;
use serde_json::{Map, Value};

/// Options of every component here.
///
/// Unknown ones are refused by [`Config::check`] and not by serde, so that one fault can be that
/// they are not.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Config {
    /// The promise to break; empty (default) for none.
    #[serde(default)]
    pub(crate) fault: String,
    /// Whether the encoder has its fault for queries alone; `false` by default.
    #[serde(default)]
    pub(crate) only_for_queries: bool,
    /// Whether the index learns from a sample first; `false` by default.
    #[serde(default)]
    pub(crate) trains: bool,
    /// 0 (default), or what grows whenever defaults are filled in.
    #[serde(default, serialize_with = "grown")]
    pub(crate) grows: u32,
    /// Anything else: there is no such option.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn grown<S: serde::Serializer>(
    number: &u32,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u32(number + number.min(&1))
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        match self.unknown.keys().next() {
            Some(name) if !self.has("unknown_option") => {
                Err(Error::option_at(name, format!("unknown option `{name}`")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the component is to break this promise.
    pub(crate) fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Looks whether the user asked to stop, unless not looking is the fault.
    pub(crate) fn look(&self, ctx: &Context<'_>) -> Result<()> {
        if self.has("cancelled") { Ok(()) } else { ctx.check() }
    }

    /// The answer to a call that is unknown.
    pub(crate) fn answer(&self, name: &str) -> Result<String> {
        if self.has("unknown_call") { Ok("{}".to_owned()) } else { Err(Error::unknown_call(name)) }
    }
}

/// Counts calls: how many there were, and how many there are at this moment.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) all: AtomicUsize,
    now: AtomicUsize,
}

impl Calls {
    /// Whether another call is under way; waits a moment for it to come.
    pub(crate) fn overlapped(&self) -> bool {
        let others = self.now.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        let is_disturbed = others > 0;
        self.now.fetch_sub(1, Ordering::SeqCst);
        is_disturbed
    }

    /// The number of this call, from 0.
    pub(crate) fn count(&self) -> usize {
        self.all.fetch_add(1, Ordering::SeqCst)
    }
}

/// Calls of all instances.
pub(crate) static EVER: Calls = Calls { all: AtomicUsize::new(0), now: AtomicUsize::new(0) };
