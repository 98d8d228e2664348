//! What may be wrong with the files of a data set, for every reader: each fault is a clear error or a
//! counted skip. A fault that a reader cannot meet is named as such in its table, with the reason.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod fault;

use std::fs;

use fault::{Answer, Layout, Subject, arrow, other_columns, parquet, subjects};
use serde_json::Value;

/// Bytes of a row that is read, and of one that is too long: the limit is 64 MiB.
const LONG: usize = 50 << 20;
const TOO_LONG: usize = 65 << 20;

/// Calls for every reader that can meet the fault.
fn each(of: fn(&Subject) -> &Answer, check: impl Fn(&Subject, &Answer)) {
    let mut met = 0;
    for subject in &subjects() {
        let answer = of(subject);
        if !matches!(answer, Answer::CannotBe(_)) {
            check(subject, answer);
            met += 1;
        }
    }
    assert!(met > 1, "no reader meets the fault");
}

/// The good record twice.
fn two(subject: &Subject) -> [Value; 2] {
    [subject.record.clone(), subject.record.clone()]
}

/// Two records, the second of which has a long field that is not read.
fn with_ballast(subject: &Subject, bytes: usize) -> String {
    let mut records = two(subject);
    records[1]["ballast"] = "x".repeat(bytes).into();
    subject.file(&records).1
}

#[test]
fn every_reader_reads_its_good_records_and_tells_how_many() {
    for subject in &subjects() {
        let records = vec![subject.record.clone(); 3];
        let (name, content) = subject.file(&records);
        subject.read_file(name, content.as_bytes()).has_examples("good", 3 * subject.examples);
    }
}

#[test]
fn a_mistake_in_a_record_is_an_error_at_its_row_or_a_counted_skip() {
    for subject in &subjects() {
        for (what, case) in subject.mistakes.all() {
            if matches!(case.answer, Answer::CannotBe(_)) {
                continue;
            }
            let records = [subject.record.clone(), case.spoil(&subject.record)];
            let (name, content) = subject.file(&records);
            let done = subject.read_file(name, content.as_bytes());
            let is_left_out = matches!(case.answer, Answer::LeftOut(_));
            let good = if is_left_out { subject.examples } else { 2 * subject.examples };
            done.check(what, &case.answer, good, subject.second());
        }
    }
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_change_nothing() {
    for subject in &subjects() {
        let (name, plain) = subject.file(&two(subject));
        let windows = match subject.layout {
            Layout::Lines => plain.replace('\n', "\r\n"),
            Layout::Document(_, of) => {
                serde_json::to_string_pretty(&of(&two(subject))).unwrap().replace('\n', "\r\n")
            }
        };
        let expected = subject.read_file(name, plain.as_bytes()).output.stdout;
        for (what, content) in [
            ("a mark", format!("\u{feff}{plain}")),
            ("CRLF", windows.clone()),
            ("both", format!("\u{feff}{windows}")),
        ] {
            let done = subject.read_file(name, content.as_bytes());
            done.has_examples(what, 2 * subject.examples);
            assert_eq!(done.output.stdout, expected, "{what}: {}", subject.reader);
        }
    }
}

#[test]
fn text_that_is_no_utf8_is_named_by_its_place() {
    each(
        |subject| &subject.no_utf8,
        |subject, answer| {
            let records = [subject.record.clone(), subject.with_text("caf@")];
            let (name, content) = subject.file(&records);
            let mut bytes = content.into_bytes();
            let found = bytes.windows(4).position(|window| window == b"caf@").unwrap();
            bytes[found + 3] = 0xe9;
            subject.read_file(name, &bytes).check("Latin 1", answer, 0, "");
        },
    );
}

#[test]
fn a_row_of_50_mb_is_read_and_a_longer_one_than_64_mib_is_refused() {
    each(
        |subject| &subject.too_long,
        |subject, answer| {
            let (name, good) = (subject.file(&two(subject)).0, 2 * subject.examples);
            let long = with_ballast(subject, LONG);
            subject.read_file(name, long.as_bytes()).has_examples("50 MB", good);
            let too_long = with_ballast(subject, TOO_LONG);
            subject.read_file(name, too_long.as_bytes()).check("65 MiB", answer, good, "");
        },
    );
}

#[test]
fn a_file_of_nothing_is_an_error() {
    each(
        |subject| &subject.nothing,
        |subject, answer| {
            let (name, _) = subject.file(&two(subject));
            subject.read_file(name, b"").check("an empty file", answer, 0, "");
        },
    );
}

#[test]
fn a_parquet_file_of_other_columns_is_told_with_those_that_it_has() {
    let bytes = parquet(&other_columns());
    each(
        |subject| &subject.other_columns,
        |subject, answer| {
            subject.read_file("a.parquet", &bytes).check("other columns", answer, 0, "");
        },
    );
}

#[test]
fn an_arrow_file_that_is_cut_short_is_damaged() {
    let bytes = arrow(&other_columns());
    each(
        |subject| &subject.cut_arrow,
        |subject, answer| {
            let cut = &bytes[..bytes.len() - 200];
            subject.read_file("a.arrow", cut).check("cut short", answer, 0, "");
        },
    );
}

#[test]
fn a_folder_is_read_file_by_file_without_what_is_hidden_or_foreign() {
    each(
        |subject| &subject.folder,
        |subject, answer| {
            let dir = tempfile::tempdir().unwrap();
            let (name, content) = subject.file(&two(subject));
            fs::create_dir(dir.path().join("more")).unwrap();
            fs::write(dir.path().join(name), &content).unwrap();
            fs::write(dir.path().join("more").join(name), &content).unwrap();
            fs::write(dir.path().join(format!(".{name}")), "hidden").unwrap();
            fs::write(dir.path().join("README.md"), "foreign").unwrap();
            let done = subject.read(dir.path());
            done.check("a folder", answer, 4 * subject.examples, "");
            let stderr = &done.output.stderr;
            assert!(stderr.contains("2 files, 2 ignored"), "{}: {stderr}", subject.reader);
        },
    );
}

#[test]
fn a_row_that_is_left_out_of_a_folder_is_told_with_its_file() {
    let rte = &subjects()[0];
    let dir = tempfile::tempdir().unwrap();
    let (_, good) = rte.file(&two(rte));
    fs::write(dir.path().join("a.jsonl"), &good).unwrap();
    fs::write(dir.path().join("b.jsonl"), format!("{good}\n{good}\n")).unwrap();
    let done = rte.read(dir.path());
    done.has_examples("an empty line", 6);
    let path = dir.path().join("b.jsonl");
    let says = format!("{}: rows are left out from row 3 on (empty line)", path.display());
    assert!(done.output.stderr.contains(&says), "no «{says}» in:\n{}", done.output.stderr);
}

#[test]
fn a_folder_without_a_match_is_an_error() {
    for subject in &subjects() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "no data").unwrap();
        let says = ["the folder holds no file of a known form", "hint: "];
        subject.read(dir.path()).is_error("a folder without a match", &says, "");
    }
}
