//! What several tests need.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_core::{NoServices, Services};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::config::Precision;
use crate::device::{self, Placement};

/// A path of the shared tree, or a note that the test is skipped.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// A JSON file of the shared tree.
pub(crate) fn shared_json(path: &str) -> Option<Value> {
    let text = std::fs::read_to_string(shared(path)?).expect("readable");
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// A folder with a tiny model: `config.json` with changes, and a tokenizer whose word `wN` is id N.
pub(crate) fn model_dir(changes: &Value) -> TempDir {
    let mut config = json!({
        "vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4,
        "feed_forward_proj": "gated-gelu",
    });
    for (key, value) in changes.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let mut vocabulary: Map<String, Value> =
        (2..40).map(|id| (format!("w{id}"), json!(id))).collect();
    vocabulary.insert("<pad>".to_owned(), json!(0));
    vocabulary.insert("</s>".to_owned(), json!(1));
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [special(0, "<pad>"), special(1, "</s>")],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w2"},
    });
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    dir
}

/// A context without a host.
pub(crate) fn context(threads: usize) -> Context<'static> {
    Context::new(&NoServices, 7, threads)
}

/// The device whose results are compared with references: the CPU, unless `DEFT_T5_DEVICE` names
/// another.
pub(crate) fn device() -> String {
    std::env::var("DEFT_T5_DEVICE").unwrap_or_else(|_| "cpu".to_owned())
}

/// The GPU that `DEFT_T5_DEVICE` names, to compute in a precision; else a note that a test is skipped.
pub(crate) fn gpu(precision: Precision) -> Option<Placement> {
    let choice = serde_json::from_value(device().into()).expect("a device");
    let there = device::open_one(&context(1), choice, precision).expect("a device");
    if there.device.is_cpu() {
        println!("skipped: DEFT_T5_DEVICE names no GPU");
        return None;
    }
    Some(there)
}

/// A component with random weights of a folder's shape, on the CPU: many tests compare bytes.
pub(crate) fn random<C: Component>(dir: &Path, changes: &Value) -> C {
    let mut config = json!({"model": dir, "init": "random", "init_seed": 3, "device": "cpu"});
    for (key, value) in changes.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let config = deft_core::options::parse(&config).expect("valid options");
    C::new(&context(2), config, Children::none()).expect("a component")
}

/// Trains into a folder, with folders of its own for all else.
pub(crate) fn try_train(
    trainer: &dyn Trainer,
    ctx: &Context<'_>,
    examples: &Vec<Example>,
    validation: Option<&Vec<Example>>,
    out: &Path,
) -> Result<TrainReport> {
    let beside = tempfile::tempdir().expect("a folder");
    let folders = TrainingFolders { out, scratch: beside.path(), logs: beside.path() };
    let validation = validation.map(|examples| examples as &dyn Examples);
    trainer.train(ctx, &Training { examples, validation, folders })
}

/// Services with a cache folder and nothing else.
#[derive(Debug)]
pub(crate) struct Cache(TempDir);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context::new(self, 7, 1)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    /// The files that the plugin has put there.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir().join("t5")).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Services for Cache {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        match name {
            "cache_dir" => Ok(json!({"dir": self.dir()}).to_string()),
            _ => NoServices.call(name, json),
        }
    }
}
