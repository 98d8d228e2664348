//! The panic barrier: every exported body runs in [`guard`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use abi_stable::std_types::{RErr, ROk};

use super::data::FfiResult;
use crate::{Error, ErrorKind, Kind, Result};

/// Name and version of the plugin that this library is; unset in a host.
static PLUGIN: OnceLock<String> = OnceLock::new();

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

/// Says which plugin this library is: a panic that no error can tell of is logged with it.
pub(crate) fn set_plugin(name: &str, version: &str) {
    PLUGIN.get_or_init(|| format!("{name} {version}"));
}

/// Runs an exported body; a panic becomes an error of kind [`ErrorKind::Panicked`].
pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> FfiResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => {
            let error = panicked(payload.as_ref());
            drop_guarded(payload, None);
            RErr(error.into())
        }
    }
}

/// Runs an exported body that cannot fail; a panic is logged, and the value is `fallback`.
pub(crate) fn guard_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        log_panic(payload, None);
        fallback
    })
}

/// Drops a value of a plugin: a panic while dropping is logged and goes no further.
fn drop_guarded<T>(value: T, component: Option<ComponentName>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        log_panic(payload, component);
    }
}

/// Logs a panic that no error can tell of.
fn log_panic(payload: Box<dyn Any + Send>, component: Option<ComponentName>) {
    let mut error = panicked(payload.as_ref());
    if let Some((kind, name)) = component {
        error = error.with_context("component", format!("{kind} {name}"));
    }
    if let Some(plugin) = PLUGIN.get() {
        error = error.with_context("plugin", plugin);
    }
    // What writes the log may be what panicked.
    let logged = catch_unwind(AssertUnwindSafe(|| log::error!("{error}")));
    // Dropping the payload of a panic may panic, too, and nothing is around this any more.
    std::mem::forget((payload, logged));
}

/// Kind and name of a component of this library.
pub(crate) type ComponentName = (Kind, &'static str);

/// A component, or what one made, whose panic while it is dropped is logged and goes no further.
pub(crate) struct Guarded<T> {
    value: Option<T>,
    /// None for what a host exports again: its own library guards it.
    component: Option<ComponentName>,
}

impl<T> Guarded<T> {
    pub(crate) fn new(value: T, component: Option<ComponentName>) -> Self {
        Self { value: Some(value), component }
    }

    /// Something that the component made.
    pub(crate) fn made<U>(&self, value: U) -> Guarded<U> {
        Guarded::new(value, self.component)
    }
}

impl<T> std::ops::Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("only `drop` takes the value")
    }
}

impl<T> std::ops::DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only `drop` takes the value")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        drop_guarded(self.value.take(), self.component);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every log line of the process: tests run side by side, and each looks for its own.
    struct Lines(Mutex<Vec<String>>);

    static LINES: Lines = Lines(Mutex::new(Vec::new()));

    impl log::Log for Lines {
        fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = record.args().to_string();
            assert!(!line.contains("the log panics"), "so it does");
            self.0.lock().unwrap().push(line);
        }

        fn flush(&self) {}
    }

    /// The log lines with this text after `body`.
    fn logged(text: &str, body: impl FnOnce()) -> Vec<String> {
        if log::set_logger(&LINES).is_ok() {
            log::set_max_level(log::LevelFilter::Error);
        }
        body();
        let lines = LINES.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Panics when it is dropped.
    struct Bomb(&'static str);

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }

    #[test]
    fn a_panic_while_dropping_is_logged_with_the_component_and_goes_no_further() {
        let component = Guarded::new((), Some((Kind::Reader, "r")));
        let lines = logged("bomb 1", || drop(component.made(Bomb("bomb 1"))));
        let wanted = "the plugin panicked: bomb 1 (component: reader r)";
        assert_eq!(lines, [wanted]);
        assert_eq!(logged("bomb 2", || drop(Guarded::new(Bomb("bomb 2"), None))).len(), 1);
    }

    #[test]
    fn a_panic_where_no_error_is_possible_is_logged_and_a_value_takes_its_place() {
        let lines = logged("no value", || assert_eq!(guard_or(7, || panic!("no value")), 7));
        assert_eq!(lines, ["the plugin panicked: no value"]);
        // Even where the log itself is what panics.
        assert_eq!(guard_or(7, || panic!("the log panics")), 7);
    }

    #[test]
    fn a_panic_whose_value_panics_when_it_is_dropped_is_an_error_all_the_same() {
        let guarded = || guard(|| -> Result<()> { std::panic::panic_any(Bomb("bomb 3")) });
        let lines = logged("bomb 3", || {
            let error = Error::from(guarded().into_result().expect_err("it panics"));
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert!(error.message().contains("a value that is no text"), "{error}");
        });
        assert_eq!(lines.len(), 1);
    }
}
