//! What a reader promises.

mod score;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Batch, ErrorKind, ExampleStream, Handle, Reader, Result};

use crate::Component;
use crate::component::suite;
use crate::report::{Check, Unmet, Verdict, ensure, skip_unless};
use crate::services::{SEED, TestServices, must_stop};

/// The checks of a reader, on sources that its author wrote.
#[derive(Debug, Clone)]
pub struct ReaderChecks {
    pub(crate) component: Component,
    source: Option<PathBuf>,
    empty: Option<PathBuf>,
    bad: Vec<(PathBuf, u64)>,
}

suite!(ReaderChecks, CHECKS);

const CHECKS: &[Check<ReaderChecks>] = &[
    Check::new(
        "batch_size",
        "batches are at most as long as asked, and nothing is lost",
        batch_size,
    ),
    Check::new("reopened", "a source opened again gives the same in the same order", reopened),
    Check::new("several_open", "several sources may be open at once", several_open),
    Check::new("examples", "a source has examples, whose right answers are options", examples),
    Check::new(
        "skipped_rows",
        "rows left out are numbered from 1, in order, with a reason",
        skipped,
    ),
    Check::new("bad_row", "a row that cannot be understood is named by file and row", bad_row),
    Check::new("empty_source", "an empty file has no example, and is no error", empty_source),
    Check::new("missing_source", "a missing file is an error that names its path", missing_source),
    Check::new("cancelled", "a cancelled call stops within a second, and says so", cancelled),
    Check::new("metrics", "every example's score has every metric, as a number", score::metrics),
    Check::new("perfect", "right answers score higher than wrong ones", score::perfect),
    Check::new("poor", "wrong, equal and empty answers are scored, and never higher", score::poor),
];

impl ReaderChecks {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, source: None, empty: None, bad: Vec::new() }
    }

    /// A source of some dozen examples, some rows of which are left out if the reader does that.
    #[must_use]
    pub fn with_source(mut self, path: &Path) -> Self {
        self.source = Some(path.to_owned());
        self
    }

    /// A file without any example that is no error.
    #[must_use]
    pub fn with_empty(mut self, path: &Path) -> Self {
        self.empty = Some(path.to_owned());
        self
    }

    /// A source with a row that cannot be understood, and that row's number, from 1.
    #[must_use]
    pub fn with_bad_row(mut self, path: &Path, row: u64) -> Self {
        self.bad.push((path.to_owned(), row));
        self
    }

    fn create(&self) -> Result<Arc<dyn Reader>> {
        match self.component.create()? {
            Handle::Reader(reader) => Ok(reader),
            other => unreachable!("a reader was made, not {other:?}"),
        }
    }

    fn good(&self) -> &Path {
        self.source.as_deref().expect("call `source` first: a reader is checked on one")
    }
}

fn open(reader: &dyn Reader, source: &Path) -> Result<Box<dyn ExampleStream>> {
    reader.open(&TestServices::new().context(SEED, 1), source)
}

fn next(stream: &mut dyn ExampleStream, max: usize) -> Result<Option<Batch>> {
    stream.next_batch(&TestServices::new().context(SEED, 1), max)
}

/// Everything in a source, read in batches of `max`.
fn read(reader: &dyn Reader, source: &Path, max: usize) -> Verdict<Batch> {
    let (mut stream, mut all) = (open(reader, source)?, Batch::default());
    while let Some(batch) = next(stream.as_mut(), max)? {
        let length = batch.examples.len();
        ensure!(length <= max, "a batch of {length} examples where at most {max} were wanted");
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

fn same(found: &Batch, wanted: &Batch, how: &str) -> Verdict {
    let differs = |place: &usize| found.examples.get(*place) != wanted.examples.get(*place);
    let first = (0..found.examples.len().max(wanted.examples.len())).find(differs);
    ensure!(first.is_none(), "{how}: example {} is another", first.unwrap_or(0));
    ensure!(found.skipped == wanted.skipped, "{how}: other rows are left out");
    Ok(())
}

fn batch_size(it: &ReaderChecks) -> Verdict {
    let reader = it.create()?;
    let wanted = read(reader.as_ref(), it.good(), 100_000)?;
    [1, 2, 7, 1000].iter().try_for_each(|&max| {
        same(&read(reader.as_ref(), it.good(), max)?, &wanted, &format!("in batches of {max}"))
    })
}

fn reopened(it: &ReaderChecks) -> Verdict {
    let reader = it.create()?;
    let wanted = read(reader.as_ref(), it.good(), 16)?;
    same(&read(reader.as_ref(), it.good(), 16)?, &wanted, "opened again")?;
    same(&read(it.create()?.as_ref(), it.good(), 16)?, &wanted, "by another instance")
}

fn several_open(it: &ReaderChecks) -> Verdict {
    let reader = it.create()?;
    let wanted = read(reader.as_ref(), it.good(), 16)?;
    let mut streams = [open(reader.as_ref(), it.good())?, open(reader.as_ref(), it.good())?];
    let mut all = [Batch::default(), Batch::default()];
    let mut is_open = true;
    while is_open {
        is_open = false;
        for (stream, all) in streams.iter_mut().zip(&mut all) {
            if let Some(batch) = next(stream.as_mut(), 3)? {
                all.examples.extend(batch.examples);
                all.skipped.extend(batch.skipped);
                is_open = true;
            }
        }
    }
    all.iter().try_for_each(|found| same(found, &wanted, "read beside another"))
}

fn examples(it: &ReaderChecks) -> Verdict {
    let all = read(it.create()?.as_ref(), it.good(), 16)?.examples;
    ensure!(all.len() > 1, "the source has {} examples: give it some more", all.len());
    for (number, example) in all.iter().enumerate() {
        let is_option = example.gold.is_none_or(|gold| gold < example.options.len());
        ensure!(is_option, "the right answer of example {number} is no option of it");
    }
    Ok(())
}

fn skipped(it: &ReaderChecks) -> Verdict {
    let skipped = read(it.create()?.as_ref(), it.good(), 16)?.skipped;
    skip_unless!(!skipped.is_empty(), "no row of the source is left out");
    let mut last = 0;
    for row in &skipped {
        ensure!(row.row > last, "row {} comes after row {last}", row.row);
        ensure!(!row.reason.is_empty(), "row {} is left out without a reason", row.row);
        last = row.row;
    }
    Ok(())
}

fn bad_row(it: &ReaderChecks) -> Verdict {
    skip_unless!(!it.bad.is_empty(), "no source with a bad row was given");
    let reader = it.create()?;
    for (path, row) in &it.bad {
        let mut stream = open(reader.as_ref(), path)?;
        let error = loop {
            match next(stream.as_mut(), 2) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let how = format!("{} was read to its end", path.display());
                    return Err(Unmet::Broken(how));
                }
                Err(error) => break error,
            }
        };
        ensure!(error.kind() == ErrorKind::Data, "another kind of error: {error}");
        let text = error.to_string();
        let names_file =
            path.file_name().is_some_and(|name| text.contains(&*name.to_string_lossy()));
        ensure!(names_file, "the file is not named: {text}");
        let places = ["line", "row"].map(|key| error.context(key));
        let names_row = places.contains(&Some(&*row.to_string()));
        ensure!(names_row, "`line` or `row` should be {row}: {text}");
    }
    Ok(())
}

fn empty_source(it: &ReaderChecks) -> Verdict {
    let Some(path) = &it.empty else {
        return Err(Unmet::Skipped("no empty source was given".to_owned()));
    };
    let found = read(it.create()?.as_ref(), path, 16)?.examples.len();
    ensure!(found == 0, "the empty source has {found} examples");
    Ok(())
}

fn missing_source(it: &ReaderChecks) -> Verdict {
    let name = it.good().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = it.good().with_file_name(format!("there-is-no-such-{name}"));
    let opened = open(it.create()?.as_ref(), &path);
    let Err(error) = opened.and_then(|mut stream| next(stream.as_mut(), 1)) else {
        return Err(Unmet::Broken("it was read".to_owned()));
    };
    ensure!(error.kind() == ErrorKind::Io, "another kind of error: {error}");
    ensure!(error.to_string().contains(&*path.to_string_lossy()), "the path is not named: {error}");
    Ok(())
}

fn cancelled(it: &ReaderChecks) -> Verdict {
    let reader = it.create()?;
    let mut stream = open(reader.as_ref(), it.good())?;
    must_stop("`next_batch`", 1, |ctx| stream.next_batch(ctx, 1000))
}
