//! The most likely mistakes of a new user, and what the program says: `docs/mistakes.md`.
//!
//! Every mistake is made on a small project; what the program prints must be what the page shows.
//! With `DEFT_BLESS=1` in the environment the page is written anew.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod mistake;

use std::fmt::Write as _;
use std::path::Path;

use deft_e2e::skipped;
use mistake::{Mistake, data, install, manifest, models, plugins, running};

const HEAD: &str = "\
# Mistakes, and what the program says

Every message here was printed by the program; a test compares them.
A message has the place, what was found, what is allowed or was looked at, and, after `hint:`, what to do.
The exit code is 2 for what a manifest, a command line or a plugin gets wrong, and 1 for what goes wrong at work.
`…/project` is the folder of the manifest, `…/bin` that of the program.
`deft check manifest.yaml` finds everything with exit code 2 before anything runs.
";

/// The page, made by making every mistake.
fn page(bin: &Path) -> String {
    let mut page = HEAD.to_owned();
    let chapters: [(&str, Vec<Mistake>); 5] = [
        ("The manifest", manifest()),
        ("Plugins", plugins()),
        ("Data", data()),
        ("Models", models()),
        ("Running", running()),
    ];
    for (title, mistakes) in chapters {
        let _ = write!(page, "\n## {title}\n");
        for mistake in mistakes {
            let made = mistake.make(bin);
            assert!(made.code == 1 || made.code == 2, "{}: exit code {}", mistake.what, made.code);
            let _ = write!(
                page,
                "\n**{}** Exit code {}.\n\n```\n$ {}\n{}\n```\n",
                mistake.what,
                made.code,
                mistake.command(),
                made.message
            );
        }
    }
    page
}

#[test]
fn the_page_of_mistakes_shows_what_the_program_says() {
    if !cfg!(target_os = "linux") {
        skipped("names of libraries and texts of the system are those of Linux");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mistakes.md");
    let bin = tempfile::tempdir().unwrap();
    install(bin.path());
    let page = page(bin.path());
    if std::env::var_os("DEFT_BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (now, then) in page.lines().zip(written.lines()) {
        assert_eq!(now, then, "write docs/mistakes.md anew with DEFT_BLESS=1, and read it");
    }
    assert_eq!(page.lines().count(), written.lines().count(), "docs/mistakes.md");
}
