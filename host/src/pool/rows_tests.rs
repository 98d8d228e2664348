use std::sync::Arc;

use deft_core::{Batch, ExampleStream, NoServices, Reader, SkippedRow};

use super::super::SourcePaths;
use super::*;

/// A line is an example, but for those with a `#`; a file of zeros is none of its data.
struct Lines;

impl Reader for Lines {
    fn open(&self, _ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let file = File::open(source).or_io("cannot open", source)?;
        if file.metadata().or_io("cannot open", source)?.len() == 3 {
            return Err(Error::new(ErrorKind::Data, "of no known form"));
        }
        Ok(Box::new(LineStream(std::io::BufReader::new(file))))
    }
}

struct LineStream(std::io::BufReader<File>);

impl ExampleStream for LineStream {
    fn next_batch(&mut self, _ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        use std::io::BufRead as _;
        let mut batch = Batch::default();
        for line in (&mut self.0).lines().take(max) {
            let input = line.or_io("cannot read", Path::new("lines"))?;
            if input.starts_with('#') {
                batch.skipped.push(SkippedRow { row: 1, reason: "a comment".to_owned() });
            } else {
                batch.examples.push(Example { input, ..Example::default() });
            }
        }
        Ok((batch.examples.len() + batch.skipped.len() > 0).then_some(batch))
    }
}

/// What is seen of a source without any time: of each file its first batch.
fn seen(paths: SourcePaths, limit: Option<usize>) -> Result<Glimpse> {
    let source =
        ReadSource { reader: Arc::new(Lines), identity: serde_json::Value::Null, paths, limit };
    glimpse(&source, Duration::ZERO, 16, &Context::new(&NoServices, 0, 1))
}

fn write(dir: &Path, name: &str, lines: usize, line: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("{line}\n").repeat(lines)).unwrap();
    path
}

#[test]
fn a_short_source_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "short", 200, "a line");
    let rows = |time| {
        let source = ReadSource {
            reader: Arc::new(Lines),
            identity: serde_json::Value::Null,
            paths: vec![path.clone()].into(),
            limit: None,
        };
        glimpse(&source, time, 16, &Context::new(&NoServices, 0, 1)).unwrap().rows
    };
    assert_eq!(rows(Duration::from_mins(1)), Rows { count: 200, exact: true });
}

#[test]
fn a_long_source_is_estimated_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let line = "x".repeat(999);
    let path = write(dir.path(), "long", 20_000, &line);
    let found = seen(vec![path].into(), None).unwrap();
    assert!(!found.rows.exact);
    assert!((15_000..25_000).contains(&found.rows.count), "{:?}", found.rows);
    assert_eq!(found.examples.len(), 16);
}

#[test]
fn what_a_limit_takes_is_known_where_there_is_far_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "long", 20_000, &"x".repeat(999));
    let limited = |limit| seen(vec![path.clone()].into(), Some(limit)).unwrap().rows;
    assert_eq!(limited(1000), Rows { count: 1000, exact: true });
    assert!(!limited(1_000_000).exact);
}

#[test]
fn of_many_files_a_few_tell_and_what_is_no_data_in_a_folder_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40 {
        write(dir.path(), &format!("{number:02}"), 1000, &"x".repeat(99));
    }
    write(dir.path(), "00-readme", 1, "--");
    let found = seen(vec![dir.path().to_owned()].into(), None).unwrap();
    assert!((30_000..50_000).contains(&found.rows.count), "{:?}", found.rows);
    let none = tempfile::tempdir().unwrap();
    write(none.path(), "readme", 1, "--");
    let error = seen(vec![none.path().to_owned()].into(), None).unwrap_err();
    assert!(error.message().contains("none of the source's files"), "{error}");
}

#[test]
fn an_estimate_is_by_what_two_numbers_of_examples_took_and_never_less_than_was_read() {
    assert_eq!(estimate(10_000, Some((300, 10)), Some((500, 20)), (0, 20)), 500.0);
    // A reader that has read all at once, or a system that does not tell: by the text.
    assert_eq!(estimate(10_000, Some((500, 10)), Some((500, 20)), (2000, 20)), 100.0);
    assert_eq!(estimate(10_000, None, None, (20_000_000, 20)), 20.0);
}

#[test]
fn numbers_are_spread_evenly() {
    assert_eq!(spread(100, 4).collect::<Vec<_>>(), [0, 25, 50, 75]);
    assert_eq!(spread(3, 8).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(spread(0, 8).count(), 0);
}
