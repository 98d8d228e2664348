//! Plugins that cannot be used: each is refused with one message that names the plugin, its file,
//! what was found, what is wanted and what to do, and with exit code 2.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::PathBuf;

use deft_e2e::{
    Deft, Output, Project, RETRIEVER_BM25, copy_with_descriptor, copy_with_word, examples_dir,
    fails, program_dir,
};
use serde_json::{Value, json};

/// What `deft run` says with these plugins, which it must refuse before anything is written.
#[track_caller]
fn refused(project: &Project, plugins: &str, parts: &[&str]) -> Output {
    project.manifest(&[RETRIEVER_BM25]);
    let output = fails(project, &["--set", &format!("plugins=[{plugins}]")], 2, parts);
    assert!(!project.path("runs").exists(), "nothing is written");
    output
}

fn panicky() -> PathBuf {
    examples_dir().join("libdeft_panicky.so")
}

/// A copy of `panicky` with another descriptor must be refused as `./libdeft_other.so`.
#[track_caller]
fn refused_with(change: impl FnOnce(&mut Value), parts: &[&str]) {
    let project = Project::new();
    copy_with_descriptor(&panicky(), &project.path("libdeft_other.so"), change);
    let output = refused(&project, "p3, bm25, ./libdeft_other.so", parts);
    assert!(output.stderr.contains("libdeft_other.so"), "the file is named:\n{}", output.stderr);
}

#[test]
fn another_interface_is_refused_with_the_side_that_must_move() {
    let plugin = "plugin: panicky 0.1.0";
    refused_with(
        |descriptor| descriptor["interface"] = json!(2),
        &["another interface version", plugin, "found: 2, wanted: 1", "update deft"],
    );
    // One whose descriptor has nothing of ours but the head.
    refused_with(
        |descriptor| *descriptor = json!({"interface": 0, "name": "panicky", "version": "0.1.0"}),
        &["another interface version", plugin, "found: 0, wanted: 1", "build the plugin again"],
    );
    // One that was built so, by hand and without deft-core; loading it would end the program.
    let parts = [
        "another interface version",
        "plugin: other-interface 0.1.0",
        "found: 2, wanted: 1",
        "libdeft_other_interface.so",
        "update deft",
    ];
    refused(&Project::new(), "p3, bm25, other-interface", &parts);
}

#[test]
fn another_build_is_refused_with_both_values() {
    // Built so: what is read is what the compiler wrote.
    let parts = [
        "another panic strategy",
        "plugin: aborting 0.1.0",
        "found: abort, wanted: unwind",
        "libdeft_aborting.so",
        "build profile",
    ];
    refused(&Project::new(), "p3, bm25, aborting", &parts);
    refused_with(
        |descriptor| descriptor["target"] = json!("aarch64-apple-darwin"),
        &["another target", "found: aarch64-apple-darwin, wanted: ", "for this machine"],
    );
    refused_with(
        |descriptor| descriptor["core"] = json!("0.0.9"),
        &["another version of deft-core", "found: 0.0.9, wanted: ", "build the plugin again"],
    );
}

#[test]
fn a_descriptor_that_is_none_of_ours_is_refused() {
    refused_with(|descriptor| *descriptor = json!(["a", "list"]), &["no plugin descriptor"]);
    refused_with(
        |descriptor| descriptor["components"] = json!([["oracle", "panicky"]]),
        &["no plugin descriptor", "oracle"],
    );
}

#[test]
fn a_descriptor_that_names_other_components_than_the_library_has_is_refused() {
    let says = "other components than its descriptor says";
    refused_with(
        |descriptor| descriptor["components"][1][1] = json!("imagined"),
        &[says, "only in the descriptor: encoder imagined", "only in the library: encoder panicky"],
    );
    refused_with(
        |descriptor| descriptor["components"].as_array_mut().unwrap().truncate(4),
        &[says, "only in the library: trainer panicky", "plugin: panicky 0.1.0"],
    );
}

#[test]
fn another_layout_is_condensed_to_the_field_that_differs() {
    let parts = [
        "the plugin's data layout differs at `init.logger.max_level`",
        "found: u16, wanted: u8",
        "plugin: other-layout 0.1.0",
        "libdeft_other_layout.so",
        "build the plugin again",
    ];
    let output = refused(&Project::new(), "p3, bm25, other-layout", &parts);
    assert!(output.stderr.len() < 1000, "{} bytes", output.stderr.len());
}

#[test]
fn a_missing_system_library_is_named_with_its_package() {
    let project = Project::new();
    let path = project.path("libdeft_needy.so");
    for (library, hint) in [
        // An unknown one, and one that is known by a name of the same length.
        ("libgcc_x.so.1", "`apt-file search libgcc_x.so.1`"),
        ("libmkl_rt.so1", "oneMKL"),
    ] {
        copy_with_word(&panicky(), &path, "libgcc_s.so.1", library);
        let says = format!("needs the system library `{library}`, which is not found");
        refused(&project, "p3, bm25, needy", &[&says, hint, "plugin: panicky 0.1.0"]);
    }
}

#[test]
fn a_library_of_a_newer_system_is_named_as_such() {
    let project = Project::new();
    let path = project.path("libdeft_newer.so");
    let version = newest_glibc(&fs::read(panicky()).unwrap());
    let unknown = format!("GLIBC_{}", "9".repeat(version.len() - "GLIBC_".len()));
    copy_with_word(&panicky(), &path, &version, &unknown);
    let says = format!("the plugin needs {unknown}, newer than this system's `libc.so.6`");
    refused(&project, "p3, bm25, newer", &[&says, "libdeft_newer.so", "built on a newer system"]);
}

/// A version of the C library that the file asks for.
fn newest_glibc(bytes: &[u8]) -> String {
    let words = bytes.split(|byte| *byte == 0).filter(|word| word.starts_with(b"GLIBC_2."));
    String::from_utf8(words.max().unwrap().to_vec()).unwrap()
}

#[test]
fn two_plugins_with_one_name_are_refused_and_one_file_twice_is_fine() {
    let project = Project::new();
    fs::copy(panicky(), project.path("libdeft_copy.so")).unwrap();
    let first = panicky().canonicalize().unwrap().display().to_string();
    let second = project.path("libdeft_copy.so").display().to_string();
    let first = first.rsplit('/').next().unwrap();
    let parts = ["two plugins have the name `panicky`", first, &second, "leave one out"];
    refused(&project, "panicky, p3, bm25, copy", &parts);
    project.manifest(&[RETRIEVER_BM25]);
    let twice = "plugins=[p3, bm25, bm25, ./libdeft_copy.so, copy]";
    project.deft("check").args(&["--set", twice]).succeed();
}

#[test]
fn two_plugins_with_one_component_are_refused_before_the_second_is_loaded() {
    let project = Project::new();
    let path = project.path("libdeft_twin.so");
    // Not loaded: a library that the linker refuses is not even tried.
    copy_with_word(&panicky(), &path, "libgcc_s.so.1", "libgcc_x.so.1");
    copy_with_descriptor(&path, &path, |descriptor| descriptor["name"] = json!("twin"));
    refused(
        &project,
        "panicky, p3, bm25, twin",
        &[
            "two plugins have a component reader `panicky`",
            "first: panicky 0.1.0 at ",
            "second: twin 0.1.0 at ",
            "leave one of them out of `plugins`",
        ],
    );
}

#[test]
fn files_that_are_no_whole_library_are_refused_and_never_loaded() {
    let project = Project::new();
    let path = project.path("libdeft_odd.so");
    let whole = fs::read(panicky()).unwrap();
    for (bytes, says) in [
        (&whole[..whole.len() / 2], "is damaged, or only a part of it"),
        (&whole[..40], "is damaged, or only a part of it"),
        (&whole[..0], "the plugin's file is empty"),
        (b"<!DOCTYPE html>\n".as_slice(), "this file is no shared library"),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(&project, "p3, bm25, odd", &[says, "libdeft_odd.so"]);
        refused(&project, "p3, bm25, ./libdeft_odd.so", &[says, "libdeft_odd.so"]);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&project, "p3, bm25, odd", &["plugin `odd` is not found", "not a file: "]);
    refused(&project, "p3, bm25, ./libdeft_odd.so", &["not a file: ", "libdeft_odd.so"]);
    refused(&project, "p3, bm25, not-a-plugin", &["this library is no DEFT plugin", "deft_plugin"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let path = project.path("libdeft_secret.so");
    fs::copy(panicky(), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        deft_e2e::skipped("root may read every file");
        return;
    }
    let parts = ["cannot read the plugin", "libdeft_secret.so", "ermission denied"];
    refused(&project, "p3, bm25, secret", &parts);
}

#[test]
fn a_plugin_that_is_not_there_is_named_with_the_places_searched() {
    let project = Project::new();
    for (plugins, parts) in [
        ("p3, bm52", ["plugin `bm52` is not found", "searched: ", "did you mean `bm25`?"]),
        ("p3, deft-bm25", ["plugin `deft-bm25` is not found", "", "did you mean `bm25`?"]),
        ("p3, libdeft_bm25.so", ["", "", "did you mean `bm25`?"]),
        ("p3, t0/rte", ["plugin `t0/rte` is not found", "did you mean the plugin `t0`?", ""]),
        ("p3, ./gone.so", ["looked at: ", "gone.so", "relative to the manifest"]),
        ("p3, something-else", ["--plugin-dir or $DEFT_PLUGIN_PATH", "found there: ", "bm25"]),
    ] {
        refused(&project, plugins, &parts);
    }
    let parts = ["no loaded plugin has the retriever `bm25`", "add it to `plugins`"];
    refused(&project, "p3, t5, exact, dense", &parts);
}

#[test]
fn inspecting_and_listing_say_the_same_of_a_plugin_that_cannot_be_used() {
    let project = Project::new();
    let path = project.path("libdeft_old.so");
    copy_with_descriptor(&panicky(), &path, |descriptor| descriptor["interface"] = json!(9));
    let dir = project.dir().display().to_string();
    let inspected = Deft::new(&["plugin", "inspect", "old", "--plugin-dir", &dir]).run();
    assert_eq!(inspected.code, 2, "{}", inspected.stderr);
    assert!(inspected.stderr.contains("found: 9, wanted: 1"), "{}", inspected.stderr);
    let listed = Deft::new(&["plugin", "list", "--plugin-dir", &dir]).succeed();
    assert!(listed.stderr.contains("found: 9, wanted: 1"), "{}", listed.stderr);
    assert!(listed.stdout.contains("bm25"), "the others are listed: {}", program_dir().display());
}
