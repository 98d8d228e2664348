//! A reader's stream of examples, made of records.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;

use deft_core::prelude::*;

use crate::form::Forms;
use crate::record::Record;
use crate::records::{Entry, Records};
use crate::source::SourceFile;
use crate::source_stream::SourceStream;

/// Records between two questions whether the user wants to stop.
const ROWS_BETWEEN_CHECKS: usize = 1024;

/// What becomes of a record.
#[derive(Debug)]
pub enum Made {
    /// Examples, in their order.
    Examples(Vec<Example>),
    /// Nothing, for a reason that is the same for every such record.
    Skipped(&'static str),
}

/// The examples of a file's records, where `make` says what each becomes.
pub struct RecordStream<F> {
    records: Records,
    make: F,
    /// Examples of the last record that did not fit into its batch.
    held: VecDeque<Example>,
    /// Rows of the file read so far.
    rows: usize,
}

impl<F> fmt::Debug for RecordStream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordStream({:?})", self.records)
    }
}

impl<F> RecordStream<F>
where
    F: Fn(&Record) -> Result<Made> + Clone + Send + 'static,
{
    /// Opens a source: a file, or a folder, of which every file with records is read.
    ///
    /// # Errors
    ///
    /// Those of [`crate::source_files`] and of [`Records::of_file`].
    pub fn open(ctx: &Context<'_>, source: &Path, make: F) -> Result<Box<dyn ExampleStream>> {
        let open = move |file: &SourceFile| Self::of_file(file, make.clone());
        SourceStream::open(ctx, source, Forms::RECORDS, open)
    }

    /// Opens one file of a source: for readers whose files may be something else than records.
    ///
    /// # Errors
    ///
    /// Those of [`Records::of_file`].
    pub fn of_file(file: &SourceFile, make: F) -> Result<Box<dyn ExampleStream>> {
        let records = Records::of_file(file)?;
        Ok(Box::new(Self { records, make, held: VecDeque::new(), rows: 0 }))
    }
}

impl<F> ExampleStream for RecordStream<F>
where
    F: Fn(&Record) -> Result<Made> + Send,
{
    /// Rows left out count towards `max`, so that a batch is bounded whatever the file holds.
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        ctx.check()?;
        let mut batch = Batch::default();
        while batch.examples.len() + batch.skipped.len() < max.max(1) {
            if let Some(example) = self.held.pop_front() {
                batch.examples.push(example);
                continue;
            }
            match self.records.advance()? {
                None => break,
                Some(Entry::Skipped(row)) => batch.skipped.push(row),
                Some(Entry::Record(record)) => match (self.make)(&record)? {
                    Made::Examples(examples) => self.held.extend(examples),
                    Made::Skipped(reason) => {
                        let reason = reason.to_owned();
                        batch.skipped.push(SkippedRow { row: record.row(), reason });
                    }
                },
            }
            self.rows += 1;
            if self.rows.is_multiple_of(ROWS_BETWEEN_CHECKS) {
                ctx.check()?;
            }
        }
        if batch.examples.is_empty() && batch.skipped.is_empty() {
            return Ok(None);
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::NoServices;
    use std::fs;

    /// As many examples as the record says; none is skipped.
    fn repeated(record: &Record) -> Result<Made> {
        let times = usize::try_from(record.number("times")?).unwrap();
        if times == 0 {
            return Ok(Made::Skipped("no times"));
        }
        let example =
            |copy| Example { input: format!("{}.{copy}", record.row()), ..Example::default() };
        Ok(Made::Examples((0..times).map(example).collect()))
    }

    fn stream(content: &str) -> (tempfile::TempDir, Box<dyn ExampleStream>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs::write(&path, content).unwrap();
        let ctx = Context::new(&NoServices, 0, 1);
        let stream = RecordStream::open(&ctx, &path, repeated).unwrap();
        (dir, stream)
    }

    const CONTENT: &str = "{\"times\": 2}\n\n{\"times\": 0}\n{\"times\": 5}\n{\"times\": 1}\n";

    #[test]
    fn examples_that_do_not_fit_into_a_batch_come_in_the_next() {
        for max in [1, 2, 3, 100] {
            let ctx = Context::new(&NoServices, 0, 1);
            let (_dir, mut stream) = stream(CONTENT);
            let (mut inputs, mut skipped) = (Vec::new(), Vec::new());
            while let Some(batch) = stream.next_batch(&ctx, max).unwrap() {
                let length = batch.examples.len() + batch.skipped.len();
                assert!((1..=max).contains(&length), "{length} of {max}");
                inputs.extend(batch.examples.into_iter().map(|example| example.input));
                skipped.extend(batch.skipped);
            }
            assert_eq!(inputs, ["1.0", "1.1", "4.0", "4.1", "4.2", "4.3", "4.4", "5.0"]);
            let reasons: Vec<_> = skipped.iter().map(|s| (s.row, s.reason.as_str())).collect();
            assert_eq!(reasons, [(2, "empty line"), (3, "no times")]);
        }
    }

    #[test]
    fn an_error_of_the_maker_ends_the_stream() {
        let ctx = Context::new(&NoServices, 0, 1);
        let (_dir, mut stream) = stream("{\"times\": 1}\n{}\n");
        let error = stream.next_batch(&ctx, 10).unwrap_err();
        assert_eq!((error.message(), error.context("line")), ("a field is missing", Some("2")));
    }
}
