//! What a plugin's file says, read and judged before anything of it is loaded.

use std::path::Path;

use crate::cpu;
use deft_core::abi::descriptor::{Descriptor, SECTION};
use deft_core::{Error, ErrorKind, Result, ResultExt};
use object::{Object, ObjectKind, ObjectSection, ObjectSegment};

/// Reads a library's descriptor without loading it.
///
/// # Errors
///
/// [`ErrorKind::Plugin`] when the file cannot be read, is no whole shared library, or no DEFT
/// plugin.
pub fn read_descriptor(path: &Path) -> Result<Descriptor> {
    read(path).map_err(|error| error.with_context("path", path.display()))
}

fn read(path: &Path) -> Result<Descriptor> {
    let unreadable = "cannot read the plugin";
    let metadata = std::fs::metadata(path).or_error(ErrorKind::Plugin, unreadable)?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::Plugin, "the plugin is a folder, not a library"));
    }
    // Reading a pipe would never end.
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Plugin, "the plugin is no regular file"));
    }
    let bytes = std::fs::read(path).or_error(ErrorKind::Plugin, unreadable)?;
    let file = parse_library(&bytes)?;
    let section = file.section_by_name(SECTION).ok_or_else(|| {
        Error::new(ErrorKind::Plugin, "this library is no DEFT plugin")
            .with_context("missing", format!("section `{SECTION}`"))
            .with_hint("a plugin is a `cdylib` crate with `deft_core::export_plugin!` in it")
    })?;
    let data = section
        .data()
        .or_error(ErrorKind::Plugin, "the plugin's descriptor cannot be read")
        .map_err(|error| error.with_hint(REPAIR))?;
    Descriptor::parse(data)
}

/// What to do about a file that is not whole.
const REPAIR: &str = "copy it again, or build it again";

/// Parses a shared library, and checks that all of it is there: the dynamic linker would end the
/// process at the first access to a page that is not.
fn parse_library(bytes: &[u8]) -> Result<object::File<'_>> {
    let refuse = |message: &str| Error::new(ErrorKind::Plugin, message);
    if bytes.is_empty() {
        return Err(refuse("the plugin's file is empty").with_hint(REPAIR));
    }
    // Anything else is none of `object`'s formats: a text, a web page that was saved.
    if object::FileKind::parse(bytes).is_err() {
        return Err(refuse("this file is no shared library"));
    }
    let file = object::File::parse(bytes).map_err(|error| {
        refuse("the plugin's file is damaged, or only a part of it")
            .with_context("bytes", bytes.len())
            .with_source(&error)
            .with_hint(REPAIR)
    })?;
    let needed = file.segments().map(|segment| {
        let (start, length) = segment.file_range();
        start.saturating_add(length)
    });
    let needed = needed.max().unwrap_or(0);
    if needed > bytes.len() as u64 {
        return Err(refuse("the plugin's file is only a part of it")
            .with_context("bytes", bytes.len())
            .with_context("wanted", needed)
            .with_hint(REPAIR));
    }
    if file.kind() != ObjectKind::Dynamic {
        return Err(refuse("this file is no shared library")
            .with_context("found", format!("{:?}", file.kind()).to_lowercase()));
    }
    Ok(file)
}

/// Refuses, by its descriptor, a plugin that this host cannot load.
///
/// # Errors
///
/// [`ErrorKind::Plugin`], naming both values and what to do.
pub fn check_descriptor(descriptor: &Descriptor, path: &Path) -> Result<()> {
    let refuse = |what: &str, plugin: &str, host: &str, hint: &str| {
        Err(Error::new(ErrorKind::Plugin, format!("the plugin has another {what}"))
            .with_context("plugin", format!("{} {}", descriptor.name, descriptor.version))
            .with_context("path", path.display())
            .with_context("found", plugin)
            .with_context("wanted", host)
            .with_hint(hint))
    };
    if release_line(&descriptor.core) != release_line(CORE) {
        let hint = "build the plugin again with this version, or take its release for this deft";
        return refuse("version of deft-core", &descriptor.core, CORE, hint);
    }
    let target = env!("DEFT_TARGET");
    if descriptor.target != target {
        let hint = "build the plugin for this machine";
        return refuse("target", &descriptor.target, target, hint);
    }
    if descriptor.panic != "unwind" {
        let hint = "set `panic = \"unwind\"` in the plugin's build profile: with `abort`, its \
                    first panic would end the whole program";
        return refuse("panic strategy", &descriptor.panic, "unwind", hint);
    }
    check_cpu(descriptor, path, cpu::has)
}

/// Refuses a plugin that would end the process with an illegal instruction.
fn check_cpu(descriptor: &Descriptor, path: &Path, has: impl Fn(&str) -> bool) -> Result<()> {
    let Some(missing) = descriptor.cpu.split(',').find(|set| !has(set)) else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Plugin,
        "the plugin was compiled for instructions that this processor does not have",
    )
    .with_context("plugin", format!("{} {}", descriptor.name, descriptor.version))
    .with_context("path", path.display())
    .with_context("missing", missing)
    .with_hint("build the plugin on this machine, or for it; see its README"))
}

/// The version of deft-core that this host is built with: they are released together.
const CORE: &str = env!("CARGO_PKG_VERSION");

/// The part of a version within which releases are compatible: `0.3` of 0.3.1, `2` of 2.1.0.
fn release_line(version: &str) -> &str {
    let parts = if version.starts_with("0.") { 2 } else { 1 };
    version.match_indices('.').nth(parts - 1).map_or(version, |(end, _)| &version[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> Descriptor {
        Descriptor {
            interface: 1,
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            core: CORE.to_owned(),
            target: env!("DEFT_TARGET").to_owned(),
            rustc: "rustc".to_owned(),
            panic: "unwind".to_owned(),
            cpu: "sse2,avx2".to_owned(),
            components: Vec::new(),
        }
    }

    #[test]
    fn plugins_that_do_not_fit_are_refused_with_both_values_and_a_remedy() {
        check_descriptor(&descriptor(), Path::new("x.so")).expect("fits");
        for (unfit, found) in [
            (Descriptor { core: "0.99.0".to_owned(), ..descriptor() }, "0.99.0"),
            (Descriptor { target: "sparc-sun".to_owned(), ..descriptor() }, "sparc-sun"),
            (Descriptor { panic: "abort".to_owned(), ..descriptor() }, "abort"),
        ] {
            let error = check_descriptor(&unfit, Path::new("x.so")).expect_err(found);
            assert_eq!(error.context("found"), Some(found));
            assert!(error.context("wanted").is_some() && error.hint().is_some());
        }
    }

    #[test]
    fn a_plugin_for_another_processor_is_refused_with_what_is_missing() {
        let check = |has: fn(&str) -> bool| check_cpu(&descriptor(), Path::new("x.so"), has);
        check(|_| true).expect("fits");
        let error = check(|set| set != "avx2").expect_err("no AVX2");
        assert_eq!(error.context("missing"), Some("avx2"));
    }

    #[test]
    fn release_lines_follow_semantic_versioning() {
        assert_eq!(release_line("0.3.1"), "0.3");
        assert_eq!(release_line("2.1.0"), "2");
    }

    #[test]
    fn a_file_that_is_no_whole_library_is_refused_without_loading_it() {
        let own = std::fs::read(std::env::current_exe().expect("this program")).expect("read");
        parse_library(&own).expect("a program is laid out like a library");
        for (bytes, says) in [
            (&own[..0], "is empty"),
            (b"#!/bin/sh\n".as_slice(), "is no shared library"),
            (&own[..64], "damaged, or only a part"),
            (&own[..own.len() / 2], "damaged, or only a part"),
            (&own[..own.len() - 1], "only a part"),
        ] {
            let error = parse_library(bytes).map(|_| ()).expect_err(says);
            assert!(error.message().contains(says), "{error}");
        }
    }
}
