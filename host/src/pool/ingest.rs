//! Reading the pool's sources into the store, part by part.

use std::iter::{once, repeat_with};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use deft_core::{Context, Error, ErrorKind, Example, Fingerprint, Result, ResultExt};
use serde_json::{Value, json};

use super::parquet::{PartReader, ROWS_PER_GROUP, SUFFIX, write_part};
use super::sources::{ReadSource, Skipped, read_paths};
use super::{PoolCard, StoredPool};
use crate::store::{Stage, Store};

/// Reads the sources into the store, unless they are there already.
///
/// # Errors
///
/// [`ErrorKind::Data`] from a reader, with file and row; [`ErrorKind::Io`].
pub fn ensure(
    store: &Store,
    sources: &[ReadSource],
    rows_per_part: usize,
    ctx: &Context<'_>,
) -> Result<StoredPool> {
    let mut described = Vec::new();
    for source in sources {
        let mut files = Vec::new();
        for path in &source.paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(json!({"name": name, "sha256": store.hash_source(path)?}));
        }
        described.push(json!({"reader": source.identity, "files": files, "limit": source.limit}));
    }
    let described = Value::Array(described);
    let fingerprint = Fingerprint::new()
        .with("pool")
        .with(rows_per_part.to_string())
        .with(described.to_string())
        .short();
    let stage = store.stage("pool", &fingerprint)?;
    if let Some(card) = stage.card().and_then(|card| serde_json::from_value(card).ok()) {
        return Ok(StoredPool::new(stage, card));
    }
    let card = ingest(&stage, sources, rows_per_part, described, ctx)?;
    let value = serde_json::to_value(&card).or_error(ErrorKind::Unexpected, "no JSON")?;
    stage.write_card(&value)?;
    Ok(StoredPool::new(stage, card))
}

/// Reads on this thread and writes on another, a few row groups between them.
fn ingest(
    stage: &Stage,
    sources: &[ReadSource],
    rows_per_part: usize,
    described: Value,
    ctx: &Context<'_>,
) -> Result<PoolCard> {
    let threads = ctx.threads();
    let (sender, receiver) = sync_channel(threads);
    let (rows, skipped) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_parts(stage, &receiver, rows_per_part, threads));
        let mut parts = Parts { sender, group: Vec::new(), rows_per_part, rows: 0 };
        let read = read_sources(sources, &mut parts, ctx)
            .and_then(|skipped| parts.finish().map(|()| (parts.rows, skipped)));
        // Dropping the sender ends the writer.
        drop(parts);
        let written = writer.join().unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unexpected, "writing the pool panicked"))
        });
        match (read, written) {
            // A failed send only says that the writer has failed.
            (Ok(_), Err(error)) => Err(error),
            (Err(_), Err(error)) if error.kind() != ErrorKind::Cancelled => Err(error),
            (read, _) => read,
        }
    })?;
    skipped.warn();
    if rows == 0 {
        return Err(skipped.nothing_left("the pool has no examples"));
    }
    Ok(PoolCard { rows, rows_per_part, skipped: skipped.counts(), sources: described })
}

/// What goes to the writing thread: the row groups of a part in order, then the part's end.
enum Piece {
    Group(Vec<Example>),
    End,
}

/// Examples on their way into the row groups of parts.
struct Parts {
    sender: SyncSender<Piece>,
    group: Vec<Example>,
    rows_per_part: usize,
    rows: usize,
}

impl Parts {
    fn push(&mut self, examples: Vec<Example>) -> Result<()> {
        for example in examples {
            self.group.push(example);
            self.rows += 1;
            let ends_part = self.rows.is_multiple_of(self.rows_per_part);
            if ends_part || self.group.len() == ROWS_PER_GROUP {
                self.send_group()?;
            }
            if ends_part {
                self.send(Piece::End)?;
            }
        }
        Ok(())
    }

    /// Sends what is left, the last part.
    fn finish(&mut self) -> Result<()> {
        if self.rows.is_multiple_of(self.rows_per_part) {
            return Ok(());
        }
        if !self.group.is_empty() {
            self.send_group()?;
        }
        self.send(Piece::End)
    }

    fn send_group(&mut self) -> Result<()> {
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(ROWS_PER_GROUP));
        self.send(Piece::Group(group))
    }

    fn send(&self, piece: Piece) -> Result<()> {
        self.sender
            .send(piece)
            .map_err(|_| Error::new(ErrorKind::Io, "the pool can no longer be written"))
    }
}

/// Writes parts until the sender is gone; a part without its end is given up as cancelled.
fn write_parts(
    stage: &Stage,
    pieces: &Receiver<Piece>,
    rows_per_part: usize,
    threads: usize,
) -> Result<()> {
    for number in 0.. {
        let Ok(first) = pieces.recv() else { break };
        let mut groups =
            once(Ok(first)).chain(repeat_with(|| pieces.recv())).map_while(|piece| match piece {
                Ok(Piece::Group(examples)) => Some(Ok(examples)),
                Ok(Piece::End) => None,
                Err(_gone) => Some(Err(Error::cancelled())),
            });
        // A killed run's parts are whole: what is there need not be written again. Only the last
        // part is shorter, and is.
        let path = stage.unit(number, SUFFIX);
        let is_full = |part: PartReader| part.rows() == rows_per_part;
        if path.exists() {
            match PartReader::open(&path).map(is_full) {
                Ok(true) => {
                    groups.try_for_each(|group| group.map(drop))?;
                    continue;
                }
                Ok(false) => {}
                // A commit does not replace what is there.
                Err(_damaged) => std::fs::remove_file(&path).or_io("cannot remove", &path)?,
            }
        }
        stage.commit_unit(number, SUFFIX, |path| write_part(path, groups, threads))?;
    }
    Ok(())
}

fn read_sources(sources: &[ReadSource], parts: &mut Parts, ctx: &Context<'_>) -> Result<Skipped> {
    let mut skipped = Skipped::default();
    for source in sources {
        let mut take = |examples: Vec<Example>| {
            parts.push(examples)?;
            ctx.progress(parts.rows, 0, "rows");
            Ok(())
        };
        read_paths(&*source.reader, &source.paths, source.limit, ctx, &mut take, &mut skipped)?;
    }
    Ok(skipped)
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
