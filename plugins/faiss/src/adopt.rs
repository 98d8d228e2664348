//! An index that the user has already: looked at, and left where it is.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_scan::Metric;

use crate::card::Card;
use crate::native::Native;

/// The file that the option `file` names.
pub(crate) fn find(ctx: &Context<'_>, name: &str) -> Result<PathBuf> {
    let missing = |error: Error| {
        if error.kind() == ErrorKind::Cancelled {
            return error;
        }
        Error::option_at("file", "there is no such index file")
            .with_context("file", name)
            .with_source(&error)
            .with_hint("name the file that `faiss.write_index` wrote")
    };
    let path = ctx.resolve(name).map_err(missing)?;
    let path = path.canonicalize().or_io("cannot resolve the path", &path).map_err(missing)?;
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::option_at("file", "this is a folder, and no index file")
        .with_context("file", path.display())
        .with_hint("name the file that `faiss.write_index` wrote"))
}

/// Bytes of the file; `None` where that cannot be told.
pub(crate) fn bytes(file: &Path) -> Option<u64> {
    std::fs::metadata(file).ok().map(|metadata| metadata.len())
}

/// Takes the place of a builder: there is nothing to add.
#[derive(Debug)]
pub(crate) struct Adopter {
    pub(crate) file: PathBuf,
    pub(crate) metric: Metric,
    pub(crate) shape: IndexShape,
    /// Whether the file is mapped to be looked at.
    pub(crate) mmap: bool,
}

impl Adopter {
    fn refused(&self) -> Error {
        Error::new(ErrorKind::Unexpected, "the index is there: nothing can be added to it")
            .with_context("file", self.file.display())
    }

    /// Refuses an index that cannot be one over this pool, by this encoder and these options.
    fn check(&self, native: &Native) -> Result<()> {
        self.same(
            "the pool has another number of rows than the index file",
            (native.len(), self.shape.rows),
            "the pool must be the very lines that were indexed, in their order: look at its sources, \
             and at `limit`",
        )?;
        self.same(
            "the encoder has another dimension than the index file",
            (native.dimension(), self.shape.dimension),
            "take the encoder, and the pooling, that the indexed vectors came from",
        )?;
        self.same(
            "the index file has another metric",
            (native.metric(), self.metric),
            "give `metric` as the file has it",
        )
    }

    fn same<T: PartialEq + std::fmt::Display>(
        &self,
        message: &str,
        (found, wanted): (T, T),
        hint: &str,
    ) -> Result<()> {
        if found == wanted {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, message)
            .with_context("file", self.file.display())
            .with_context("in the file", found)
            .with_context("wanted", wanted)
            .with_hint(hint))
    }
}

impl IndexBuilder for Adopter {
    fn train(&mut self, _ctx: &Context<'_>, _sample: Matrix<'_>) -> Result<()> {
        Err(self.refused())
    }

    fn add(&mut self, _ctx: &Context<'_>, _rows: Matrix<'_>) -> Result<()> {
        Err(self.refused())
    }

    fn finish(&mut self, ctx: &Context<'_>, dir: &Path) -> Result<()> {
        ctx.check()?;
        let native = Native::read(&self.file, self.mmap)?;
        self.check(&native)?;
        let card = Card::of_file(self.file.clone(), self.metric, self.shape.dimension);
        card.write(ctx, dir, native.len(), String::new())
    }
}

#[cfg(test)]
mod tests {
    use deft_core::{Hit, Hits, NoServices};
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::index::Faiss;

    /// A folder with FAISS's own file of an index over the rows (0, 0), (1, 0), (2, 0) …
    fn written(factory: &str, rows: u8) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers: Vec<f32> = (0..rows).flat_map(|row| [f32::from(row), 0.0]).collect();
        let mut native = Native::new(factory, 2, Metric::L2).expect("an index");
        native.train(&numbers).expect("trained");
        native.add(&numbers).expect("added");
        let path = dir.path().join("p3.index");
        native.write(&path).expect("written");
        (dir, path)
    }

    /// The component over a file, with further options.
    fn over(file: &Path, options: &Value) -> Result<Faiss> {
        let mut all = json!({ "file": file });
        for (name, value) in options.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let ctx = Context::new(&NoServices, 0, 1);
        Faiss::new(&ctx, deft_core::options::parse(&all)?, Children::new(Vec::new()))
    }

    /// What a builder over a pool of so many rows leaves.
    fn adopted(faiss: &Faiss, rows: usize, dimension: usize) -> Result<TempDir> {
        let ctx = Context::new(&NoServices, 0, 1);
        let dir = tempfile::tempdir().expect("a folder");
        let shape = IndexShape { rows, dimension };
        faiss.builder(&ctx, shape, None)?.finish(&ctx, dir.path()).map(|()| dir)
    }

    fn open(faiss: &Faiss, dir: &Path) -> Result<Box<dyn Index>> {
        faiss.open(&Context::new(&NoServices, 0, 1), dir, None)
    }

    #[test]
    fn a_file_is_searched_where_it_lies() {
        let (_dir, file) = written("HNSW8", 5);
        let faiss = over(&file, &json!({})).expect("a file");
        let info = faiss.info();
        assert!(info.ready && !info.needs_vectors && info.training_vectors == 0);
        let made = adopted(&faiss, 5, 2).expect("adopted");
        let names: Vec<_> = std::fs::read_dir(made.path()).expect("listed").collect();
        assert_eq!(names.len(), 1, "the card alone");
        let index = open(&faiss, made.path()).expect("opened");
        let queries = Matrix::new(&[3.0, 0.0], 2).expect("whole rows");
        let mut hits = Hits::new(1, 2);
        let ctx = Context::new(&NoServices, 0, 1);
        index.search(&ctx, queries, hits.as_mut()).expect("found");
        let found: Vec<Hit> = hits.of_query(0).collect();
        assert_eq!((found[0], found[1].score), (Hit { id: 3, score: 0.0 }, -1.0));
    }

    #[test]
    fn another_pool_encoder_or_metric_is_refused_with_both_values() {
        let (_dir, file) = written("Flat", 5);
        let of = |options: &Value, rows, dimension| {
            adopted(&over(&file, options).expect("a file"), rows, dimension).expect_err("refused")
        };
        for (error, found, wanted, remedy) in [
            (of(&json!({}), 6, 2), "5", "6", "in their order"),
            (of(&json!({}), 5, 3), "2", "3", "encoder"),
            (of(&json!({ "metric": "ip" }), 5, 2), "l2", "ip", "metric"),
        ] {
            let values = (error.context("in the file"), error.context("wanted"));
            assert_eq!((error.kind(), values), (ErrorKind::Data, (Some(found), Some(wanted))));
            assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{error}");
        }
    }

    #[test]
    fn a_file_that_has_changed_since_is_refused_with_what_to_do() {
        let (_dir, file) = written("Flat", 5);
        let faiss = over(&file, &json!({})).expect("a file");
        let made = adopted(&faiss, 5, 2).expect("adopted");
        let mut bytes = std::fs::read(&file).expect("read");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(&file, bytes).expect("changed");
        let error = open(&faiss, made.path()).err().expect("changed");
        assert!(error.message().contains("has changed"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--rebuild index")), "{error}");
    }

    #[test]
    fn what_is_no_index_is_told_by_its_first_bytes() {
        let (_dir, file) = written("Flat", 5);
        let faiss = over(&file, &json!({})).expect("a file");
        std::fs::write(&file, "version https://git-lfs.github.com/spec/v1\n").expect("written");
        let error = adopted(&faiss, 5, 2).expect_err("a pointer");
        assert!(error.message().contains("Git LFS"), "{error}");
        std::fs::remove_file(&file).expect("removed");
        let error = over(&file, &json!({})).expect_err("nothing there");
        assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some("file")));
    }

    #[test]
    fn nothing_is_added_and_ranking_again_needs_vectors() {
        let (_dir, file) = written("Flat", 5);
        let faiss = over(&file, &json!({ "refine": 2 })).expect("a file");
        assert!(faiss.info().needs_vectors);
        let ctx = Context::new(&NoServices, 0, 1);
        let shape = IndexShape { rows: 5, dimension: 2 };
        let mut builder = faiss.builder(&ctx, shape, None).expect("a builder");
        let rows = Matrix::new(&[1.0, 2.0], 2).expect("whole rows");
        assert!(builder.add(&ctx, rows).is_err() && builder.train(&ctx, rows).is_err());
    }

    #[test]
    fn faiss_itself_tells_whether_a_file_has_lists() {
        for (factory, has_lists) in [("IVF2,Flat", true), ("HNSW8", false)] {
            let (_dir, file) = written(factory, 100);
            let faiss = over(&file, &json!({ "nprobe": 2 })).expect("a file");
            let made = adopted(&faiss, 100, 2).expect("adopted");
            let opened = open(&faiss, made.path());
            assert_eq!(opened.is_ok(), has_lists, "{factory}");
            if let Some(error) = opened.err() {
                assert_eq!(error.option(), Some("nprobe"));
            }
        }
    }
}
