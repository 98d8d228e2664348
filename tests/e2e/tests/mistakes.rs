//! The most likely mistakes of a new user, and what the program says: `docs/mistakes.md`.
//!
//! Every mistake is made on a small project; what the program prints must be what the page shows, in
//! its table and below. With `DEFT_BLESS=1` in the environment the page is written anew.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod mistake;

use std::fmt::Write as _;
use std::path::Path;

use deft_e2e::skipped;
use mistake::{Made, Mistake, data, install, manifest, models, plugins, running};

const HEAD: &str = "\
# Mistakes, and what the program says

Every message here was printed by the program; a test compares them.
A message has the place, what was found, what is allowed or was looked at, and, after `hint:`, what to do.
The exit code is 2 for what a manifest, a command line or a plugin gets wrong, and 1 for what goes wrong at work.
`…/project` is the folder of the manifest, `…/bin` that of the program.
`deft check manifest.yaml` finds most of what ends with exit code 2 before anything runs; what follows
from the data or the model (an empty selection, `modules` that the network lacks) shows later.

These twenty are the likeliest; the command and the whole message of each, and of others, are below.
";

/// The likeliest mistakes of a new user, for the table: each has a remedy.
const LIKELIEST: [&str; 20] = [
    "The manifest is in another folder.",
    "A line is indented with a tab.",
    "A key is misspelt.",
    "An option of a component is misspelt.",
    "A list is written as one word.",
    "A text with a colon and a space has no quotes.",
    "A variable of the environment is not set.",
    "`--set` has no value.",
    "A plugin's name is misspelt.",
    "A component is used whose plugin is not in `plugins`.",
    "A component is listed in place of its plugin.",
    "A plugin was not built again after an update of DEFT.",
    "The pool's file is not there.",
    "A path is written as seen from the shell, not from the manifest.",
    "The reader does not fit the file.",
    "A `.json` file with one list is given as JSON lines.",
    "A download was interrupted.",
    "The model is not in the cache, and HF_HUB_OFFLINE is set.",
    "The model's folder has no weights.",
    "A GPU is asked for that this build cannot use.",
];

/// A title, and mistakes with what the program says.
type Chapter = (&'static str, Vec<(Mistake, Made)>);

/// The page, made by making every mistake.
fn page(bin: &Path) -> String {
    let make = |mistake: Mistake| {
        let made = mistake.make(bin);
        assert!(made.code == 1 || made.code == 2, "{}: exit code {}", mistake.what, made.code);
        (mistake, made)
    };
    let chapters: [Chapter; 5] = [
        ("The manifest", manifest()),
        ("Plugins", plugins()),
        ("Data", data()),
        ("Models", models()),
        ("Running", running()),
    ]
    .map(|(title, mistakes)| (title, mistakes.into_iter().map(make).collect()));
    let mut page = format!("{HEAD}{}", table(&chapters));
    for (title, mistakes) in chapters {
        let _ = write!(page, "\n## {title}\n");
        for (mistake, made) in mistakes {
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

/// The likeliest mistakes with the first line of what the program says, and its advice.
fn table(chapters: &[Chapter]) -> String {
    let mut table = "\n| mistake | message | what to do |\n|---|---|---|\n".to_owned();
    for what in LIKELIEST {
        let mut all = chapters.iter().flat_map(|(_, mistakes)| mistakes);
        let (_, made) = all.find(|(mistake, _)| mistake.what == what).expect(what);
        let (message, hint) = made.message.split_once("\n\nhint: ").expect(what);
        let [message, hint] = [message, hint].map(|text| text.replace('|', "\\|"));
        let _ = writeln!(table, "| {what} | `` {message} `` | {hint} |");
    }
    table
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
