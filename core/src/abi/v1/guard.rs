//! The panic barrier: every exported body runs in [`guard`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

use abi_stable::std_types::{RErr, ROk};

use super::data::FfiResult;
use crate::{Error, ErrorKind, Result};

/// Where this library last panicked: message and place.
///
/// Kept here because the payload that `catch_unwind` returns has no location. Another thread may
/// overwrite it in between; then the message differs and the place is left out.
static LAST_PANIC: Mutex<Option<(String, String)>> = Mutex::new(None);

/// Makes this library's panics silent but for the log, and remembers where they happen; does so once.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(String::new, ToString::to_string);
            let note = (message_of(info.payload()), place);
            log::debug!("panicked at {}: {}", note.1, note.0);
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
        }));
    });
}

/// Runs an exported body; a panic becomes an error of kind [`ErrorKind::Panicked`].
pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> FfiResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => {
            let error = panicked(payload.as_ref());
            drop_guarded(payload);
            RErr(error.into())
        }
    }
}

/// Runs an exported body that cannot fail; after a panic its value is `fallback`.
pub(crate) fn guard_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Drops a value of a plugin: a panic while dropping is logged and goes no further.
pub(crate) fn drop_guarded<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        log::error!("{}", panicked(payload.as_ref()));
        // Dropping the payload of a panic that came from dropping is asking for another.
        std::mem::forget(payload);
    }
}

/// A value of a plugin that is dropped by [`drop_guarded`].
pub(crate) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> std::ops::Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only `drop` takes the value")
    }
}

impl<T> std::ops::DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("only `drop` takes the value")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        drop_guarded(self.0.take());
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Error {
    let message = message_of(payload);
    let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let error = Error::new(ErrorKind::Panicked, format!("the plugin panicked: {message}"));
    match last {
        Some((same, place)) if same == message => error.with_context("code", place),
        _ => error,
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}
