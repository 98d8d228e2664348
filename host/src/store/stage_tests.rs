use super::super::Store;
use super::*;
use std::fs;

use deft_core::{ErrorKind, NoServices};
use serde_json::json;

fn names(dir: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    sorted_entries(dir).unwrap().iter().map(name).collect()
}

#[test]
fn a_failed_unit_leaves_nothing_and_a_done_one_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Store::new(dir.path()).stage("t5", "0123").unwrap();
    let fail = |path: &Path| {
        fs::write(path, "half").unwrap();
        Err(Error::new(ErrorKind::Io, "disk full"))
    };
    assert!(stage.commit_unit(3, ".bin", fail).is_err());
    assert_eq!(names(stage.dir()), ["card.json"]);
    stage.commit_unit(3, ".bin", |path| fs::write(path, "whole").or_io("x", path)).unwrap();
    assert_eq!(stage.units_left(4, ".bin"), [0, 1, 2]);
    assert_eq!(names(stage.dir()), ["card.json", "part-00003.bin"]);
}

#[test]
fn a_unit_that_another_process_committed_first_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Store::new(dir.path()).stage("bm25", "0123").unwrap();
    let unit = stage.unit(0, "");
    let late = |path: &Path| {
        fs::create_dir_all(&unit).or_io("x", &unit)?;
        fs::write(unit.join("theirs"), "").or_io("x", &unit)?;
        fs::create_dir(path).or_io("x", path)
    };
    stage.commit_unit(0, "", late).unwrap();
    assert!(unit.join("theirs").exists());
    assert_eq!(names(stage.dir()), ["card.json", "part-00000"]);
}

#[test]
fn a_folder_that_was_made_from_something_else_is_refused_with_both_fingerprints() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store.stage("faiss", "aaaa").unwrap().write_card(&json!({"encoder": "t5"})).unwrap();
    fs::rename(dir.path().join("faiss-aaaa"), dir.path().join("faiss-bbbb")).unwrap();
    let error = store.stage("faiss", "bbbb").unwrap_err();
    assert_eq!((error.context("found"), error.context("wanted")), (Some("aaaa"), Some("bbbb")));
}

#[test]
fn a_half_done_folder_that_was_renamed_is_refused_with_both_fingerprints() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let stage = store.stage("faiss", "aaaa").unwrap();
    stage.commit_unit(0, ".bin", |path| fs::write(path, "unit").or_io("x", path)).unwrap();
    fs::rename(dir.path().join("faiss-aaaa"), dir.path().join("faiss-bbbb")).unwrap();
    let error = store.stage("faiss", "bbbb").unwrap_err();
    assert_eq!((error.context("found"), error.context("wanted")), (Some("aaaa"), Some("bbbb")));
    fs::rename(dir.path().join("faiss-bbbb"), dir.path().join("faiss-aaaa")).unwrap();
    assert!(store.stage("faiss", "aaaa").unwrap().has_unit(0, ".bin"));
}

#[test]
fn a_stage_that_is_opened_again_keeps_its_card_and_makes_anew_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    store.stage("t5", "aaaa").unwrap().write_card(&json!({"rows": 3})).unwrap();
    let stage = store.stage("t5", "aaaa").unwrap();
    assert_eq!(stage.card::<Value>().unwrap()["rows"], 3);
    fs::write(stage.dir().join(CARD), "{\"fingerprint\": 3").unwrap();
    assert_eq!(store.stage("t5", "aaaa").unwrap().card::<Value>(), None);
    let card: Value = read_json(&stage.dir().join(CARD)).unwrap();
    assert_eq!((&card["fingerprint"], &card["complete"]), (&json!("aaaa"), &json!(false)));
}

#[test]
fn a_stage_that_is_a_link_to_another_disk_keeps_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("store"));
    let stage = store.stage("t5", "aaaa").unwrap();
    let moved = dir.path().join("elsewhere");
    fs::rename(stage.dir(), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, stage.dir()).unwrap();
    assert_eq!(store.stage("t5", "aaaa").unwrap().name(), "t5-aaaa");
}

#[test]
fn cards_are_read_back_by_stage_and_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let stage = store.stage("t5", "aaaa").unwrap();
    assert_eq!(stage.card::<Value>(), None);
    stage.write_card(&json!({"rows": 3})).unwrap();
    assert_eq!(stage.card::<Value>().unwrap()["rows"], 3);
    store.stage("t5x", "cccc").unwrap().write_card(&json!({"rows": 4})).unwrap();
    let cards = store.cards::<Value>("t5");
    assert_eq!(cards.len(), 1, "another name with the same beginning is no card of this one");
    assert_eq!(cards[0].0, "t5-aaaa");
}

#[test]
fn a_card_is_amended_by_many_at_once_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Store::new(dir.path()).stage("t5", "aaaa").unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let add = |number: usize| {
        stage.amend_card("adding", &ctx, |card| {
            card["measured"].as_array_mut().unwrap().push(number.into());
        })
    };
    add(0).unwrap();
    assert_eq!(stage.card::<Value>(), None, "a stage that is not complete has no card");
    stage.write_card(&json!({"measured": []})).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || add(number).unwrap());
        }
    });
    let card: Value = stage.card().unwrap();
    assert_eq!(card["measured"].as_array().unwrap().len(), 4);
    assert_eq!(names(stage.dir()), ["card.json"]);
}

#[test]
fn a_stage_in_use_is_not_discarded_before_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let stage = store.stage("t5", "aaaa").unwrap();
    fs::write(stage.unit(0, ""), "").unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    std::thread::scope(|scope| {
        let discarding = scope.spawn(|| store.discard("t5", "aaaa", &ctx).unwrap());
        std::thread::sleep(2 * TRY_AGAIN);
        assert!(stage.has_unit(0, ""), "it is in use");
        drop(stage);
        discarding.join().unwrap();
    });
    assert!(names(dir.path()).is_empty());
}

#[test]
fn two_runs_that_wait_to_discard_a_stage_discard_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let user = store.stage("t5", "aaaa").unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let rebuild = || {
        store.discard("t5", "aaaa", &ctx).unwrap();
        let stage = store.stage("t5", "aaaa").unwrap();
        fs::write(stage.unit(0, ""), "new").unwrap();
        // Long enough for the other to find what is new.
        std::thread::sleep(4 * TRY_AGAIN);
        drop(stage);
        std::thread::sleep(4 * TRY_AGAIN);
        assert!(store.stage("t5", "aaaa").unwrap().has_unit(0, ""), "what was made is gone");
    };
    std::thread::scope(|scope| {
        let runs = [scope.spawn(rebuild), scope.spawn(rebuild)];
        std::thread::sleep(2 * TRY_AGAIN);
        drop(user);
        for run in runs {
            run.join().unwrap();
        }
    });
}

#[test]
fn a_stage_that_is_peeked_at_is_found_and_one_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("store"));
    assert!(store.peek("t5", "aaaa").is_none() && !dir.path().join("store").exists());
    let stage = store.stage("t5", "aaaa").unwrap();
    fs::write(stage.unit(0, ""), "").unwrap();
    let peeked = store.peek("t5", "aaaa").unwrap();
    assert_eq!((peeked.name(), peeked.units_left(2, "")), ("t5-aaaa", vec![1]));
    assert!(store.peek("t5", "bbbb").is_none());
    assert_eq!(names(&dir.path().join("store")), ["t5-aaaa"]);
}

#[test]
fn what_nobody_uses_is_discarded_and_what_another_uses_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    let [mut one, mut other] = [0, 1].map(|_| store.stage("t5", "aaaa").unwrap());
    fs::write(one.unit(0, ""), "12345").unwrap();
    one.give_up();
    assert_eq!(one.discard_if_unused().unwrap(), None);
    assert!(one.has_unit(0, ""), "the other uses it");
    other.give_up();
    assert!(other.discard_if_unused().unwrap().is_some_and(|bytes| bytes > 5));
    assert!(names(dir.path()).is_empty());
    assert_eq!(one.discard_if_unused().unwrap(), None, "it is gone");
    let unused = store.unused("t5", "aaaa").unwrap();
    assert_eq!((unused.name(), unused.units_left(1, "")), ("t5-aaaa", vec![0]));
    assert!(names(dir.path()).is_empty(), "nothing is made");
}
