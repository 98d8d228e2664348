//! Runs in the form of TREC, as `hits.run` and what most retrieval tools write: a hit on a line,
//! `qid Q0 docid rank score tag`.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt, excerpt};
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
}

impl TrecRun {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be read; [`ErrorKind::Data`] with file and line for what is no
    /// hit, or one that is there already, and for a file without any.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).or_io("cannot open the run", path)?;
        let mut run = Self::default();
        for (number, line) in (1_usize..).zip(BufReader::new(file).lines()) {
            line.or_io("cannot read the run", path).and_then(|line| run.add(&line)).map_err(
                |error| {
                    let error = if error.kind() == ErrorKind::Data {
                        error.with_context("file", path.display())
                    } else {
                        error
                    };
                    error.with_context("line", number)
                },
            )?;
        }
        if run.queries.is_empty() {
            return Err(Error::new(ErrorKind::Data, "the run has no hits")
                .with_context("file", path.display()));
        }
        Ok(run)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [query, _, id, rank, score, _] = fields[..] else {
            if fields.is_empty() {
                return Ok(());
            }
            let count = fields.len();
            return Err(wrong(&format!("a hit has 6 fields, and this line {count}"), line));
        };
        let rank = rank.parse().map_err(|_| wrong("the rank is no whole number", rank))?;
        let score: f64 = score.parse().map_err(|_| wrong("the score is no number", score))?;
        if !score.is_finite() {
            return Err(wrong("the score is not finite", &score.to_string()));
        }
        let hits = self.queries.entry(query.to_owned()).or_default();
        if hits.insert(id.to_owned(), Ranked { rank, score }).is_some() {
            return Err(Error::new(ErrorKind::Data, "a query has a hit twice")
                .with_context("query", excerpt(query))
                .with_context("docid", excerpt(id)));
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

fn wrong(what: &str, found: &str) -> Error {
    Error::new(ErrorKind::Data, what)
        .with_context("found", excerpt(found))
        .with_hint("a line of a run is `qid Q0 docid rank score tag`")
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
            ("1 Q0 d 1 0.5", "a hit has 6 fields, and this line 5"),
            ("1 Q0 d first 0.5 t", "the rank is no whole number"),
            ("1 Q0 d 2 much t", "the score is no number"),
            ("1 Q0 d 2 nan t", "the score is not finite"),
            ("1 Q0 e 2 0.5 t", "a query has a hit twice"),
        ] {
            let error = read(&format!("1 Q0 e 1 1.5 t\n{line}\n")).unwrap_err();
            assert_eq!((error.message(), error.context("line")), (message, Some("2")));
            assert!(error.context("file").unwrap().ends_with("a.run"), "{error}");
        }
        assert_eq!(read("\n").unwrap_err().message(), "the run has no hits");
        let missing = TrecRun::read(Path::new("/nowhere/a.run")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Io);
    }
}
