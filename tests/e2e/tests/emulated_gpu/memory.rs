//! A GPU's memory: what cannot fit is refused before it is put there, a batch that does not is split.

use std::fs;

use serde_json::json;

use deft_e2e::{call_fails, read_json, read_npy};

use crate::machine::{Emulated, LONGEST, MEMORY, ROUNDING, ROWS, apart};

/// Width of a feed-forward whose three matrices, 16 numbers for each, are 192 MB in f32.
const WIDE: usize = 1_000_000;
/// More than nothing, less than that: 0.1 GB.
const TOO_LITTLE_FOR_WIDE: &str = "100000000";
/// The tiny model has 6,416 numbers; a training with Adam keeps 16 bytes for each of them, and 4 for
/// the gradient of each that is in no table: 124,864 bytes.
const TOO_LITTLE_FOR_TRAINING: &str = "100000";
/// The weights of the tiny encoder take 11,520 bytes in pieces of 256. The bias that is kept of 64
/// positions has 65,536 bytes, and without it no text can be computed.
const ENOUGH_FOR_WEIGHTS_ALONE: &str = "60000";
/// How often each text is in a batch that is split: it takes several times as much as all that is
/// there whatever the batch is, of which the bias is the most while it is made.
const TIMES: usize = 4;

#[test]
fn weights_without_room_are_refused_with_both_numbers_before_any_is_put_there() {
    let Some(project) = Emulated::new("", "") else { return };
    let mut config = read_json(&project.path("model/config.json"));
    config["d_ff"] = json!(WIDE);
    project.write("model/config.json", &config.to_string());
    let call = project.encode(", device: cuda:0", "vectors.npy").env(MEMORY, TOO_LITTLE_FOR_WIDE);
    let says = "the GPU has not enough memory for the encoder's weights: 0.2 GB are needed, 0.1 GB \
                are free";
    call_fails(call, 1, &[says, "take `precision: bf16`, or a GPU with more memory that is free"]);
    let log = project.take_log();
    assert!(log.peak(0) < 1_000_000 && log.all_launches() == 0, "{log:?}");
    assert!(!project.path("vectors.npy").exists());
}

#[test]
fn a_training_without_room_is_refused_before_anything_is_put_there() {
    let Some(project) = Emulated::new(", device: cpu", ", device: cuda:0") else { return };
    let call = project.call("run").env(MEMORY, TOO_LITTLE_FOR_TRAINING);
    // Of so small a model both numbers are `0.0 GB`.
    let says = "the GPU has not enough memory for the training: 0.0 GB are needed, 0.0 GB are free";
    call_fails(call, 1, &[says, "take `optimizer: adafactor`, `method: ia3` or `lora`"]);
    let log = project.take_log();
    assert_eq!((log.peak(0), log.all_launches()), (0, 0));
    assert!(!project.trained().join("model").exists());
}

#[test]
fn a_batch_without_room_is_split_and_its_vectors_are_those_of_ample_memory() {
    let Some(project) = Emulated::new("", "") else { return };
    let pool = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    project.write("pool.jsonl", &pool.repeat(TIMES));
    // All texts are one batch.
    let options = format!(", device: cuda:0, batch_tokens: {}", TIMES * ROWS * LONGEST);
    let whole = project.encode(&options, "whole.npy").succeed().stderr;
    assert!(!whole.contains("have no room"), "{whole}");
    // Enough for a half: nearly all that was in use was the batch's.
    let memory = project.take_log().peak(0) * 7 / 10;

    let call = project.encode(&options, "split.npy").env(MEMORY, memory.to_string());
    let stderr = call.succeed().stderr;
    let half = TIMES * ROWS / 2 * LONGEST;
    let says = format!(
        "t5: batches of more than {half} tokens have no room on the GPU and are split: \
         `batch_tokens: {half}` avoids that they are tried"
    );
    assert_eq!(stderr.matches(&says).count(), 1, "«{says}» is not said once in:\n{stderr}");
    assert!(project.take_log().peak(0) <= memory);
    let vectors = |name: &str| read_npy(&project.path(name)).1;
    let apart = apart(&vectors("split.npy"), &vectors("whole.npy"));
    assert!(apart < ROUNDING, "{apart}");
}

#[test]
fn a_text_that_has_no_room_alone_is_told_by_its_length() {
    let Some(project) = Emulated::new("", "") else { return };
    let call = project.encode(", device: cuda:0", "vectors.npy");
    let says = format!("the GPU has not enough memory for a text of {LONGEST} tokens");
    call_fails(call.env(MEMORY, ENOUGH_FOR_WEIGHTS_ALONE), 1, &[&says, "a lower limit of tokens"]);
    assert!(!project.path("vectors.npy").exists());
}
