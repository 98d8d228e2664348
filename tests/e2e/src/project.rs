//! A small project in a temporary folder: pool, task, model and manifest.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::Deft;

/// The retriever block of `bm25`.
pub const RETRIEVER_BM25: &str = "retriever: bm25\n";

/// The retriever block of `dense` over the project's untrained model.
pub const RETRIEVER_DENSE: &str = "\
retriever:
  use: dense
  rows_per_unit: 300
  encoder: { use: t5, model: model, init: random, init_seed: 3 }
  index: exact
";

/// A trainer that takes a second.
pub const TRAINER: &str = "\
trainer: { use: t5, model: model, init: random, steps: 12, batch_size: 2, gradient_accumulation: 2, checkpoint_every: 3 }
";

/// Everything before the blocks that a test chooses.
const HEAD: &str = "\
version: 1
name: small
seed: 5
plugins: [p3, t5, exact, dense, bm25]
rows_per_part: 250
pool:
  - { reader: p3, source: pool.jsonl }
selection: { policy: union, queries: 8, neighbors: 10 }
tasks:
  - { name: mood, reader: p3, query_source: queries.jsonl, evaluation_source: evaluation.jsonl }
arms:
  retrieved: {}
  random: { selection: { policy: random, same_as: retrieved } }
  none: { trainer: none }
";

/// A folder with everything that a run needs.
#[derive(Debug)]
pub struct Project {
    dir: tempfile::TempDir,
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

impl Project {
    /// A pool of 1,000 examples, a task with 20 queries and 24 evaluation examples, a tiny model.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn new() -> Self {
        Self::with_pool(1000)
    }

    /// The same with a pool of another size.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn with_pool(rows: usize) -> Self {
        let project = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        project.write("pool.jsonl", &lines(0..rows));
        project.write("queries.jsonl", &lines(rows..rows + 20));
        project.write("evaluation.jsonl", &lines(rows + 20..rows + 44));
        fs::create_dir(project.path("model")).expect("made");
        deft_conformance::tiny_t5_of(&project.path("model"), &WORDS);
        project
    }

    /// The project's folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    /// Writes `manifest.yaml` from the common head and the blocks given.
    pub fn manifest(&self, blocks: &[&str]) {
        self.write("manifest.yaml", &format!("{HEAD}{}", blocks.concat()));
    }

    /// A call of the program on the manifest.
    pub fn deft(&self, command: &str) -> Deft {
        Deft::new(&[command]).arg(self.path("manifest.yaml"))
    }

    /// Content of every file below the run and the store, by relative path: the project's own path
    /// is replaced, and what tells of time and machine alone (logs among it) is left out.
    ///
    /// # Panics
    ///
    /// When a file cannot be read.
    pub fn results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(&self.path("runs"), &self.path("runs"), &mut found);
        let own = self.dir().canonicalize().expect("a folder").to_string_lossy().into_owned();
        for content in found.values_mut() {
            if let Ok(text) = std::str::from_utf8(content)
                && text.contains(&own)
            {
                *content = text.replace(&own, "<project>").into_bytes();
            }
        }
        found
    }

    /// The results that are the same however the work was shared and interrupted: all but bm25's
    /// segments, whose names are random.
    ///
    /// # Panics
    ///
    /// When a file cannot be read.
    pub fn stable_results(&self) -> BTreeMap<String, Vec<u8>> {
        let mut results = self.results();
        let segment = |name: &str| name.contains(".store/bm25-") && name.contains("/part-");
        results.retain(|name, _| !segment(name));
        results
    }

    /// The folders of the store whose names begin so, by name; none before there is a store.
    pub fn stages(&self, name: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("runs/.store")) else { return Vec::new() };
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        let begins = |path: &PathBuf| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
        };
        found.retain(begins);
        found.sort();
        found
    }
}

fn collect(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
        let differs =
            ["/run.json", "/hashes/", "/logs/"].into_iter().any(|part| name.contains(part));
        if path.is_dir() {
            collect(root, &path, found);
        } else if !differs {
            found.insert(name, fs::read(&path).expect("read"));
        }
    }
}

const WORDS: [&str; 24] = [
    "the", "film", "book", "meal", "room", "was", "good", "bad", "fine", "poor", "warm", "cold",
    "long", "short", "red", "blue", "sort", "copy", "count", "first", "last", "yes", "no", "say",
];

/// Rows whose words follow from their number: no two runs of a test differ.
fn lines(rows: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for row in rows {
        let word = |place: usize| WORDS[(row * 7 + place * place * 5 + row / 11 * place) % 21];
        let length = 4 + row % 6;
        let input: Vec<&str> = (0..length).map(word).collect();
        let (target, dataset) = (["yes", "no"][row / 3 % 2], ["mood", "other"][row % 2]);
        let line = json!({
            "input": format!("say {}", input.join(" ")),
            "target": target,
            "answer_choices": ["yes", "no"],
            "dataset": dataset,
            "template": format!("t{}", row % 5),
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The same files are there with the same bytes.
///
/// # Panics
///
/// When a file is missing, was left over, or differs; `when` is said with it.
pub fn assert_same_results(
    found: &BTreeMap<String, Vec<u8>>,
    wanted: &BTreeMap<String, Vec<u8>>,
    when: &str,
) {
    let (names, wanted_names) =
        (found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    assert_eq!(names, wanted_names, "a file is missing, or a temporary was left: {when}");
    for (name, content) in found {
        assert!(content == &wanted[name], "{name} differs: {when}");
    }
}
