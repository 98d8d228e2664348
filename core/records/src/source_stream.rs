//! A reader's stream over the files of a source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::vec;

use deft_core::prelude::*;

use crate::form::Forms;
use crate::source::{SourceFile, source_files};

/// The examples of a source's files, one file after the other, where `open` says what the stream of
/// a file is. Rows are counted anew in each: an error names the file, and where there are several, a
/// line of the log names each that has rows which are left out.
pub struct SourceStream<F> {
    open: F,
    /// The files still to be opened.
    files: vec::IntoIter<SourceFile>,
    /// The file being read; none at the end.
    stream: Option<Box<dyn ExampleStream>>,
    has_several: bool,
    /// The file being read, if it is one of several and no row of it was left out so far.
    unspoilt: Option<PathBuf>,
    /// Examples given so far.
    given: usize,
}

impl<F> fmt::Debug for SourceStream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceStream({} files left)", self.files.len())
    }
}

impl<F> SourceStream<F>
where
    F: Fn(&SourceFile) -> Result<Box<dyn ExampleStream>> + Send + 'static,
{
    /// Opens a source, a file or a folder, and the first of its files.
    ///
    /// # Errors
    ///
    /// Those of [`source_files`] and of `open`.
    pub fn open(
        ctx: &Context<'_>,
        source: &Path,
        forms: Forms,
        open: F,
    ) -> Result<Box<dyn ExampleStream>> {
        let files = source_files(ctx, source, forms)?.into_iter();
        let has_several = files.len() > 1;
        let mut stream = Self { open, files, stream: None, has_several, unspoilt: None, given: 0 };
        stream.open_next()?;
        Ok(Box::new(stream))
    }
}

impl<F> SourceStream<F>
where
    F: Fn(&SourceFile) -> Result<Box<dyn ExampleStream>>,
{
    fn open_next(&mut self) -> Result<()> {
        let Some(file) = self.files.next() else {
            self.stream = None;
            return Ok(());
        };
        self.stream = Some((self.open)(&file)?);
        self.unspoilt = self.has_several.then_some(file.path);
        Ok(())
    }
}

impl<F> ExampleStream for SourceStream<F>
where
    F: Fn(&SourceFile) -> Result<Box<dyn ExampleStream>> + Send,
{
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        while let Some(stream) = &mut self.stream {
            if let Some(batch) = stream.next_batch(ctx, max)? {
                if let Some(first) = batch.skipped.first()
                    && let Some(path) = self.unspoilt.take()
                {
                    let (path, SkippedRow { row, reason }) = (path.display(), first);
                    ctx.info(&format!("{path}: rows are left out from row {row} on ({reason})"));
                }
                self.given += batch.examples.len();
                ctx.progress(self.given, 0, "examples");
                return Ok(Some(batch));
            }
            self.open_next()?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::stream::{Made, RecordStream};
    use deft_core::NoServices;
    use std::fs;

    /// An example of the field `text`.
    fn text(record: &Record) -> Result<Made> {
        let input = record.text("text")?.to_owned();
        Ok(Made::Examples(vec![Example { input, ..Example::default() }]))
    }

    /// Inputs and skipped rows of a folder with these files, in batches of `max`.
    fn read(files: &[(&str, &str)], max: usize) -> Result<(Vec<String>, Vec<u64>)> {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let ctx = Context::new(&NoServices, 0, 1);
        let mut stream = RecordStream::open(&ctx, dir.path(), text)?;
        let (mut inputs, mut skipped) = (Vec::new(), Vec::new());
        while let Some(batch) = stream.next_batch(&ctx, max)? {
            inputs.extend(batch.examples.into_iter().map(|example| example.input));
            skipped.extend(batch.skipped.into_iter().map(|row| row.row));
        }
        assert!(stream.next_batch(&ctx, max)?.is_none(), "the end stays the end");
        Ok((inputs, skipped))
    }

    #[test]
    fn files_of_all_forms_are_read_in_turn_and_rows_count_per_file() {
        let files = [
            ("c/1.csv", "text\n\nthird\n"),
            ("b.json", "[{\"text\": \"second\"}]"),
            ("a.jsonl", "\n{\"text\": \"first\"}\n"),
            ("b.jsonl", ""),
            ("README.md", "no data"),
        ];
        for max in [1, 2, 100] {
            let (inputs, skipped) = read(&files, max).unwrap();
            assert_eq!(inputs, ["first", "second", "third"]);
            assert_eq!(skipped, [1, 2]);
        }
    }

    #[test]
    fn an_error_names_the_file_and_its_own_line() {
        let good = "{\"text\": \"x\"}\n";
        let files = [("a.jsonl", good.repeat(3)), ("b.jsonl", format!("{good}{{}}\n"))];
        let files = files.each_ref().map(|(name, content)| (*name, content.as_str()));
        let error = read(&files, 2).unwrap_err();
        assert_eq!((error.message(), error.context("line")), ("a field is missing", Some("2")));
        assert!(error.context("file").unwrap().ends_with("b.jsonl"));
    }

    #[test]
    fn a_stream_of_its_own_is_made_of_every_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.json", "b.json"] {
            fs::write(dir.path().join(name), "{\"text\": \"x\"}").unwrap();
        }
        fs::write(dir.path().join("c.jsonl"), "{}").unwrap();
        let ctx = Context::new(&NoServices, 0, 1);
        let of_file = |file: &SourceFile| RecordStream::of_file(file, text);
        let mut stream = SourceStream::open(&ctx, dir.path(), Forms::DOCUMENTS, of_file).unwrap();
        for _ in 0..2 {
            assert_eq!(stream.next_batch(&ctx, 9).unwrap().unwrap().examples.len(), 1);
        }
        assert!(stream.next_batch(&ctx, 9).unwrap().is_none());
    }
}
