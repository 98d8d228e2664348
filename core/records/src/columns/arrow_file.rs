//! Arrow's IPC formats: the stream, which the `datasets` library caches, and the file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Schema};

use super::{Batches, attempt};

/// What a file starts with; a stream does not.
const MAGIC: [u8; 6] = *b"ARROW1";
const BUFFER: usize = 256 << 10;

/// The batches of a file, of whichever format, and their schema.
pub(super) fn open(path: &Path) -> Result<(Batches, Arc<Schema>), ArrowError> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    let input = BufReader::with_capacity(BUFFER, file);
    if magic == MAGIC {
        let reader = attempt(|| FileReader::try_new(input, None))?;
        let schema = reader.schema();
        let batches: Batches = Box::new(reader);
        return Ok((batches, schema));
    }
    let input = Watched { input, is_at_end: false };
    let reader = attempt(|| StreamReader::try_new(input, None))?;
    let schema = reader.schema();
    let batches: Batches = Box::new(WholeStream(reader));
    Ok((batches, schema))
}

/// A reader that remembers whether it was read to its end.
struct Watched {
    input: BufReader<File>,
    is_at_end: bool,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.is_at_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// The batches of a stream up to its end mark.
///
/// The format allows to leave the mark out, and then a stream that is cut between two batches looks
/// whole. Every writer in use sets it, so its absence is an error.
struct WholeStream(StreamReader<Watched>);

impl Iterator for WholeStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.next() {
            None if self.0.get_ref().is_at_end => {
                Some(Err(ArrowError::IpcError("the stream has no end mark".to_owned())))
            }
            next => next,
        }
    }
}
