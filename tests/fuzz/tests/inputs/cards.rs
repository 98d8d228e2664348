//! What the store keeps as JSON beside its outputs.

use std::fs;
use std::time::Duration;

use deft_core::Examples;
use deft_fuzz::{Seed, fuzz};

use crate::parquets::{SmallPool, read_pool};

const WORDS: &[&str] = &[
    "\"rows\":",
    "\"rows_per_part\":",
    "\"rows\": 0,",
    "\"rows_per_part\": 0,",
    "\"skipped\":",
    "\"stamp\":",
    "\"sha256\":",
    "null",
    "[[[[",
    "{\"a\":",
    "1e400",
];

#[test]
fn mutated_cards_of_pools_are_believed_or_made_again() {
    let small = SmallPool::new();
    let card = small.open().expect("a pool").dir().join("card.json");
    let seed = Seed::new(fs::read(&card).expect("a card"));
    fuzz("card", &[seed], WORDS, |input| {
        fs::write(&card, input).expect("written");
        small.open().iter().for_each(read_pool);
    });
}

#[test]
fn mutated_notes_of_hashes_are_believed_or_made_again() {
    let small = SmallPool::new();
    // The hash of a file that has just changed is not noted: within a tick it may change again.
    std::thread::sleep(Duration::from_millis(2500));
    small.open().expect("a pool");
    let notes: Vec<_> = fs::read_dir(small.store().join("hashes"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    let seed = Seed::new(fs::read(&notes[0]).expect("a note"));
    fuzz("hash-note", &[seed], WORDS, |input| {
        fs::write(&notes[0], input).expect("written");
        if let Some(pool) = small.open() {
            assert_eq!(pool.len(), SmallPool::ROWS);
        }
    });
}
