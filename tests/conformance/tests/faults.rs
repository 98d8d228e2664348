//! Every check can fail: a component that breaks its promise fails it, an honest one passes all.

use std::collections::BTreeSet;
use std::path::Path;

use deft_conformance::{Library, Outcome, Report};
use deft_core::Kind;
use serde_json::{Value, json};

fn library() -> Library {
    Library::of_package("deft-faulty")
}

/// The report of a component with options, on sources in a folder.
fn report(kind: Kind, options: Value, dir: &Path) -> Report {
    let library = library();
    match kind {
        Kind::Encoder => library.encoder("faulty", options).report(),
        Kind::Index => library.index("faulty", options).with_vectors(600, 8).report(),
        Kind::Retriever => library.retriever("faulty", options).with_checksums().report(),
        Kind::Trainer => library.trainer("faulty", options).report(),
        Kind::Reader => library
            .reader("faulty", options)
            .with_source(&dir.join("good.txt"))
            .with_empty(&dir.join("empty.txt"))
            .with_bad_row(&dir.join("bad.txt"), 3)
            .report(),
    }
}

fn sources() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let row = |row: usize| if row % 10 == 4 { String::new() } else { format!("text {row}\tyes") };
    let good: Vec<String> = (0..40).map(row).collect();
    for (name, text) in
        [("good.txt", &*good.join("\n")), ("empty.txt", ""), ("bad.txt", "a\tyes\nb\tno\nc\nd\tno")]
    {
        std::fs::write(dir.path().join(name), text).expect("writable");
    }
    dir
}

/// Honest components pass every check; each check fails for the fault of its name.
fn check_every_fault(kind: Kind) {
    let dir = sources();
    // An index that trains, so that what is promised of training is checked, too.
    let options = |fault: &str| match fault {
        "defaults" => json!({"grows": 1}),
        _ => json!({"fault": fault, "trains": kind == Kind::Index}),
    };
    let honest = report(kind, options(""), dir.path());
    let is_passed = |outcome: &Outcome| *outcome == Outcome::Passed;
    assert!(honest.tested.iter().all(|tested| is_passed(&tested.outcome)), "{honest}");
    let names: BTreeSet<_> = honest.tested.iter().map(|tested| tested.name).collect();
    assert_eq!(names.len(), honest.tested.len(), "two checks have one name");
    for name in names {
        let faulty = report(kind, options(name), dir.path());
        assert!(faulty.failed().contains(&name), "`{name}` does not fail for its fault:\n{faulty}");
    }
}

#[test]
fn every_check_of_an_encoder_can_fail() {
    check_every_fault(Kind::Encoder);
}

#[test]
fn every_check_of_an_index_can_fail() {
    check_every_fault(Kind::Index);
}

#[test]
fn every_check_of_a_retriever_can_fail() {
    check_every_fault(Kind::Retriever);
}

#[test]
fn every_check_of_a_reader_can_fail() {
    check_every_fault(Kind::Reader);
}

#[test]
fn every_check_of_a_trainer_can_fail() {
    check_every_fault(Kind::Trainer);
}

#[test]
fn a_fault_that_an_encoder_has_with_queries_alone_is_found() {
    let faults = "finite neighbours order threads concurrent odd_texts tokens cancelled";
    for fault in faults.split(' ') {
        let options = json!({"fault": fault, "only_for_queries": true});
        let report = library().encoder("faulty", options).report();
        assert!(report.failed().contains(&fault), "`{fault}` is not found:\n{report}");
    }
}

#[test]
fn bits_turned_over_are_looked_at_where_checksums_are_promised() {
    let report = library().retriever("faulty", json!({"fault": "damaged_bits"})).report();
    assert!(report.failed().is_empty(), "{report}");
    let skipped = report.tested.iter().find(|tested| tested.name == "damaged_bits");
    assert!(matches!(skipped.map(|it| &it.outcome), Some(Outcome::Skipped(_))), "{report}");
}

#[test]
fn an_index_that_does_not_train_skips_what_is_promised_of_training() {
    let report = library().index("faulty", json!({})).with_vectors(600, 8).report();
    let untrained = report.tested.iter().find(|tested| tested.name == "untrained");
    assert!(matches!(untrained.map(|it| &it.outcome), Some(Outcome::Skipped(_))), "{report}");
    assert!(report.failed().is_empty(), "{report}");
}

#[test]
fn a_failed_check_panics_with_the_promise_and_how_it_was_broken() {
    let broken = library().encoder("faulty", json!({"fault": "neighbours"}));
    let panic = std::panic::catch_unwind(|| broken.check()).expect_err("a promise is broken");
    let text = panic.downcast_ref::<String>().expect("a message");
    assert!(text.contains("encoder faulty: "), "{text}");
    assert!(text.contains("FAILED neighbours: a vector does not depend on"), "{text}");
}
