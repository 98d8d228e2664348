//! Reading the pool's sources into the store, part by part.

use std::iter::{once, repeat_with};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use deft_core::{Context, Error, ErrorKind, Example, Fingerprint, Result};
use serde_json::{Value, json};

use super::parquet::{PartReader, ROWS_PER_GROUP, SUFFIX, write_part};
use super::sources::{ReadSource, Skipped, read_paths};
use super::{PoolCard, StoredPool};
use crate::store::{self, HashedSource, Stage, Store};

/// The name of pools in the store.
pub(crate) const NAME: &str = "pool";

/// Opens the pool of some sources in the store, and reads it first if it is not there.
///
/// # Errors
///
/// Those of [`WantedPool::find`] and [`WantedPool::read`].
pub fn ensure(
    store: &Store,
    sources: &[ReadSource],
    rows_per_part: usize,
    ctx: &Context<'_>,
) -> Result<StoredPool> {
    WantedPool::find(store, sources, rows_per_part, ctx)?.read(store, ctx)
}

/// A pool that a run wants: where it belongs in the store, whether it is there or not.
#[derive(Debug)]
pub struct WantedPool<'a> {
    stage: Stage,
    sources: &'a [ReadSource],
    /// The sources with their hashes, as the card tells of them.
    described: Value,
    hashed: Vec<HashedSource>,
    rows_per_part: usize,
}

impl<'a> WantedPool<'a> {
    /// Hashes the sources and finds the pool's place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when a source cannot be read or the place not be made;
    /// [`ErrorKind::Cancelled`].
    pub fn find(
        store: &Store,
        sources: &'a [ReadSource],
        rows_per_part: usize,
        ctx: &Context<'_>,
    ) -> Result<Self> {
        let paths: Vec<_> = sources.iter().flat_map(|source| source.paths.to_vec()).collect();
        let hashed = store.hash_sources(&paths, ctx)?;
        let described = describe(sources, &hashed);
        let stage = store.stage(NAME, &fingerprint(&described, rows_per_part))?;
        Ok(Self { stage, sources, described, hashed, rows_per_part })
    }

    /// Opens the pool of some sources if it is in the store, without changing anything there. One
    /// whose sources would have to be hashed for long counts as not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when a source or the pool cannot be read; [`ErrorKind::Cancelled`].
    pub(crate) fn peek(
        store: &Store,
        sources: &[ReadSource],
        rows_per_part: usize,
        ctx: &Context<'_>,
    ) -> Result<Option<StoredPool>> {
        let paths: Vec<_> = sources.iter().flat_map(|source| source.paths.to_vec()).collect();
        let Some(hashed) = store.known_hashes(&paths, ctx)? else { return Ok(None) };
        let described = describe(sources, &hashed);
        match store.peek(NAME, &fingerprint(&described, rows_per_part)) {
            Some(stage) => StoredPool::open(&stage),
            None => Ok(None),
        }
    }

    /// The pool's folder.
    pub fn dir(&self) -> &Path {
        self.stage.dir()
    }

    /// Fingerprint of its content.
    pub fn fingerprint(&self) -> &str {
        self.stage.fingerprint()
    }

    /// Opens the pool, if it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it is there and cannot be read.
    pub fn open(&self) -> Result<Option<StoredPool>> {
        StoredPool::open(&self.stage)
    }

    /// Opens the pool; reads it first if it is not there, or waits for another run that does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] from a reader, with file and row, or when a source changes meanwhile;
    /// [`ErrorKind::Io`].
    pub fn read(self, store: &Store, ctx: &Context<'_>) -> Result<StoredPool> {
        if let Some(pool) = self.open()? {
            return Ok(pool);
        }
        let _lock = self.stage.lock("reads the pool", ctx)?;
        // Whoever had the lock may have been killed.
        store::remove_stale(self.stage.dir());
        if let Some(pool) = self.open()? {
            return Ok(pool);
        }
        self.announce(store);
        let card = self.ingest(ctx)?;
        // Once more: nothing was checked while parts were kept.
        self.check_sources()?;
        self.stage.write_card(&card)?;
        Ok(StoredPool::new(self.stage, card))
    }

    /// Says why the pool that was read before does not serve.
    fn announce(&self, store: &Store) {
        let others = store.cards::<PoolCard>(NAME);
        let made = others.iter().map(|(name, card)| (name.as_str(), &card.sources));
        if let Some((name, differences)) = store::nearest(&self.described, made) {
            if name == self.stage.name() {
                // Its parts are missing or damaged, which has been told.
                return;
            }
            let why = if differences.is_empty() {
                "rows_per_part differs".to_owned()
            } else {
                differences.join("; ")
            };
            log::info!("the pool is read again: {name} does not serve ({why})");
        }
    }

    /// Reads on this thread and writes on another, a few row groups between them.
    fn ingest(&self, ctx: &Context<'_>) -> Result<PoolCard> {
        let threads = ctx.threads();
        let (sender, receiver) = sync_channel(threads);
        let rows_per_part = self.rows_per_part;
        let (rows, skipped) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || self.write_parts(&receiver, threads));
            let mut parts = Parts { sender, group: Vec::new(), rows_per_part, rows: 0 };
            let read = read_sources(self.sources, &mut parts, ctx)
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
        let sources = self.described.clone();
        Ok(PoolCard { rows, rows_per_part, skipped: skipped.counts(), sources })
    }

    /// Writes parts until the sender is gone; a part without its end is given up as cancelled.
    fn write_parts(&self, pieces: &Receiver<Piece>, threads: usize) -> Result<()> {
        for number in 0.. {
            let Ok(first) = pieces.recv() else { break };
            let mut groups = once(Ok(first)).chain(repeat_with(|| pieces.recv())).map_while(
                |piece| match piece {
                    Ok(Piece::Group(examples)) => Some(Ok(examples)),
                    Ok(Piece::End) => None,
                    Err(_gone) => Some(Err(Error::cancelled())),
                },
            );
            let earlier = self.earlier(number)?;
            if earlier == Earlier::Whole {
                groups.try_for_each(|group| group.map(drop))?;
                continue;
            }
            let write = |path: &Path| {
                write_part(path, groups, threads)?;
                self.check_sources()
            };
            if earlier == Earlier::None {
                self.stage.commit_unit(number, SUFFIX, write)?;
            } else {
                self.stage.replace_unit(number, SUFFIX, write)?;
            }
        }
        Ok(())
    }

    /// What a killed run left of a part. The last one is shorter, and written again as a damaged
    /// one is; one that cannot be read now may well be whole, and is an error.
    fn earlier(&self, number: usize) -> Result<Earlier> {
        if !self.stage.has_unit(number, SUFFIX) {
            return Ok(Earlier::None);
        }
        let part = PartReader::open_whole(&self.stage.unit(number, SUFFIX))?;
        let is_whole = part.is_some_and(|part| part.rows() == self.rows_per_part);
        Ok(if is_whole { Earlier::Whole } else { Earlier::Unfit })
    }

    /// What was read must be what was hashed.
    fn check_sources(&self) -> Result<()> {
        self.hashed.iter().try_for_each(HashedSource::check_unchanged)?;
        self.sources.iter().try_for_each(|source| source.paths.check_unchanged())
    }
}

fn fingerprint(described: &Value, rows_per_part: usize) -> String {
    Fingerprint::new()
        .with("pool")
        .with(rows_per_part.to_string())
        .with(described.to_string())
        .short()
}

/// The sources as the pool's card tells of them; there is a hash for each path, in order.
fn describe(sources: &[ReadSource], hashed: &[HashedSource]) -> Value {
    let mut left = hashed.iter();
    let describe_one = |source: &ReadSource| {
        let files: Vec<Value> = source
            .paths
            .names()
            .iter()
            .zip(left.by_ref())
            .map(|(name, source)| json!({"name": name, "sha256": source.hash}))
            .collect();
        json!({"reader": source.identity, "files": files, "limit": source.limit})
    };
    Value::Array(sources.iter().map(describe_one).collect())
}

/// What is there of a part before it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Earlier {
    None,
    /// The part itself, with all its rows.
    Whole,
    /// A damaged one, or one that is too short.
    Unfit,
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
