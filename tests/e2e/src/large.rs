//! Projects over very many rows, with the cheapest encoder there is: the example plugin's, which hashes
//! words.

use crate::{Project, Texts};

/// Retrievers of such projects, by the word that asks for one.
pub const LARGE_RETRIEVERS: [(&str, &str); 3] = [
    (
        "faiss",
        "{ use: dense, rows_per_unit: 100000, encoder: { use: hash, dimension: 64 }, index: faiss }",
    ),
    ("exact", "{ use: dense, encoder: { use: hash, dimension: 64 }, index: exact }"),
    ("bm25", "bm25"),
];

/// Queries of the task.
const QUERIES: usize = 32;

/// Rows of a part: a unit of `encode` takes a second or a few.
const ROWS_PER_PART: usize = 50_000;

/// A manifest over `pool.jsonl` that ends with the selection.
pub fn large_manifest(retriever: &str, rows_per_part: usize) -> String {
    format!(
        "version: 1\nname: small\nseed: 5\n\
         plugins: [p3, bm25, dense, exact, faiss, hash-encoder]\n\
         rows_per_part: {rows_per_part}\n\
         pool: [{{ reader: p3, source: pool.jsonl }}]\nretriever: {retriever}\n\
         selection: {{ queries: {QUERIES}, neighbors: 500 }}\n\
         tasks: [{{ name: mood, reader: p3, query_source: queries.jsonl }}]\n"
    )
}

/// A project that can be made again and again, each time the same.
#[derive(Debug)]
pub struct Large {
    retriever: &'static str,
    rows: usize,
    texts: Texts,
    seed: u64,
}

impl Large {
    /// So many rows made of `texts` and a seed, and a retriever by its word; `None` where there is
    /// none.
    pub fn new(retriever: &str, rows: usize, texts: Texts, seed: u64) -> Option<Self> {
        let &(_, retriever) = LARGE_RETRIEVERS.iter().find(|(word, _)| *word == retriever)?;
        Some(Self { retriever, rows, texts, seed })
    }

    /// Makes it.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn project(&self) -> Project {
        let project = Project::with_pool(0);
        self.texts.write(&project.path("pool.jsonl"), 0..self.rows, self.seed);
        let queries = self.rows..self.rows + QUERIES;
        self.texts.write(&project.path("queries.jsonl"), queries, self.seed);
        project.write("manifest.yaml", &large_manifest(self.retriever, ROWS_PER_PART));
        project
    }
}
