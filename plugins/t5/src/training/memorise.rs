//! Real examples learned by heart: the whole of training at once, on the shared tree's pool.

use std::io::{BufRead as _, BufReader};

use deft_core::prelude::*;
use serde_json::{Value, json};

use crate::testing::{context, shared, try_train};
use crate::trainer::T5Trainer;

/// Examples that are learned.
const EXAMPLES: usize = 200;

/// The first examples of the pool with targets of a few words.
fn examples() -> Option<Vec<Example>> {
    let file = std::fs::File::open(shared("data/pool/p3_sample_1k.jsonl")?).expect("readable");
    let example = |line: std::io::Result<String>| -> Example {
        serde_json::from_str(&line.expect("readable")).expect("an example")
    };
    let is_short = |example: &Example| example.target.as_ref().is_some_and(|t| t.len() < 60);
    Some(BufReader::new(file).lines().map(example).filter(is_short).take(EXAMPLES).collect())
}

/// A small network with the real vocabulary.
fn trainer(options: &Value) -> Option<T5Trainer> {
    let dir = tempfile::tempdir().expect("a folder");
    let config = json!({
        "vocab_size": 32128, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2,
        "num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    let mut all = json!({
        "model": dir.path(), "init": "random", "init_seed": 3, "batch_size": 5,
        "gradient_accumulation": 5, "max_tokens": 64, "max_answer_tokens": 24, "dropout": 0,
        "tokenizer": shared("models/t5-tokenizer/tokenizer.json")?,
    });
    for (key, value) in options.as_object().expect("an object") {
        all[key] = value.clone();
    }
    let config = deft_core::options::parse(&all).expect("valid options");
    Some(T5Trainer::new(&context(2), config, Children::none()).expect("a trainer"))
}

/// The losses of the epochs; `None` without the shared tree.
fn losses(options: &Value) -> Option<Vec<f64>> {
    let (examples, trainer) = (examples()?, trainer(options)?);
    assert_eq!(examples.len(), EXAMPLES);
    let out = tempfile::tempdir().expect("a folder");
    Some(try_train(&trainer, &context(2), &examples, None, out.path()).expect("trained").losses)
}

#[test]
fn full_fine_tuning_learns_real_examples_by_heart() {
    let Some(losses) = losses(&json!({"epochs": 40, "learning_rate": 0.005})) else { return };
    assert!(losses[39] < 0.05, "{losses:?}");
}

#[test]
fn adapters_lower_the_loss_of_real_examples() {
    for method in ["ia3", "lora"] {
        let options = json!({"method": method, "epochs": 5, "learning_rate": 0.02});
        let Some(losses) = losses(&options) else { return };
        assert!(losses[4] < 0.97 * losses[0], "{method}: {losses:?}");
    }
}
