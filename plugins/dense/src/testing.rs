//! Stand-ins for the host, an encoder and an index, for the tests of this crate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deft_core::prelude::*;
use deft_core::{Child, Handle, Hit, Hits, Services, part_name};

use crate::config::DenseConfig;
use crate::retriever::Dense;

/// A pool whose texts are the numbers of its rows.
pub(crate) fn pool_of(rows: usize) -> Vec<Example> {
    (0..rows).map(|row| Example { input: row.to_string(), ..Example::default() }).collect()
}

/// A retriever over [`SumEncoder`] and [`Flat`].
pub(crate) fn dense(rows_per_unit: usize, training_vectors: usize) -> Dense {
    dense_over(rows_per_unit, Flat { training_vectors, ..Flat::default() })
}

/// The same with an index of one's own.
pub(crate) fn dense_over(rows_per_unit: usize, flat: Flat) -> Dense {
    let child = |slot: &str, name: &str, handle| Child {
        slot: slot.to_owned(),
        name: name.to_owned(),
        identity: format!("{name} 0.1.0 {{}}"),
        handle,
    };
    let encoder = Arc::new(SumEncoder { fingerprint: "sum 1".to_owned() });
    let children = Children::new(vec![
        child("encoder", "sum", Handle::Encoder(encoder)),
        child("index", "flat", Handle::Index(Arc::new(flat))),
    ]);
    let config = DenseConfig { rows_per_unit, ..DenseConfig::default() };
    let ctx = Context::new(&deft_core::NoServices, 0, 1);
    Dense::new(&ctx, config, children).expect("a retriever")
}

/// A text that [`SumEncoder`] cuts: more than 8 characters.
pub(crate) const LONG: &str = "123456789";

/// The vector of the text of a number is (the number, 1).
pub(crate) struct SumEncoder {
    pub(crate) fingerprint: String,
}

impl Encoder for SumEncoder {
    fn info(&self) -> EncoderInfo {
        EncoderInfo { max_tokens: Some(8), ..EncoderInfo::new(2, self.fingerprint.as_str()) }
    }

    fn encode(
        &self,
        _ctx: &Context<'_>,
        texts: &[&str],
        _role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let mut report = EncodeReport::default();
        for (text, vector) in texts.iter().zip(out.as_chunks_mut().0) {
            let read = &text[..text.len().min(8)];
            report.truncated += u64::from(read.len() < text.len());
            let number: f32 = read.parse().expect("the text of a number");
            // 12345678 would not fit f16.
            *vector = [number % 65_000.0, 1.0];
        }
        Ok(report)
    }
}

/// Keeps vectors as they are; its codec is the training sample itself.
#[derive(Clone, Default)]
pub(crate) struct Flat {
    pub(crate) training_vectors: usize,
    /// Whether it says that it misses nothing.
    pub(crate) exact: bool,
    /// Whether it says that it cannot do without the vectors.
    pub(crate) needs_vectors: bool,
    /// Whether it says that it is there already: then it has the row (n, 1) for every n.
    pub(crate) ready: bool,
    /// Rows, counted in each unit, that it never finds.
    pub(crate) lost: Vec<u64>,
    /// What its scores are off by, like those of codes that stand for vectors.
    pub(crate) score_error: f32,
}

impl IndexFactory for Flat {
    fn info(&self) -> IndexInfo {
        let &Self { training_vectors, exact, needs_vectors, ready, .. } = self;
        IndexInfo { training_vectors, exact, needs_vectors, ready, ..IndexInfo::default() }
    }

    fn cost(&self, IndexShape { rows, dimension }: IndexShape) -> Result<IndexCost> {
        let bytes = Some((rows * dimension * size_of::<f32>()) as u64);
        Ok(IndexCost {
            disk: bytes,
            build_memory: bytes,
            search_memory: bytes,
            thread_memory: Some(1),
        })
    }

    fn builder(
        &self,
        _ctx: &Context<'_>,
        shape: IndexShape,
        trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        if self.ready {
            let rows = pool_of(shape.rows).into_iter();
            let numbers = rows.map(|row| row.input.parse::<f32>().expect("a number"));
            let there = numbers.flat_map(|number| [number, 1.0]).collect();
            return Ok(Box::new(FlatBuilder { numbers: there, is_ready: true }));
        }
        let trained = trained.map(|dir| std::fs::read(dir.join("flat")).expect("the codec"));
        if self.training_vectors > 0 {
            assert!(trained.as_ref().is_none_or(|codec| !codec.is_empty()), "an empty codec");
        }
        Ok(Box::new(FlatBuilder { numbers: Vec::new(), is_ready: false }))
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let bytes = std::fs::read(dir.join("flat")).expect("an index");
        assert!(vectors.is_some() || !self.needs_vectors, "the vectors are not kept");
        if let Some(vectors) = vectors {
            assert_eq!(bytes.len(), vectors.len() * vectors.dimension() * size_of::<f32>());
        }
        Ok(Box::new(FlatIndex { bytes, flat: self.clone() }))
    }
}

struct FlatBuilder {
    numbers: Vec<f32>,
    is_ready: bool,
}

impl IndexBuilder for FlatBuilder {
    fn train(&mut self, _ctx: &Context<'_>, sample: Matrix<'_>) -> Result<()> {
        self.numbers.extend_from_slice(sample.as_slice());
        Ok(())
    }

    fn add(&mut self, _ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()> {
        assert!(!self.is_ready, "nothing is added to an index that is there");
        self.numbers.extend_from_slice(rows.as_slice());
        Ok(())
    }

    fn finish(&mut self, _ctx: &Context<'_>, dir: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let file = dir.join("flat");
        std::fs::write(&file, bytes).or_io("cannot write", &file)
    }
}

struct FlatIndex {
    bytes: Vec<u8>,
    flat: Flat,
}

impl Index for FlatIndex {
    fn len(&self) -> usize {
        self.bytes.len() / 8
    }

    fn search(&self, _ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        let rows: Vec<f32> =
            self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        for query in 0..queries.rows() {
            let distance = |row: &[f32; 2]| (row[0] - queries.row(query)[0]).powi(2);
            let hit = |(id, row)| Hit { id, score: self.flat.score_error - distance(row) };
            let mut found: Vec<_> = (0..).zip(rows.as_chunks().0).map(hit).collect();
            found.retain(|hit| !self.flat.lost.contains(&hit.id));
            hits.set(query, &mut found);
        }
        Ok(())
    }
}

/// Runs units into a temporary folder, as the host does into the store.
pub(crate) struct Host {
    pub(crate) dense: Dense,
    pub(crate) examples: Vec<Example>,
    rows_per_part: usize,
    store: tempfile::TempDir,
    log: Log,
}

impl Host {
    pub(crate) fn new(dense: Dense, rows: usize, rows_per_part: usize) -> Self {
        let store = tempfile::tempdir().expect("a temporary folder");
        Self { dense, examples: pool_of(rows), rows_per_part, store, log: Log::default() }
    }

    /// A host that has run every unit of every phase.
    pub(crate) fn prepared(dense: Dense, rows: usize, rows_per_part: usize) -> Self {
        let host = Self::new(dense, rows, rows_per_part);
        host.prepare();
        host
    }

    pub(crate) fn prepare(&self) {
        for phase in self.phases() {
            std::fs::create_dir(self.dir(&phase.name)).expect("a folder for the phase");
            for unit in 0..phase.units {
                let out = self.dir(&phase.name).join(part_name(unit, &phase.suffix));
                self.run_unit(&phase.name, unit, &out).expect("the unit ran");
            }
        }
    }

    pub(crate) fn run_unit(&self, phase: &str, unit: usize, out: &Path) -> Result<()> {
        self.dense.run_unit(&self.ctx(), phase, unit, &self.pool(), &self.dirs(), out)
    }

    pub(crate) fn open(&self, dense: &Dense) -> Result<Box<dyn Searcher>> {
        dense.open(&self.ctx(), &self.pool(), &self.dirs())
    }

    pub(crate) fn retrieve(&self, queries: &[&str], k: usize) -> Vec<Vec<Hit>> {
        self.try_retrieve(queries, k).expect("found")
    }

    pub(crate) fn try_retrieve(&self, queries: &[&str], k: usize) -> Result<Vec<Vec<Hit>>> {
        let mut hits = Hits::new(queries.len(), k);
        self.open(&self.dense)?.retrieve(&self.ctx(), queries, hits.as_mut())?;
        Ok((0..queries.len()).map(|query| hits.of_query(query).collect()).collect())
    }

    /// Searches, and judges what was found: the judgement, the hits with true scores, the nearest.
    pub(crate) fn judge(&self, queries: &[&str], k: usize) -> (Judgement, Hits, Hits) {
        let searcher = self.open(&self.dense).expect("opened");
        let mut found = Hits::new(queries.len(), k);
        searcher.retrieve(&self.ctx(), queries, found.as_mut()).expect("found");
        let mut nearest = Hits::new(queries.len(), k);
        let judged = searcher.judge(&self.ctx(), queries, found.as_mut(), nearest.as_mut());
        (judged.expect("judged"), found, nearest)
    }

    pub(crate) fn phases(&self) -> Vec<Phase> {
        self.dense.phases(&self.ctx(), &self.pool()).expect("phases")
    }

    pub(crate) fn dir(&self, phase: &str) -> PathBuf {
        self.store.path().join(phase)
    }

    /// What was written to the log.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.log.lines.lock().expect("not poisoned").clone()
    }

    /// What the host was told of cut texts.
    pub(crate) fn told(&self) -> Vec<serde_json::Value> {
        self.log.told.lock().expect("not poisoned").clone()
    }

    fn dirs(&self) -> PhaseDirs {
        let phases = self.phases();
        PhaseDirs::new(phases.into_iter().map(|p| (p.name.clone(), self.dir(&p.name))).collect())
    }

    fn pool(&self) -> Pool<'_> {
        Pool { examples: &self.examples, rows_per_part: self.rows_per_part }
    }

    fn ctx(&self) -> Context<'_> {
        Context::new(&self.log, 42, 1)
    }
}

/// Names and contents of a file, or of the files of a folder.
pub(crate) fn bytes_of(path: &Path) -> Vec<(String, Vec<u8>)> {
    if path.is_file() {
        return vec![(String::new(), std::fs::read(path).expect("a file"))];
    }
    let mut files: Vec<_> = std::fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// Services that keep the log, and what is told of cut texts.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    told: Mutex<Vec<serde_json::Value>>,
}

impl Services for Log {
    fn log(&self, _level: log::Level, _target: &str, message: &str) {
        self.lines.lock().expect("not poisoned").push(message.to_owned());
    }

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        if name != "truncated" {
            return Err(Error::unknown_call(name));
        }
        let told = serde_json::from_str(json).expect("JSON");
        self.told.lock().expect("not poisoned").push(told);
        Ok("{}".to_owned())
    }
}
