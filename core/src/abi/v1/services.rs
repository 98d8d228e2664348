//! The host's services and the context of a call.

use std::path::PathBuf;

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RStr, RString};

use super::data::{FfiResult, export_path, to_usize};
use super::guard::{guard, guard_or};
use super::logger::{level_from, level_number};
use crate::{Context, Result, Services};

#[sabi_trait]
pub trait FfiServices: Send + Sync {
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>);
    fn progress(&self, done: u64, total: u64, unit: RStr<'_>);
    fn is_cancelled(&self) -> bool;
    fn resolve(&self, name: RStr<'_>) -> FfiResult<RString>;
    #[sabi(last_prefix_field)]
    fn call(&self, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
}

pub type FfiServicesRef<'a> = FfiServices_TO<'a, abi_stable::sabi_types::RRef<'a, ()>>;

/// What travels with every call.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiContext<'a> {
    services: FfiServicesRef<'a>,
    seed: u64,
    threads: u64,
    /// Whether progress is not to be told.
    quiet: bool,
    /// JSON object for what is to come, or nothing at all.
    extra: RStr<'a>,
}

/// Services exported for the duration of a call.
pub(crate) struct ServicesExport<'a>(&'a dyn Services);

impl FfiServices for ServicesExport<'_> {
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        guard_or((), || self.0.log(level_from(level), target.as_str(), message.as_str()));
    }

    fn progress(&self, done: u64, total: u64, unit: RStr<'_>) {
        guard_or((), || self.0.progress(done, total, unit.as_str()));
    }

    fn is_cancelled(&self) -> bool {
        guard_or(true, || self.0.is_cancelled())
    }

    fn resolve(&self, name: RStr<'_>) -> FfiResult<RString> {
        guard(|| Ok(export_path(&self.0.resolve(name.as_str())?)?.into()))
    }

    fn call(&self, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        guard(|| Ok(self.0.call(name.as_str(), json.as_str())?.into()))
    }
}

struct ServicesImport<'a>(FfiServicesRef<'a>);

impl Services for ServicesImport<'_> {
    fn log(&self, level: log::Level, target: &str, message: &str) {
        self.0.log(level_number(level), target.into(), message.into());
    }

    fn progress(&self, done: u64, total: u64, unit: &str) {
        self.0.progress(done, total, unit.into());
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        match self.0.resolve(name.into()) {
            ROk(path) => Ok(PathBuf::from(path.into_string())),
            RErr(error) => Err(error.into()),
        }
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        match self.0.call(name.into(), json.into()) {
            ROk(answer) => Ok(answer.into()),
            RErr(error) => Err(error.into()),
        }
    }
}

/// Exports a context for the calls made in `body`.
pub fn with_exported<T>(ctx: &Context<'_>, body: impl FnOnce(FfiContext<'_>) -> T) -> T {
    let export = ServicesExport(ctx.services());
    body(FfiContext {
        services: FfiServices_TO::from_ptr(abi_stable::sabi_types::RRef::new(&export), TD_Opaque),
        seed: ctx.seed(),
        threads: ctx.threads() as u64,
        quiet: ctx.is_quiet(),
        extra: RStr::from(""),
    })
}

impl FfiContext<'_> {
    /// Imports the context for an exported body, behind the panic barrier.
    pub fn guarded<T>(self, body: impl FnOnce(&Context<'_>) -> Result<T>) -> FfiResult<T> {
        guard(|| {
            let services = ServicesImport(self.services);
            let ctx = Context::new(&services, self.seed, to_usize(self.threads)?);
            body(&if self.quiet { ctx.quiet() } else { ctx })
        })
    }
}
