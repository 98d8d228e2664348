//! What the encoder and the trainer `t5` promise, through the built library, on a tiny model.

use deft_conformance::{Library, tiny_t5};
use serde_json::json;

fn library() -> Library {
    Library::of_package(env!("CARGO_PKG_NAME"))
}

fn model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    tiny_t5(dir.path());
    dir
}

#[test]
fn encoder_keeps_its_promises() {
    let dir = model();
    let options = json!({"model": dir.path(), "init": "random", "init_seed": 3});
    library().encoder("t5", options).check();
}

#[test]
fn trainer_keeps_its_promises() {
    let dir = model();
    library()
        .trainer(
            "t5",
            json!({
                "model": dir.path(), "init": "random", "init_seed": 3, "epochs": 4,
                "batch_size": 2, "gradient_accumulation": 3, "learning_rate": 0.01,
            }),
        )
        .check();
}
