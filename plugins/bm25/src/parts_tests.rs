use std::path::PathBuf;

use super::*;
use crate::config::Bm25Config;
use crate::segment::analyzer_name;
use crate::testing::Host;
use crate::writer::segment_dir;

const TEXTS: [&str; 6] = ["one cat", "two dogs", "three", "four cats", "five", "six dogs"];

/// Three rows in each of two parts.
fn host(texts: &[&str]) -> Host {
    Host::prepared(Bm25Config::default(), texts, 3)
}

fn error_of(host: &Host, what: &str) -> Error {
    host.open().err().unwrap_or_else(|| panic!("it was opened: {what}"))
}

/// Asserts that the host refuses to open, and tells to remove the folder of this part.
fn assert_refused(host: &Host, part: usize, what: &str) -> Error {
    let error = error_of(host, what);
    let unit = host.unit(part).display().to_string();
    assert_eq!(error.kind(), ErrorKind::Data, "{what}: {error}");
    assert_eq!(error.context("folder"), Some(unit.as_str()), "{what}: {error}");
    let hint = error.hint().unwrap_or_default();
    assert!(hint.starts_with("remove the folder"), "{what}: {hint}");
    error
}

/// All files of a unit: the card, and those of the segment.
fn files(unit: &Path) -> Vec<PathBuf> {
    let segment = std::fs::read_dir(segment_dir(unit)).expect("the segment");
    let segment = segment.map(|entry| entry.expect("an entry").path());
    segment.chain([unit.join("bm25.json")]).collect()
}

/// Puts the unit `from` in the place of the unit `to`.
fn put(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).expect("removed");
    std::fs::create_dir_all(segment_dir(to)).expect("a folder");
    for file in files(from) {
        let name = file.strip_prefix(from).expect("within the unit");
        std::fs::copy(&file, to.join(name)).expect("copied");
    }
}

#[test]
fn a_byte_changed_in_any_file_of_a_unit_is_an_error_that_names_its_folder() {
    let host = host(&TEXTS);
    let files = files(&host.unit(1));
    for kind in ["fast", "term", "idx", "fieldnorm", "json"] {
        let has_kind = |file: &PathBuf| file.extension().is_some_and(|found| found == kind);
        assert!(files.iter().any(has_kind), "{kind}: {files:?}");
    }
    for file in files {
        let whole = std::fs::read(&file).expect("a file");
        for (at, mask) in [(0, 1), (whole.len() / 2, 1), (whole.len() / 2, 0xff)] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            std::fs::write(&file, &bytes).expect("written");
            assert_refused(&host, 1, &format!("{} at {at}", file.display()));
        }
        std::fs::write(&file, &whole).expect("written");
    }
    assert!(host.open().is_ok(), "all is as it was");
}

#[test]
fn files_that_are_cut_or_gone_are_named() {
    let host = host(&TEXTS);
    for file in files(&host.unit(1)) {
        let whole = std::fs::read(&file).expect("a file");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
        let cut = assert_refused(&host, 1, &name);
        std::fs::remove_file(&file).expect("removed");
        let gone = assert_refused(&host, 1, &name);
        for error in [cut, gone] {
            assert!(error.context("files").is_some_and(|files| files.contains(&name)), "{error}");
        }
        std::fs::write(&file, &whole).expect("written");
    }
}

#[test]
fn every_byte_of_a_card_counts() {
    let host = host(&TEXTS);
    let card = host.unit(0).join("bm25.json");
    let whole = std::fs::read(&card).expect("a card");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&card, &bytes).expect("written");
        assert_refused(&host, 0, &format!("byte {at}"));
    }
}

#[test]
fn every_byte_of_the_statistics_counts() {
    let host = host(&TEXTS);
    let file = host.statistics();
    let whole = std::fs::read(&file).expect("statistics");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).expect("written");
        let error = error_of(&host, &format!("byte {at}"));
        assert_eq!(error.context("file"), Some(file.display().to_string().as_str()), "{error}");
        assert_eq!(error.hint(), Some("remove the file: the next run makes it again"));
    }
}

#[test]
fn a_changed_number_of_documents_is_refused() {
    let host = host(&TEXTS);
    let mut statistics = Statistics::read(&host.statistics()).expect("statistics");
    statistics.documents += 1;
    statistics.write(&host.statistics()).expect("written");
    let error = error_of(&host, "a document more");
    assert_eq!(error.message(), "the statistics are not those of the index");
}

#[test]
fn a_part_in_the_place_of_another_is_refused() {
    let host = host(&TEXTS);
    put(&host.unit(0), &host.unit(1));
    let error = assert_refused(&host, 1, "part 0 over part 1");
    let named = (error.context("found"), error.context("wanted"));
    assert_eq!(named, (Some("3 rows from row 0"), Some("3 rows from row 3")));
}

#[test]
fn a_part_of_another_pool_is_refused_wherever_its_texts_differ() {
    // As many terms in each: the sums of the statistics do not tell.
    for row in 3..6 {
        let mut texts = TEXTS;
        texts[row] = if row == 4 { "other" } else { "other words" };
        let (host, other) = (host(&TEXTS), host(&texts));
        put(&other.unit(1), &host.unit(1));
        let error = assert_refused(&host, 1, &format!("row {row}"));
        assert_eq!(
            error.message(),
            "the index of this part is of another pool or another part",
            "row {row}"
        );
        put(&other.unit(0), &host.unit(0));
        assert_refused(&host, 1, "part 0, of the same texts, is no other");
    }
}

#[test]
fn statistics_of_another_pool_are_blamed_and_not_the_parts() {
    let mut texts = TEXTS;
    texts[4] = "other";
    let (host, other) = (host(&TEXTS), host(&texts));
    std::fs::copy(other.statistics(), host.statistics()).expect("copied");
    let error = error_of(&host, "other statistics");
    assert_eq!(error.message(), "the statistics are not those of the index");
    assert_eq!(error.context("folder"), None);
}

#[test]
fn a_foreign_part_is_found_even_if_the_statistics_are_foreign_too() {
    // Else whoever follows the hint makes statistics of the foreign part.
    let (mut a, mut b) = (TEXTS, TEXTS);
    (a[1], b[4]) = ("other words", "other");
    let (host, a, b) = (host(&TEXTS), host(&a), host(&b));
    std::fs::copy(a.statistics(), host.statistics()).expect("copied");
    put(&b.unit(1), &host.unit(1));
    assert_refused(&host, 1, "part 1 of a pool, statistics of another");
}

#[test]
fn an_index_of_a_longer_pool_is_refused() {
    let mut host = host(&TEXTS);
    host.examples.pop();
    let error = assert_refused(&host, 1, "a row less");
    let named = (error.context("found"), error.context("wanted"));
    assert_eq!(named, (Some("3 rows from row 3"), Some("2 rows from row 3")));
}

#[test]
fn an_index_of_another_version_of_the_analyser_is_refused_with_both_names() {
    let host = host(&TEXTS);
    let card = host.unit(0).join("bm25.json");
    let text = std::fs::read_to_string(&card).expect("a card");
    let other = text.replace(&analyzer_name(), "lucene_english_0");
    assert_ne!(text, other, "the card names the analyser");
    std::fs::write(&card, other).expect("written");
    let error = assert_refused(&host, 0, "other terms");
    let named = (error.context("found"), error.context("wanted"));
    assert_eq!(named, (Some("lucene_english_0"), Some(analyzer_name().as_str())));
}

#[test]
fn a_part_without_a_segment_is_refused_with_its_own_folder() {
    let host = host(&TEXTS);
    std::fs::remove_dir_all(segment_dir(&host.unit(1))).expect("removed");
    assert_refused(&host, 1, "no segment");
}

#[test]
fn the_statistics_are_the_same_however_often_a_part_is_built() {
    let read = |host: &Host| std::fs::read(host.statistics()).expect("statistics");
    assert_eq!(read(&host(&TEXTS)), read(&host(&TEXTS)), "tantivy's names are random, these not");
}
