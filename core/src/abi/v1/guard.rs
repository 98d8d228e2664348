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

/// Makes this library's panics silent and remembers where they happen; does so once.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map_or_else(String::new, ToString::to_string);
            let note = (message_of(info.payload()), place);
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
        }));
    });
}

/// Runs an exported body; a panic becomes an error of kind [`ErrorKind::Panicked`].
pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> FfiResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => RErr(panicked(payload.as_ref()).into()),
    }
}

/// Runs an exported body that cannot fail; after a panic its value is `fallback`.
pub(crate) fn guard_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
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
