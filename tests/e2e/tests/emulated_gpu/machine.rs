//! A machine with emulated GPUs: a project whose calls find the plugin with CUDA, and what the GPUs
//! have done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use deft_core::VectorStore;
use deft_e2e::{Deft, Project, skipped};
use serde_json::Value;

/// Examples of the pool, no two of which have the same text.
pub(crate) const ROWS: usize = 60;
/// Of them in a unit of encoding: there are three units.
const ROWS_OF_UNIT: usize = 20;
/// Tokens of the pool's longest text: nine words, one in front of them, and `</s>`.
pub(crate) const LONGEST: usize = 11;
/// Components of a vector of the project's model.
const DIMENSION: usize = 16;
/// How far vectors that differ by rounding alone may be apart, as a share of their length.
pub(crate) const ROUNDING: f32 = 1e-5;

/// The settings of the emulator, by the variables that it reads.
pub(crate) const GPUS: &str = "GPU_EMULATOR_GPUS";
pub(crate) const MEMORY: &str = "GPU_EMULATOR_MEMORY";
pub(crate) const CAPABILITY: &str = "GPU_EMULATOR_CAPABILITY";
pub(crate) const DRIVER: &str = "GPU_EMULATOR_DRIVER";
pub(crate) const LOST_AFTER: &str = "GPU_EMULATOR_LOST_AFTER";
const LOG: &str = "GPU_EMULATOR_LOG";

/// A small project on such a machine.
pub(crate) struct Emulated {
    project: Project,
    /// The folder of the plugin with CUDA.
    plugins: PathBuf,
}

impl Deref for Emulated {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

impl Emulated {
    /// A project with options more for the encoder and for the trainer: `, device: cuda:0`.
    ///
    /// `None`, and a note, where no build of the plugin is named.
    pub(crate) fn new(encoder: &str, trainer: &str) -> Option<Self> {
        let Some(plugins) = std::env::var_os("DEFT_CUDA_PLUGIN_DIR") else {
            skipped("DEFT_CUDA_PLUGIN_DIR names no build of t5 with CUDA");
            return None;
        };
        let project = Project::with_pool(2 * ROWS);
        let pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
        project.write("pool.jsonl", &without_repetition(&pool));
        project.write("manifest.yaml", &manifest(encoder, trainer));
        Some(Self { project, plugins: plugins.into() })
    }

    /// A call of the program on the manifest.
    pub(crate) fn call(&self, command: &str) -> Deft {
        self.on_machine(self.project.deft(command))
    }

    /// A call that encodes the texts of the pool into a `.npy` file, with options more for the
    /// encoder.
    pub(crate) fn encode(&self, options: &str, output: &str) -> Deft {
        let model = self.path("model");
        let model = model.display();
        let encoder = format!("{{ use: t5, model: {model}, init: random, init_seed: 3{options} }}");
        let call = Deft::new(&["encode", "--encoder", &encoder, "--input"]);
        let call = call.arg(self.path("pool.jsonl")).arg("--output").arg(self.path(output));
        self.on_machine(call)
    }

    /// Finds the plugin and keeps a log; `DEFT_CUDA_LIB_DIR` is inherited.
    fn on_machine(&self, call: Deft) -> Deft {
        call.arg("--plugin-dir").arg(&self.plugins).env(LOG, self.path("gpu.log"))
    }

    /// What the GPUs have done since the last time, by all processes.
    pub(crate) fn take_log(&self) -> Log {
        let path = self.path("gpu.log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        Log::read(&text)
    }

    /// Names of the files of vectors in the store.
    pub(crate) fn encoded(&self) -> Vec<String> {
        let files = self.stages("t5-").into_iter().flat_map(|stage| fs::read_dir(stage).unwrap());
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let is_part = |name: &String| name.starts_with("part-") && name.ends_with(".safetensors");
        let mut names: Vec<String> = names.filter(is_part).collect();
        names.sort();
        names
    }

    /// The vectors in the store, row-major.
    pub(crate) fn vectors(&self) -> Vec<f32> {
        let stages = self.stages("t5-");
        assert_eq!(stages.len(), 1, "one encoder has encoded");
        let store = VectorStore::open(&stages[0]).unwrap();
        assert_eq!((store.len(), store.dimension()), (ROWS, DIMENSION));
        let mut numbers = Vec::new();
        store.read(0..ROWS, &mut numbers).unwrap();
        numbers
    }

    /// The folder of the arm's results.
    pub(crate) fn arm(&self) -> PathBuf {
        self.path("runs/emulated/tasks/mood/retrieved")
    }

    /// The folder of what was trained, and of how that was evaluated.
    pub(crate) fn trained(&self) -> PathBuf {
        self.arm().join("seed-1")
    }
}

/// Vectors as the encoder made them; six steps of four examples, a checkpoint after every second.
fn manifest(encoder: &str, trainer: &str) -> String {
    format!(
        "\
version: 1
name: emulated
seed: 5
plugins: [p3, t5, exact, dense]
rows_per_part: {ROWS_OF_UNIT}
pool:
  - {{ reader: p3, source: pool.jsonl }}
selection: {{ policy: union, queries: 8, neighbors: 10 }}
tasks:
  - name: mood
    reader: p3
    query_source: queries.jsonl
    evaluation_source: {{ source: evaluation.jsonl, take: 8 }}
arms:
  retrieved: {{}}
retriever:
  use: dense
  vectors: f32
  encoder: {{ use: t5, model: model, init: random, init_seed: 3{encoder} }}
  index: exact
trainer: {{ use: t5, model: model, init: random, steps: 6, batch_size: 2, \
gradient_accumulation: 2, checkpoint_every: 2{trainer} }}
"
    )
}

/// The first [`ROWS`] lines of a pool whose text no line before them has. Of equal texts it would be
/// chance which of them is the nearer one.
fn without_repetition(pool: &str) -> String {
    let mut seen = BTreeSet::new();
    let is_new = |line: &&str| seen.insert(json(line)["input"].to_string());
    let lines: Vec<&str> = pool.lines().filter(is_new).take(ROWS).collect();
    assert_eq!(lines.len(), ROWS, "so many different texts");
    lines.join("\n") + "\n"
}

/// What GPUs have done: their memory at most, and how often each kernel was launched.
#[derive(Debug, Default)]
pub(crate) struct Log(BTreeMap<String, u64>);

impl Log {
    /// Reads lines like `gpu 0 launches adam 12`.
    fn read(text: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in text.lines() {
            let (what, number) = line.rsplit_once(' ').unwrap();
            let number: u64 = number.parse().unwrap();
            let known = all.entry(what.to_owned()).or_default();
            // Processes come one after the other.
            *known = if what.ends_with(" peak") { number.max(*known) } else { *known + number };
        }
        Self(all)
    }

    /// How often a kernel was launched on a GPU.
    pub(crate) fn launches(&self, gpu: usize, kernel: &str) -> u64 {
        self.of(&format!("gpu {gpu} launches {kernel}"))
    }

    /// How often anything was launched.
    pub(crate) fn all_launches(&self) -> u64 {
        let launches = self.0.iter().filter(|(what, _)| what.contains(" launches "));
        launches.map(|(_, count)| count).sum()
    }

    /// Bytes of a GPU's memory that were in use at once, at most.
    pub(crate) fn peak(&self, gpu: usize) -> u64 {
        self.of(&format!("gpu {gpu} peak"))
    }

    fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// How far two sets of vectors are apart: the largest distance of a row's two, as a share of the
/// length of the wanted one.
pub(crate) fn apart(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let rows = found.chunks_exact(DIMENSION).zip(wanted.chunks_exact(DIMENSION));
    let shares = rows.map(|(found, wanted)| {
        let difference = found.iter().zip(wanted).map(|(a, b)| a - b);
        length(difference) / length(wanted.iter().copied())
    });
    // What is no number is the largest, whatever its sign.
    shares.map(f32::abs).max_by(f32::total_cmp).unwrap()
}

fn length(numbers: impl Iterator<Item = f32>) -> f32 {
    numbers.map(|x| x * x).sum::<f32>().sqrt()
}

/// The JSON of each line of a file.
pub(crate) fn lines_of(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(json).collect()
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}
