//! Folders as they are opened and written.

use std::collections::BTreeMap;

use deft_core::{NoServices, Services};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::testing::{context, model_dir};

const Q: &str = "encoder.block.0.layer.0.SelfAttention.q.weight";

/// A folder with a model's weights in it.
fn pretrained(config: &Value) -> TempDir {
    let dir = model_dir(config);
    let model = open(dir.path(), Weights::Random(3)).expect("a model");
    let weights = model.tensors(&context(1), &WHOLE).expect("weights");
    write_tensors(&weights, &dir.path().join("model.safetensors")).expect("written");
    dir
}

fn open(dir: &Path, weights: Weights) -> Result<Model> {
    Model::open_dir(&context(1), dir, None, weights)
}

/// A folder with an IA3 adapter of one vector, as PEFT has it.
fn adapter(base: &Path, name: &str, values: &[f32]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let config = json!({
        "peft_type": "IA3", "base_model_name_or_path": base, "target_modules": ["q"],
        "feedforward_modules": [],
    });
    std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).expect("written");
    let vector = Tensor::new(values, &candle_core::Device::Cpu).and_then(|t| t.reshape(((), 1)));
    let tensors = Tensors::from([(format!("base_model.model.{name}"), vector.expect("a vector"))]);
    write_tensors(&tensors, &dir.path().join("adapter_model.safetensors")).expect("written");
    dir
}

#[test]
fn a_fingerprint_is_of_config_tokenizer_and_tensors_in_their_order() {
    let dir = pretrained(&json!({}));
    let model = open(dir.path(), Weights::Folder).expect("a model");
    let tensors = model.tensors(&context(1), &WHOLE).expect("weights");
    let mut wanted =
        Fingerprint::new().with(format!("{:?}", model.config)).with(model.tokens.bytes());
    for (name, tensor) in &tensors {
        let values: Vec<f32> = tensor.flatten_all().and_then(|t| t.to_vec1()).expect("values");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        wanted = wanted.with(name).with(format!("f32 {:?}", tensor.dims())).with(bytes);
    }
    let (wanted, mut seen) = (wanted.short(), BTreeMap::new());
    for threads in [1, 3] {
        seen.clear();
        let found = model.fingerprint(&context(threads), &WHOLE, |name, tensor| {
            seen.insert(name, tensor.elem_count());
        });
        assert_eq!(found.expect("a fingerprint").short(), wanted);
    }
    assert!(seen.keys().eq(tensors.keys()));
}

#[test]
fn weights_that_change_before_they_are_trained_are_refused() {
    let dir = pretrained(&json!({}));
    let model = open(dir.path(), Weights::Folder).expect("a model");
    model.tensors(&context(1), &WHOLE).expect("as they were");
    let path = dir.path().join("model.safetensors");
    let others = open(dir.path(), Weights::Random(4)).expect("a model");
    write_tensors(&others.tensors(&context(1), &WHOLE).expect("weights"), &path).expect("written");
    let error = model.tensors(&context(1), &WHOLE).expect_err("changed");
    assert_eq!(error.kind(), ErrorKind::Model);
    assert_eq!(error.context("file"), Some(&*path.display().to_string()));
    assert!(error.hint().is_some_and(|hint| hint.contains("again")));
}

#[test]
fn a_written_config_says_what_the_weights_are_and_which_ids_were_used() {
    for changes in
        [json!({"torch_dtype": "float16"}), json!({"dtype": "bfloat16", "pad_token_id": 3})]
    {
        let dir = pretrained(&changes);
        let model = open(dir.path(), Weights::Folder).expect("a model");
        let out = tempfile::tempdir().expect("a folder");
        let tensors = model.tensors(&context(1), &WHOLE).expect("weights");
        model.write(&tensors, 512, out.path()).expect("written");
        let text = std::fs::read_to_string(out.path().join("config.json")).expect("readable");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(config["torch_dtype"], "float32");
        assert!(config.get("dtype").is_none_or(|dtype| dtype == "float32"));
        let pad = changes.get("pad_token_id").map_or(0, |id| id.as_u64().expect("an id"));
        assert_eq!((&config["pad_token_id"], &config["eos_token_id"]), (&json!(pad), &json!(1)));
        assert_eq!((&config["decoder_start_token_id"], &config["d_ff"]), (&json!(pad), &json!(32)));
        let again = open(out.path(), Weights::Folder).expect("a model");
        assert_eq!(again.config, model.config);
    }
}

#[test]
fn an_adapter_is_merged_and_one_of_another_network_is_refused() {
    let base = pretrained(&json!({}));
    let plain = open(base.path(), Weights::Folder).expect("a model");
    let plain = plain.tensors(&context(1), &[Part::Encoder]).expect("weights");
    let module = Q.strip_suffix(".weight").expect("a weight");
    let twice = adapter(base.path(), &format!("{module}.ia3_l"), &[2.0; 16]);
    let model = open(twice.path(), Weights::Folder).expect("an adapter");
    let merged = model.tensors(&context(1), &[Part::Encoder]).expect("weights");
    let values = |tensors: &Tensors| tensors[Q].to_vec2::<f32>().expect("values");
    assert_eq!(values(&merged)[3][5], 2.0 * values(&plain)[3][5]);
    for (name, values) in
        [("block.0.q.ia3_l", [2.0; 16].as_slice()), (&format!("{module}.ia3_l"), &[2.0; 3])]
    {
        let dir = adapter(base.path(), name, values);
        let error = open(dir.path(), Weights::Folder).expect_err("another network's");
        assert!(error.message().contains(name), "{error}");
        assert_eq!(error.context("adapter"), Some(&*dir.path().display().to_string()));
    }
}

#[test]
fn an_adapter_without_its_base_is_named() {
    let dir = adapter(Path::new("/nowhere/model"), "q.ia3_l", &[1.0]);
    let error = open(dir.path(), Weights::Folder).expect_err("no base");
    assert_eq!(error.context("adapter"), Some(&*dir.path().display().to_string()));
    let missing = Context::new(&Missing, 1, 1);
    let error = Model::open_dir(&missing, dir.path(), None, Weights::Folder).expect_err("no base");
    assert_eq!(error.context("adapter"), Some(&*dir.path().display().to_string()));
    assert!(error.hint().is_some_and(|hint| hint.contains("`/nowhere/model`")));
}

#[test]
fn an_adapters_base_is_its_commit_in_the_hubs_cache_or_else_a_path() {
    let root = tempfile::tempdir().expect("a folder");
    let snapshot = root.path().join("models--org--name/snapshots/c0ffee");
    let dir = model_dir(&json!({}));
    std::fs::create_dir_all(&snapshot).expect("a folder");
    for file in ["config.json", "tokenizer.json"] {
        std::fs::copy(dir.path().join(file), snapshot.join(file)).expect("copied");
    }
    let name = |dir: &Path| {
        let model = open(dir, Weights::Random(1)).expect("a model");
        Model { weights: Weights::Folder, ..model }.base_name()
    };
    assert_eq!(name(&snapshot).as_deref(), Some("org/name@c0ffee"));
    assert_eq!(name(dir.path()), Some(dir.path().display().to_string()));
}

/// Services that find nothing.
struct Missing;

impl Services for Missing {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Err(Error::new(ErrorKind::Model, format!("`{name}` is not found")))
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}

/// Services of a user who asked to stop after `left` questions, and what was logged.
struct Stopping {
    left: std::sync::atomic::AtomicUsize,
    said: std::sync::Mutex<String>,
}

impl Stopping {
    fn after(left: usize) -> Self {
        Self { left: left.into(), said: std::sync::Mutex::default() }
    }
}

impl Services for Stopping {
    fn log(&self, _level: log::Level, _target: &str, message: &str) {
        self.said.lock().expect("not poisoned").push_str(message);
    }

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err()
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        NoServices.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}

#[test]
fn reading_stops_between_two_tensors() {
    let dir = pretrained(&json!({}));
    let model = open(dir.path(), Weights::Folder).expect("a model");
    let (services, mut seen) = (Stopping::after(3), 0);
    let ctx = Context::new(&services, 1, 1);
    let error = model.fingerprint(&ctx, &WHOLE, |_, _| seen += 1).expect_err("cancelled");
    assert_eq!((error.kind(), seen), (ErrorKind::Cancelled, 3));
}

#[test]
fn a_surplus_of_tensors_is_told_with_the_file_that_has_it() {
    let (dir, other) = (pretrained(&json!({})), tempfile::tempdir().expect("a folder"));
    let model = open(dir.path(), Weights::Folder).expect("a model");
    let mut tensors = model.tensors(&context(1), &WHOLE).expect("weights");
    tensors.insert("classifier.weight".to_owned(), tensors[Q].clone());
    let file = other.path().join("other.safetensors");
    write_tensors(&tensors, &file).expect("written");
    let services = Stopping::after(usize::MAX);
    let ctx = Context::new(&services, 1, 1);
    Model::open_dir(&ctx, dir.path(), None, Weights::File(file.clone())).expect("a model");
    let said = services.said.lock().expect("not poisoned");
    assert!(said.contains(&file.display().to_string()), "{said}");
    assert!(said.contains("`classifier.weight`"), "{said}");
}
