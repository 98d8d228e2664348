//! Runs in the form of TREC, as `hits.run` and what most retrieval tools write: a hit on a line,
//! `qid Q0 docid rank score tag`.

use std::cmp::Ordering;
use std::fs;
use std::io::{BufRead, ErrorKind as IoErrorKind};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt, excerpt};
use deft_lines::Compression;
use indexmap::IndexMap;

/// The hits of several queries, these in the order of the file.
#[derive(Debug, Default)]
pub struct TrecRun {
    queries: IndexMap<String, IndexMap<String, Ranked>>,
}

/// What a line says of a document.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    rank: u64,
    score: f64,
    /// The line's number, from 1.
    line: usize,
}

impl TrecRun {
    /// Reads a file, compressed where its name ends in `.gz` or `.zst`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be read; [`ErrorKind::Data`] with file and line for what is no
    /// hit, or one that is there already, for damaged compression, and for a file without any hit.
    pub fn read(path: &Path) -> Result<Self> {
        let (mut input, compression) = open(path)?;
        let mut run = Self::default();
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|source| compression.unreadable(path, &source))? == 0 {
                break;
            }
            number += 1;
            run.add(&line, number).map_err(|error| {
                error.with_context("file", path.display()).with_context("line", number)
            })?;
        }
        if run.queries.is_empty() {
            return Err(Error::new(ErrorKind::Data, "the run has no hits")
                .with_context("file", path.display())
                .with_hint("leave it out, or give the file that has them"));
        }
        Ok(run)
    }

    fn add(&mut self, line: &[u8], number: usize) -> Result<()> {
        let text = std::str::from_utf8(line)
            .map_err(|_| wrong("the line is not in UTF-8", &String::from_utf8_lossy(line)))?;
        // Some editors put a mark in front, which would be a part of the first query's name.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [query, _, id, rank, score, _] = fields[..] else {
            if fields.is_empty() {
                return Ok(());
            }
            let count = fields.len();
            return Err(wrong(&format!("a hit has 6 fields, and this line has {count}"), text));
        };
        let rank = rank.parse().map_err(|_| wrong("the rank is no whole number", rank))?;
        let score: f64 = score.parse().map_err(|_| wrong("the score is no number", score))?;
        if !score.is_finite() {
            return Err(wrong("the score is not finite", &score.to_string()));
        }
        let hits = self.queries.entry(query.to_owned()).or_default();
        if let Some(before) = hits.insert(id.to_owned(), Ranked { rank, score, line: number }) {
            return Err(Error::new(ErrorKind::Data, "a query has one document twice")
                .with_context("query", excerpt(query))
                .with_context("docid", excerpt(id))
                .with_context("first in line", before.line)
                .with_hint(
                    "remove one of the two lines; if they are of two runs, give two files",
                ));
        }
        Ok(())
    }

    /// The queries, in the order of the file.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.queries.keys().map(String::as_str)
    }

    /// The hits of a query with their scores, best first. Of equal scores, which rounding may have
    /// made so, the smaller rank comes first, and then the smaller docid.
    pub fn hits(&self, query: &str) -> Vec<(&str, f64)> {
        let Some(hits) = self.queries.get(query) else { return Vec::new() };
        let mut hits: Vec<(&str, &Ranked)> =
            hits.iter().map(|(id, it)| (id.as_str(), it)).collect();
        hits.sort_by(|(a, ranked_a), (b, ranked_b)| {
            let by_score = ranked_b.score.total_cmp(&ranked_a.score);
            by_score.then(ranked_a.rank.cmp(&ranked_b.rank)).then_with(|| compare_ids(a, b))
        });
        hits.into_iter().map(|(id, ranked)| (id, ranked.score)).collect()
    }
}

/// Opens a run, decompressed as its name says.
fn open(path: &Path) -> Result<(Box<dyn BufRead + Send>, Compression)> {
    let refused = |kind: ErrorKind, message: &str| {
        Error::new(kind, message).with_context("path", path.display()).with_hint(
            "a run is a file, as `hits.run` in runs/NAME/tasks/TASK/ARM; \
             a path starts at the working directory",
        )
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            return Err(refused(ErrorKind::Io, "there is no such run"));
        }
        found => found.or_io("cannot open the run", path)?,
    };
    if metadata.is_dir() {
        return Err(refused(ErrorKind::Data, "this is a folder, and no run"));
    }
    let (compression, _) = Compression::of_name(path);
    let mut input = compression.open(path)?;
    let head = input.fill_buf().map_err(|source| compression.unreadable(path, &source))?;
    let content = Compression::of_content(head);
    if content == Compression::None {
        return Ok((input, compression));
    }
    let message =
        format!("the run is compressed with {}, but its name does not say so", content.content());
    Err(Error::new(ErrorKind::Data, message)
        .with_context("file", path.display())
        .with_hint("let its name end in `.gz` (gzip) or `.zst` (zstd), or decompress it"))
}

fn wrong(what: &str, found: &str) -> Error {
    Error::new(ErrorKind::Data, what)
        .with_context("found", excerpt(found))
        .with_hint("a line of a run is `qid Q0 docid rank score tag`, as in `hits.run`")
}

/// The order of docids: whole numbers by value, as those of `hits.run`, and before all others.
pub fn compare_ids(a: &str, b: &str) -> Ordering {
    let number = |id: &str| id.parse::<u64>().ok();
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &str) -> Result<TrecRun> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.run");
        std::fs::write(&path, text).unwrap();
        TrecRun::read(&path)
    }

    #[test]
    fn a_run_has_its_queries_in_the_order_of_the_file_and_their_hits_best_first() {
        let run = read("7 Q0 d2 2 0.5 t\n7 Q0 d1 1 2.5 t\n\n3\tQ0\td9\t1\t-1e2\tt\n").unwrap();
        assert_eq!(run.queries().collect::<Vec<_>>(), ["7", "3"]);
        assert_eq!(run.hits("7"), [("d1", 2.5), ("d2", 0.5)]);
        assert_eq!(run.hits("3"), [("d9", -100.0)]);
        assert!(run.hits("5").is_empty());
    }

    #[test]
    fn equal_scores_are_told_apart_by_rank_and_then_by_docid() {
        let run = read("1 Q0 10 3 1 t\n1 Q0 x 2 1 t\n1 Q0 9 3 1 t\n1 Q0 b 3 1 t\n").unwrap();
        let ids: Vec<_> = run.hits("1").into_iter().map(|hit| hit.0).collect();
        assert_eq!(ids, ["x", "9", "10", "b"]);
    }

    #[test]
    fn what_is_no_hit_is_named_with_file_and_line() {
        for (line, message) in [
            ("1 Q0 d 1 0.5", "a hit has 6 fields, and this line has 5"),
            ("1 Q0 d first 0.5 t", "the rank is no whole number"),
            ("1 Q0 d 2 much t", "the score is no number"),
            ("1 Q0 d 2 nan t", "the score is not finite"),
            ("1 Q0 e 2 0.5 t", "a query has one document twice"),
        ] {
            let error = read(&format!("1 Q0 e 1 1.5 t\n{line}\n")).unwrap_err();
            assert_eq!((error.message(), error.context("line")), (message, Some("2")));
            assert!(error.context("file").unwrap().ends_with("a.run"), "{error}");
        }
        assert_eq!(read("\n").unwrap_err().message(), "the run has no hits");
    }

    #[test]
    fn a_document_that_is_there_twice_is_named_with_both_lines() {
        let error = read("1 Q0 d 1 1.5 t\n2 Q0 d 1 1.5 t\n\n1 Q0 d 2 0.5 t\n").unwrap_err();
        assert_eq!((error.context("query"), error.context("docid")), (Some("1"), Some("d")));
        assert_eq!((error.context("first in line"), error.context("line")), (Some("1"), Some("4")));
        assert!(error.hint().unwrap().contains("give two files"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_with_what_a_run_is() {
        let missing = TrecRun::read(Path::new("/nowhere/a.run")).unwrap_err();
        assert_eq!((missing.kind(), missing.message()), (ErrorKind::Io, "there is no such run"));
        let dir = tempfile::tempdir().unwrap();
        let folder = TrecRun::read(dir.path()).unwrap_err();
        assert_eq!(folder.message(), "this is a folder, and no run");
        for error in [missing, folder] {
            assert!(error.hint().unwrap().contains("`hits.run`"), "{error}");
        }
    }

    #[test]
    fn a_compressed_run_is_read_by_its_name_and_without_it_told_as_what_it_is() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"7 Q0 d1 1 2.5 t\n").unwrap();
        let gzip = encoder.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (named, unnamed) = (dir.path().join("a.run.gz"), dir.path().join("a.run"));
        std::fs::write(&named, &gzip).unwrap();
        assert_eq!(TrecRun::read(&named).unwrap().hits("7"), [("d1", 2.5)]);
        std::fs::write(&unnamed, &gzip).unwrap();
        let error = TrecRun::read(&unnamed).unwrap_err();
        assert_eq!(
            error.message(),
            "the run is compressed with gzip, but its name does not say so"
        );
        assert!(error.hint().unwrap().contains("`.gz`"), "{error}");
        std::fs::write(&named, &gzip[..gzip.len() - 6]).unwrap();
        let error = TrecRun::read(&named).unwrap_err();
        assert_eq!(error.message(), "the compressed file is damaged or incomplete");
    }

    #[test]
    fn a_mark_in_front_is_no_part_of_a_query_and_what_is_no_text_is_told() {
        let run = read("\u{feff}7 Q0 d1 1 2.5 t\n7 Q0 d2 2 1 t\n").unwrap();
        assert_eq!(run.queries().collect::<Vec<_>>(), ["7"]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.run");
        std::fs::write(&path, b"7 Q0 d1 1 2.5 t\n7 Q0 d\xe9 1 2.5 t\n").unwrap();
        let error = TrecRun::read(&path).unwrap_err();
        assert_eq!(error.message(), "the line is not in UTF-8");
        assert_eq!(error.context("line"), Some("2"));
    }
}
