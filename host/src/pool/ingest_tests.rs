use std::ops::Range;

use deft_core::metrics::{ExampleScore, TaskSpec};
use deft_core::{Batch, ExampleStream, NoServices, Prediction};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::pool::SourcePaths;
use deft_core::{Reader, ResultExt};

/// Gives so many numbered examples, or fails instead of one of them.
struct Numbers {
    examples: usize,
    fails_at: Option<usize>,
}

impl Reader for Numbers {
    fn open(&self, _ctx: &Context<'_>, _source: &Path) -> Result<Box<dyn ExampleStream>> {
        Ok(Box::new(NumberStream { left: 0..self.examples, fails_at: self.fails_at }))
    }

    fn task(&self) -> TaskSpec {
        TaskSpec::rank_classification()
    }

    fn score(
        &self,
        _ctx: &Context<'_>,
        _examples: &[Example],
        _predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        Ok(Vec::new())
    }
}

struct NumberStream {
    left: Range<usize>,
    fails_at: Option<usize>,
}

impl ExampleStream for NumberStream {
    fn next_batch(&mut self, _ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        let numbers: Vec<usize> = self.left.by_ref().take(max).collect();
        if self.fails_at.is_some_and(|number| numbers.contains(&number)) {
            return Err(Error::new(ErrorKind::Data, "a damaged row"));
        }
        let examples = numbers.into_iter().map(example).collect();
        let batch = Batch { examples, ..Batch::default() };
        Ok((!batch.examples.is_empty()).then_some(batch))
    }
}

fn example(number: usize) -> Example {
    Example { input: format!("row {number}"), ..Example::default() }
}

const EXAMPLES: usize = 2 * ROWS_PER_GROUP + 904;

fn ingested(dir: &Path, rows_per_part: usize, fails_at: Option<usize>) -> Result<StoredPool> {
    let path = dir.join("source");
    std::fs::write(&path, "").or_io("cannot write", &path)?;
    let reader = Numbers { examples: EXAMPLES, fails_at };
    let ctx = Context::new(&NoServices, 0, 2);
    ensure(&Store::new(&dir.join("store")), &[source(reader, path)], rows_per_part, &ctx)
}

fn source(reader: impl Reader + 'static, path: PathBuf) -> ReadSource {
    let paths = vec![path].into();
    ReadSource { reader: Arc::new(reader), identity: json!(0), paths, limit: None }
}

/// The files of the only pool in the store, but the card.
fn parts(dir: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(dir.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let is_pool = |path: &PathBuf| path.to_string_lossy().contains("pool-");
    let pool = folders.filter(is_pool).last().unwrap();
    let files = std::fs::read_dir(pool).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name != "card.json");
    names.sort();
    names
}

#[test]
fn every_example_comes_back_whatever_the_length_of_parts() {
    // Shorter than a row group, no multiple of one, a divisor of the rows, longer than the pool.
    for (rows_per_part, n_parts) in [(1000, 5), (3000, 2), (EXAMPLES, 1), (EXAMPLES + 1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let pool = ingested(dir.path(), rows_per_part, None).unwrap();
        let all: Vec<usize> = (0..EXAMPLES).collect();
        let expected: Vec<Example> = all.iter().copied().map(example).collect();
        assert_eq!(pool.view().examples.get(&all).unwrap(), expected);
        assert_eq!(parts(dir.path()).len(), n_parts, "{rows_per_part} rows per part");
    }
}

#[test]
fn a_reader_that_fails_leaves_whole_parts_alone() {
    let dir = tempfile::tempdir().unwrap();
    let error = ingested(dir.path(), 2500, Some(EXAMPLES - 1)).unwrap_err();
    assert_eq!(error.message(), "a damaged row");
    assert_eq!(parts(dir.path()), ["part-00000.parquet"]);
    let pool = ingested(dir.path(), 2500, None).unwrap();
    assert_eq!(pool.view().examples.get(&[2499, 2500]).unwrap(), [example(2499), example(2500)]);
    assert_eq!(parts(dir.path()), ["part-00000.parquet", "part-00001.parquet"]);
}

#[test]
fn a_damaged_part_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ingested(dir.path(), EXAMPLES, None).unwrap();
    std::fs::write(pool.dir().join("part-00000.parquet"), "PAR1").unwrap();
    std::fs::remove_file(pool.dir().join("card.json")).unwrap();
    let pool = ingested(dir.path(), EXAMPLES, None).unwrap();
    assert_eq!(pool.view().examples.get(&[1]).unwrap(), [example(1)]);
}

#[test]
fn a_part_that_cannot_be_read_is_an_error_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ingested(dir.path(), 2500, None).unwrap();
    let part = pool.dir().join("part-00001.parquet");
    std::fs::remove_file(&part).unwrap();
    // A folder can be opened and not be read, whoever asks.
    std::fs::create_dir(&part).unwrap();
    std::fs::write(part.join("stays"), "").unwrap();
    for card in ["complete", "removed"] {
        let error = ingested(dir.path(), 2500, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{card}: {error}");
        assert!(part.join("stays").exists());
        let _ = std::fs::remove_file(pool.dir().join("card.json"));
    }
}

#[test]
fn what_a_killed_reader_left_goes_before_another_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source");
    std::fs::write(&path, "").unwrap();
    let sources = [source(Numbers { examples: EXAMPLES, fails_at: None }, path)];
    let ctx = Context::new(&NoServices, 0, 1);
    let store = Store::new(&dir.path().join("store"));
    let wanted = WantedPool::find(&store, &sources, 2500, &ctx).unwrap();
    // Left while this run waited for the lock, by a process of this number that started earlier.
    let mut left = PathBuf::new();
    let write = |temporary: &Path| {
        left = temporary.to_owned();
        std::fs::write(temporary, "").or_io("cannot write", temporary)
    };
    store::commit(&wanted.dir().join("part-00007.parquet"), write).unwrap();
    let name = left.file_name().unwrap().to_string_lossy().into_owned();
    let fields: Vec<&str> = name.trim_start_matches(".tmp-").splitn(4, '-').collect();
    let gone = format!(".tmp-{}-{}-7-{}", fields[0], fields[1], fields[3]);
    std::fs::rename(wanted.dir().join("part-00007.parquet"), wanted.dir().join(gone)).unwrap();
    wanted.read(&store, &ctx).unwrap();
    assert_eq!(parts(dir.path()), ["part-00000.parquet", "part-00001.parquet"]);
}

#[test]
fn a_writer_that_fails_is_the_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source");
    std::fs::write(&path, "").unwrap();
    let sources = [source(Numbers { examples: EXAMPLES, fails_at: None }, path)];
    let ctx = Context::new(&NoServices, 0, 1);
    let store = Store::new(&dir.path().join("store"));
    let wanted = WantedPool::find(&store, &sources, 100, &ctx).unwrap();
    // A file where the folder must be.
    std::fs::remove_dir_all(wanted.dir()).unwrap();
    std::fs::write(wanted.dir(), "").unwrap();
    let error = wanted.ingest(&ctx).unwrap_err();
    assert_ne!(error.message(), "the pool can no longer be written");
    assert_ne!(error.kind(), ErrorKind::Cancelled);
}

/// Does something to its source when it is opened.
struct Meddler(fn(&Path));

impl Reader for Meddler {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        (self.0)(source);
        Numbers { examples: EXAMPLES, fails_at: None }.open(ctx, source)
    }
}

/// Reads a source that is meddled with once it has been hashed.
fn meddled(dir: &Path, source_paths: SourcePaths, meddle: fn(&Path)) -> Error {
    let reader = Arc::new(Meddler(meddle));
    let sources = [ReadSource { reader, identity: json!(0), paths: source_paths, limit: None }];
    let ctx = Context::new(&NoServices, 0, 1);
    let store = Store::new(&dir.join("store"));
    let wanted = WantedPool::find(&store, &sources, 2500, &ctx).unwrap();
    let error = wanted.read(&store, &ctx).unwrap_err();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
    error
}

fn overwrite(source: &Path) {
    std::fs::write(source, "changed").unwrap();
}

#[test]
fn a_source_that_changes_while_it_is_read_leaves_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source");
    std::fs::write(&path, "as hashed").unwrap();
    meddled(dir.path(), vec![path].into(), overwrite);
    assert!(parts(dir.path()).is_empty());
}

#[test]
fn a_source_that_changes_while_all_parts_are_kept_leaves_no_complete_pool() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ingested(dir.path(), 2500, None).unwrap();
    std::fs::remove_file(pool.dir().join("card.json")).unwrap();
    meddled(dir.path(), vec![dir.path().join("source")].into(), overwrite);
    assert!(pool.stage.card::<PoolCard>().is_none());
}

#[test]
fn a_file_added_to_a_folder_or_a_glob_while_it_is_read_leaves_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.jsonl"), "").unwrap();
    // A clock that ticks seldom would not tell what is added now from what was just made.
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(1);
    std::fs::File::open(&folder).unwrap().set_modified(hour_ago).unwrap();
    let add = |folder: &Path| std::fs::write(folder.join("b.jsonl"), "").unwrap();
    let error = meddled(dir.path(), vec![folder.clone()].into(), add);
    assert!(error.context("path").unwrap().ends_with("/folder"), "{error}");
    assert!(parts(dir.path()).is_empty());
    let ctx = Context::new(&NoServices, 0, 1);
    let glob = crate::pool::expand_source("folder/*.jsonl", dir.path(), &ctx).unwrap();
    let add_beside = |file: &Path| std::fs::write(file.with_file_name("c.jsonl"), "").unwrap();
    let error = meddled(dir.path(), glob, add_beside);
    assert!(error.context("new").unwrap().ends_with("/folder/c.jsonl"), "{error}");
}

#[test]
fn a_pool_whose_card_says_more_than_is_there_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let pool = ingested(dir.path(), 2500, None).unwrap();
    std::fs::remove_file(pool.dir().join("part-00000.parquet")).unwrap();
    let pool = ingested(dir.path(), 2500, None).unwrap();
    assert_eq!(pool.view().examples.get(&[1]).unwrap(), [example(1)]);
}
