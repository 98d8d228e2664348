//! A FAISS index, with errors that name what to do.

use std::path::Path;

use deft_core::{Error, ErrorKind, Hit, Result, ResultExt};
use deft_scan::Metric;
use faiss::index::autotune::ParameterSpace;
use faiss::index::io::{IoFlags, read_index_with_flags, write_index};
use faiss::index::{Index as _, IndexImpl, index_factory};
use faiss::metric::MetricType;

use crate::kind;

/// FAISS's `IO_FLAG_MMAP_IFC`, which the crate has no name for: files are mapped where an index can
/// be used so. (The crate's `MEM_MAP` is 1, which FAISS reads as something else.)
const MAPPED: i32 = 512;

/// A dimension that most numbers of codes divide.
const DIVISIBLE: usize = 7680;

/// The key of FAISS's own words in an error.
const SAYS: &str = "FAISS says";

/// A FAISS index; all calls that FAISS allows one at a time take `&mut self`.
pub(crate) struct Native(IndexImpl);

impl Native {
    /// A new, empty index.
    pub(crate) fn new(factory: &str, dimension: usize, metric: Metric) -> Result<Self> {
        let size = u32::try_from(dimension).or_error(ErrorKind::Options, "vectors are too long")?;
        let index = index_factory(size, factory, metric_type(metric)).map_err(|error| {
            Error::option_at("factory", "FAISS cannot make this index")
                .with_context("factory", factory)
                .with_context("dimension", dimension)
                .with_context(SAYS, reason(&error))
                .with_hint("look at the spelling, and at the numbers: they divide the dimension")
        })?;
        let index = Self(index);
        if index.metric() != metric {
            return Err(Error::option_at(
                "metric",
                "FAISS makes this index with the metric l2, whatever it is asked for",
            )
            .with_context("factory", factory)
            .with_context("metric", metric)
            .with_hint(
                "use `metric: l2` (the same order where vectors have length 1: `normalize: true`)",
            ));
        }
        Ok(index)
    }

    /// Refuses a factory string that FAISS does not understand, whatever the dimension.
    pub(crate) fn check_spelling(factory: &str, metric: Metric) -> Result<()> {
        let spelt = Self::new(factory, DIVISIBLE, metric);
        let is_unknown = |error: &Error| {
            error.context(SAYS).is_some_and(|reason| reason.contains("could not parse"))
        };
        match spelt {
            Err(error) if is_unknown(&error) || error.option() == Some("metric") => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads an index file; mapped, where that is asked for and FAISS can.
    pub(crate) fn read(path: &Path, mapped: bool) -> Result<Self> {
        let name = path_text(path)?;
        kind::check(path)?;
        let read = |flags: i32| read_index_with_flags(name, IoFlags::from(flags));
        let index = if mapped { read(MAPPED).or_else(|_| read(0)) } else { read(0) };
        index.map(Self).map_err(|error| {
            Error::new(ErrorKind::Data, "FAISS cannot read this index")
                .with_context("file", path.display())
                .with_context(SAYS, reason(&error))
        })
    }

    /// Writes the index to a new file, and sees it on the disk.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_index(&self.0, path_text(path)?).map_err(|error| {
            // FAISS tells a full disk as a failed write among other failures.
            Error::new(ErrorKind::Io, "cannot write the index")
                .with_context("file", path.display())
                .with_context(SAYS, reason(&error))
                .with_hint("look at the free space on the disk")
        })?;
        // Errors of closing a file are only printed by FAISS: here they are told.
        std::fs::File::open(path)
            .and_then(|file| file.sync_all())
            .or_io("cannot write the index", path)
    }

    pub(crate) fn train(&mut self, sample: &[f32]) -> Result<()> {
        self.0.train(sample).map_err(|error| {
            Error::new(ErrorKind::Data, "FAISS cannot train on this sample")
                .with_context("vectors", sample.len() / self.dimension())
                .with_context(SAYS, reason(&error))
                .with_hint("codes of 8 bits need 256 vectors, IVF one for each list: use `exact` for so small a pool")
        })
    }

    pub(crate) fn add(&mut self, rows: &[f32]) -> Result<()> {
        self.0.add(rows).map_err(|error| failed("FAISS cannot add these vectors", &error))
    }

    /// Sets a parameter by FAISS's name for it; tells whether the index has such a thing.
    pub(crate) fn set(&mut self, parameter: &str, value: usize) -> Result<bool> {
        let space = ParameterSpace::new().map_err(|e| failed("FAISS has no parameters", &e))?;
        Ok(space.set_index_parameter(&self.0, parameter, value as f64).is_ok())
    }

    /// The `k` nearest rows of each query, nearest first: fewer where FAISS finds no more.
    pub(crate) fn search(&mut self, queries: &[f32], k: usize) -> Result<Vec<Vec<Hit>>> {
        let found = self.0.search(queries, k).map_err(|e| failed("FAISS cannot search", &e))?;
        let sign = if self.metric() == Metric::Ip { 1.0 } else { -1.0 };
        let hit = |(label, distance): (&faiss::Idx, &f32)| {
            // Places that FAISS could not fill have no id.
            let id = label.get()?;
            (!distance.is_nan()).then_some(Hit { id, score: sign * distance })
        };
        let of_query = |(ids, distances): (&[faiss::Idx], &[f32])| {
            // Nearly all places are filled; one thread does this while the others wait.
            let mut hits = Vec::with_capacity(k);
            hits.extend(ids.iter().zip(distances).filter_map(hit));
            hits
        };
        let queries = found.labels.chunks_exact(k).zip(found.distances.chunks_exact(k));
        Ok(queries.map(of_query).collect())
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.0.ntotal()).unwrap_or(usize::MAX)
    }

    pub(crate) fn dimension(&self) -> usize {
        self.0.d() as usize
    }

    pub(crate) fn is_trained(&self) -> bool {
        self.0.is_trained()
    }

    pub(crate) fn metric(&self) -> Metric {
        match self.0.metric_type() {
            MetricType::L2 => Metric::L2,
            MetricType::InnerProduct => Metric::Ip,
        }
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Native({} × {})", self.len(), self.dimension())
    }
}

fn metric_type(metric: Metric) -> MetricType {
    match metric {
        Metric::L2 => MetricType::L2,
        Metric::Ip => MetricType::InnerProduct,
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Io, "FAISS opens no file whose name is not UTF-8")
            .with_context("file", path.display())
    })
}

fn failed(message: &str, error: &faiss::error::Error) -> Error {
    Error::new(ErrorKind::Unexpected, message).with_context(SAYS, reason(error))
}

/// The gist of FAISS's message, which starts with a function's signature and a source file.
fn reason(error: &faiss::error::Error) -> String {
    let text = error.to_string();
    let gist = text
        .rsplit_once(".cpp:")
        .map_or(text.as_str(), |(_, rest)| rest.split_once(": ").map_or(rest, |(_, gist)| gist));
    gist.trim_start_matches("Error: ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_in_a_factory_string_is_shown_with_what_faiss_makes_of_it() {
        let error = Native::new("HSNW32,PQ8", 64, Metric::L2).expect_err("no such index");
        assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some("factory")));
        assert_eq!(error.context("factory"), Some("HSNW32,PQ8"));
        assert!(error.context("FAISS says").is_some_and(|text| !text.contains(".cpp")), "{error}");
    }

    #[test]
    fn a_metric_that_faiss_would_silently_ignore_is_refused() {
        assert!(Native::new("HNSW16,Flat", 64, Metric::Ip).is_ok());
        let error = Native::new("HNSW16,PQ8", 64, Metric::Ip).expect_err("always l2");
        assert_eq!(error.option(), Some("metric"));
    }

    #[test]
    fn fewer_hits_than_asked_for_are_fewer_hits() {
        let mut index = Native::new("Flat", 2, Metric::L2).expect("an index");
        index.add(&[0.0, 0.0, 3.0, 4.0]).expect("added");
        let found = index.search(&[0.0, 0.0], 5).expect("found");
        assert_eq!(found, [vec![Hit { id: 0, score: 0.0 }, Hit { id: 1, score: -25.0 }]]);
    }

    #[test]
    fn a_file_that_is_no_index_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.faiss");
        for bytes in [&b""[..], b"IxF", b"not an index at all, but long enough to be one"] {
            std::fs::write(&path, bytes).expect("written");
            for mapped in [false, true] {
                let error = Native::read(&path, mapped).expect_err("no index");
                assert_eq!(error.kind(), ErrorKind::Data);
                assert!(error.context("file").is_some_and(|f| f.ends_with("index.faiss")));
            }
        }
    }
}
