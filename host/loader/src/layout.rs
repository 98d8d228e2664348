//! `abi_stable`'s refusals: its report of tens of kilobytes, condensed to the field that differs.

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{AbiInstabilityError, check_layout_compatibility};
use abi_stable::library::LibraryError;
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use deft_core::abi::v1::PluginModuleRef;
use deft_core::{Error, ErrorKind, excerpt};

/// Says why `abi_stable` refuses a library; `layout` is that of the library's root module.
pub(crate) fn library_error(layout: Option<&'static TypeLayout>, error: &LibraryError) -> Error {
    let refuse = |message: &str| Error::new(ErrorKind::Plugin, message).with_hint(REBUILD);
    match error {
        LibraryError::AbiInstability(_) => layout
            .and_then(|layout| check_layout_compatibility(PluginModuleRef::LAYOUT, layout).err())
            // The deepest place is where the difference is; those around it differ by it.
            .and_then(|report| {
                report.errors.iter().max_by_key(|one| one.stack_trace.len()).map(layout_error)
            })
            .unwrap_or_else(|| refuse("the plugin's data layout differs")),
        LibraryError::GetSymbolError { symbol, .. } => {
            refuse("the plugin has a descriptor, but no functions")
                .with_context("missing", String::from_utf8_lossy(symbol).trim_end_matches('\0'))
        }
        LibraryError::InvalidAbiHeader(_) | LibraryError::InvalidCAbi { .. } => {
            refuse("the plugin was built with another abi_stable")
        }
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            refuse("the plugin's functions have another interface version")
                .with_context("found", actual_version)
                .with_context("wanted", expected_version)
        }
        other => Error::new(ErrorKind::Plugin, "the plugin cannot be started")
            .with_context("reason", excerpt(&other.to_string())),
    }
}

const REBUILD: &str = "build the plugin again with the deft-core of this deft";

/// The field that differs, as a path from the root module, and both of its types.
fn layout_error(error: &AbiInstabilityError) -> Error {
    let steps = error.stack_trace.iter().map(|step| name(&step.expected).trim_end_matches(','));
    // A pointer's target is its field `0`; a function pointer has its field's name once more.
    let mut path: Vec<&str> = steps.filter(|step| *step != "0").collect();
    path.dedup();
    let report = error.to_string();
    let lines: Vec<&str> = report.lines().map(str::trim).collect();
    let place =
        if path.is_empty() { "its root".to_owned() } else { format!("`{}`", path.join(".")) };
    let mut condensed =
        Error::new(ErrorKind::Plugin, format!("the plugin's data layout differs at {place}"));
    if let Some(start) = lines.iter().rposition(|line| line.starts_with("Error:")) {
        let reason = lines[start].trim_start_matches("Error:").trim();
        let after = |label: &str| {
            let rest = lines[start..].iter().skip_while(|line| **line != label).skip(1);
            let value: Vec<&str> = rest.take_while(|line| **line != "Found:").copied().collect();
            excerpt(&value.join(" "))
        };
        condensed = condensed
            .with_context("reason", reason)
            .with_context("found", after("Found:"))
            .with_context("wanted", after("Expected:"));
    }
    condensed.with_hint(REBUILD)
}

fn name(step: &TLFieldOrFunction) -> &'static str {
    match step {
        TLFieldOrFunction::Field(field) => field.name(),
        TLFieldOrFunction::Function(function) => function.name.as_str(),
    }
}
