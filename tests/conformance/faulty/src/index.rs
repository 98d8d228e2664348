//! Index `faulty`: every row scanned, from a file of its own with a checksum.

use std::path::Path;
use std::sync::Arc;

use deft_core::Hit;
use deft_core::prelude::*;

use crate::config::{Calls, Config};

const ROWS: &str = "rows.bin";
const SUM: &str = "rows.sum";
const CODEC: &str = "codec.txt";

#[derive(Debug)]
pub(crate) struct FaultyIndex {
    config: Config,
    calls: Arc<Calls>,
}

impl Component for FaultyIndex {
    type Config = Config;
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "every row scanned, with a fault";

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: Config, _children: Children) -> Result<Self> {
        Ok(Self { config, calls: Arc::default() })
    }
}

impl IndexFactory for FaultyIndex {
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        self.config.answer(name)
    }

    fn info(&self) -> IndexInfo {
        let training_vectors = if self.config.trains { 100 } else { 0 };
        IndexInfo { training_vectors, ..IndexInfo::default() }
    }

    fn builder(
        &self,
        _ctx: &Context<'_>,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        let is_trained = match trained {
            Some(dir) => {
                let codec = dir.join(CODEC);
                std::fs::metadata(&codec).or_io("cannot read the codec", &codec)?;
                true
            }
            None => !self.config.trains || self.config.has("untrained"),
        };
        let (config, rows, dimension) = (self.config.clone(), Vec::new(), shape.dimension);
        Ok(Box::new(Builder { config, dimension, rows, adds: 0, is_trained, is_codec: false }))
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let vectors =
            vectors.ok_or_else(|| Error::new(ErrorKind::Unsupported, "no vectors are kept"))?;
        let has = |fault| self.config.has(fault);
        let (file, sum) = (dir.join(ROWS), dir.join(SUM));
        let bytes = std::fs::read(&file).or_io("cannot read the rows", &file)?;
        let wanted = std::fs::read_to_string(&sum).or_io("cannot read the checksum", &sum)?;
        let is_whole = Fingerprint::new().with(&bytes).short() == wanted;
        let dimension = vectors.dimension();
        let is_whole = is_whole && bytes.len() / 4 / dimension == vectors.len();
        if !is_whole && !has("damaged") {
            return Err(Error::new(ErrorKind::Data, "the index is damaged")
                .with_context("file", file.display()));
        }
        let mut rows: Vec<f32> =
            bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if has("reopened") && self.calls.count() > 0 {
            rows.reverse();
        }
        if has("length") {
            rows.truncate(rows.len() - dimension);
        }
        assert!(!has("one_vector") || rows.len() > dimension, "no second row");
        let (config, calls) = (self.config.clone(), Arc::clone(&self.calls));
        Ok(Box::new(Scan { config, calls, rows, dimension }))
    }
}

struct Builder {
    config: Config,
    dimension: usize,
    rows: Vec<f32>,
    adds: usize,
    is_trained: bool,
    is_codec: bool,
}

impl IndexBuilder for Builder {
    fn train(&mut self, _ctx: &Context<'_>, _sample: Matrix<'_>) -> Result<()> {
        self.is_codec = true;
        Ok(())
    }

    fn add(&mut self, _ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()> {
        if !self.is_trained {
            return Err(Error::new(ErrorKind::Unexpected, "the index has not been trained"));
        }
        self.adds += 1;
        // A fault that many small calls alone show.
        let scale = if self.config.has("rebuilt") && self.adds > 5 { 0.0 } else { 1.0 };
        self.rows.extend(rows.as_slice().iter().map(|x| x * scale));
        Ok(())
    }

    fn finish(&mut self, _ctx: &Context<'_>, dir: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            std::fs::write(&path, bytes).or_io("cannot write the index", &path)
        };
        if self.is_codec {
            return write(CODEC, b"nothing to be learned\n");
        }
        debug_assert!(self.rows.len().is_multiple_of(self.dimension));
        let bytes: Vec<u8> = self.rows.iter().flat_map(|x| x.to_le_bytes()).collect();
        write(SUM, Fingerprint::new().with(&bytes).short().as_bytes())?;
        write(ROWS, &bytes)
    }
}

struct Scan {
    config: Config,
    calls: Arc<Calls>,
    rows: Vec<f32>,
    dimension: usize,
}

impl Index for Scan {
    fn len(&self) -> usize {
        self.rows.len() / self.dimension
    }

    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        let has = |fault| self.config.has(fault);
        assert!(!has("no_queries") || hits.k() > 0, "a `k` of 0");
        let is_disturbed = has("concurrent") && self.calls.overlapped();
        for query in 0..queries.rows() {
            self.config.look(ctx)?;
            // A fault: the query before this one is answered.
            let asked = if has("queries") { query.saturating_sub(1) } else { query };
            let mut found = self.scan(queries.row(asked), hits.k());
            if is_disturbed || has("threads") && ctx.threads() > 2 {
                found.pop();
            }
            hits.set(query, &mut found);
        }
        Ok(())
    }
}

impl Scan {
    fn scan(&self, query: &[f32], k: usize) -> Vec<Hit> {
        let has = |fault| self.config.has(fault);
        let score = |row: &[f32]| -> f32 {
            let squares: f32 = row.iter().zip(query).map(|(r, q)| (r - q) * (r - q)).sum();
            // A fault: the distance, not its square.
            if has("scores") { -squares.sqrt() } else { -squares }
        };
        let rows = self.rows.chunks_exact(self.dimension).enumerate();
        let hit = |(row, numbers): (usize, &[f32])| Hit { id: row as u64, score: score(numbers) };
        let mut found: Vec<Hit> = rows.map(hit).collect();
        match self.config.fault.as_str() {
            "recall" => found.retain(|hit| hit.id % 3 > 0),
            "k_beyond_length" if k > found.len() => found.truncate(found.len() - 1),
            "duplicates" => {
                found.sort_by(Hit::rank_order);
                found.dedup_by_key(|hit| hit.score);
            }
            "ties" => {
                found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.id.cmp(&a.id)));
                found.truncate(k);
            }
            _ => {}
        }
        found
    }
}
