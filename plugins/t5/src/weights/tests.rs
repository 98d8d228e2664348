//! Weights of every form that a folder may have.

use super::*;
use crate::testing::context;
use crate::torch_archive;
use candle_core::Device;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tempfile::TempDir;

fn parameter(name: &str, shape: &[usize]) -> Parameter {
    Parameter {
        name: name.to_owned(),
        shape: shape.to_vec(),
        initial: crate::network::Initial::Constant(1.0),
    }
}

fn write(dir: &TempDir, file: &str, tensors: &[(&str, Dtype, &[u8])]) {
    let views = tensors.iter().map(|(name, dtype, bytes)| {
        let count = bytes.len() * 8 / dtype.bitsize();
        (*name, TensorView::new(*dtype, vec![count], bytes).expect("a tensor"))
    });
    let path = dir.path().join(file);
    safetensors::serialize_to_file(views, None, &path).expect("written");
}

fn values(checkpoint: &Checkpoint, name: &str, count: usize) -> Vec<f32> {
    let tensor = checkpoint.tensor(&parameter(name, &[count])).expect("a tensor");
    tensor.to_vec1().expect("values")
}

#[test]
fn shards_aliases_and_half_precision_are_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let embeddings = [1.5f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat();
    write(&dir, "a.safetensors", &[("encoder.embed_tokens.weight", Dtype::F32, &embeddings)]);
    // 1.0 as bfloat16.
    write(&dir, "b.safetensors", &[("norm", Dtype::BF16, &[0x80, 0x3f])]);
    let map = json!({"weight_map": {
        "encoder.embed_tokens.weight": "a.safetensors", "norm": "b.safetensors",
    }});
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(index, map.to_string()).expect("written");
    let checkpoint = Checkpoint::open(&context(1), dir.path()).expect("a checkpoint");
    assert_eq!(values(&checkpoint, "shared.weight", 2), [1.5, 2.0]);
    assert_eq!(values(&checkpoint, "norm", 1), [1.0]);
}

#[test]
fn what_the_network_has_no_use_for_is_named_and_repetitions_are_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let number = 1.0f32.to_le_bytes();
    let names = ["norm", "classifier.weight", "lm_head.weight", "decoder.embed_tokens.weight"];
    let tensors = names.map(|name| (name, Dtype::F32, &number[..]));
    write(&dir, "model.safetensors", &tensors);
    let checkpoint = Checkpoint::open(&context(1), dir.path()).expect("a checkpoint");
    assert_eq!(checkpoint.surplus(&[parameter("norm", &[1])]), ["classifier.weight"]);
}

#[test]
fn a_state_of_allennlp_is_read_under_its_own_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let tensor = Tensor::new(&[1.5f32, 2.0], &Device::Cpu).expect("a tensor");
    let path = dir.path().join("best.th");
    let (name, embeddings) =
        ("transformer.norm".to_owned(), "transformer.shared.weight".to_owned());
    torch_archive::write(&path, &[(&name, &tensor), (&embeddings, &tensor)]);
    let checkpoint = Checkpoint::open_one(&context(1), &path).expect("a checkpoint");
    assert_eq!(values(&checkpoint, "norm", 2), [1.5, 2.0]);
    assert_eq!(values(&checkpoint, "shared.weight", 2), [1.5, 2.0]);
    let known = [parameter("norm", &[2]), parameter("shared.weight", &[2])];
    assert!(checkpoint.surplus(&known).is_empty());
    assert!(checkpoint.has("norm") && !checkpoint.has("transformer.norm"));
}

#[test]
fn a_tensor_named_like_allennlps_does_not_hide_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let number = 1.0f32.to_le_bytes();
    for embeddings in ["shared.weight", "transformer.shared.weight"] {
        let names = ["shared.weight", "transformer.adapter", embeddings];
        let tensors: BTreeSet<_> = names.into_iter().collect();
        let tensors: Vec<_> =
            tensors.into_iter().map(|name| (name, Dtype::F32, &number[..])).collect();
        write(&dir, "model.safetensors", &tensors);
        let checkpoint = Checkpoint::open(&context(1), dir.path()).expect("a checkpoint");
        assert_eq!(values(&checkpoint, "shared.weight", 1), [1.0]);
        let surplus = checkpoint.surplus(&[parameter("shared.weight", &[1])]);
        assert_eq!(surplus[0], "transformer.adapter");
    }
}

#[test]
fn a_tensor_that_is_not_of_numbers_is_named() {
    let scale = Tensor::from_raw_buffer(&[0; 2], DType::F8E8M0, &[2], &Device::Cpu);
    let error = to_f32(&scale.expect("a tensor"), "norm", Path::new("m.bin"));
    let error = error.expect_err("no numbers");
    assert_eq!(error.message(), "the tensor `norm` is not of numbers");
    assert_eq!(error.context("weights"), Some("m.bin"));
}

#[test]
fn advice_on_a_damaged_file_follows_where_it_came_from() {
    let root = tempfile::tempdir().expect("a folder");
    let cached = root.path().join("models--org--name/snapshots/c0");
    for (dir, word) in
        [(&cached, "org/name@c0 from the cache"), (&root.path().to_owned(), "came from")]
    {
        std::fs::create_dir_all(dir).expect("a folder");
        std::fs::write(dir.join("model.safetensors"), "abc").expect("written");
        let error = Checkpoint::open(&context(1), dir).expect_err("damaged");
        assert!(error.hint().is_some_and(|hint| hint.contains(word)), "{:?}", error.hint());
    }
    // Files of ours, such as checkpoints, were never downloaded.
    let error = Safetensors::open(&cached.join("model.safetensors")).err().expect("damaged");
    assert_eq!(error.hint(), None);
}

#[test]
fn files_that_were_changed_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let number = 1.0f32.to_le_bytes();
    write(&dir, "model.safetensors", &[("norm", Dtype::F32, &number)]);
    let open = || Checkpoint::open(&context(1), dir.path()).expect("a checkpoint");
    let before = open();
    before.check_unchanged(before.stamps()).expect("the same");
    // Another file of the same length.
    write(&dir, "model.safetensors", &[("norm", Dtype::F32, &2.0f32.to_le_bytes())]);
    let path = dir.path().join("model.safetensors");
    for checkpoint in [&before, &open()] {
        let error = checkpoint.check_unchanged(before.stamps()).expect_err("changed");
        assert_eq!(error.context("file"), Some(&*path.display().to_string()));
        assert!(error.message().contains("changed"), "{error}");
    }
}

#[test]
fn a_missing_or_misshaped_tensor_is_named_with_both_shapes() {
    let dir = tempfile::tempdir().expect("a folder");
    write(&dir, "model.safetensors", &[("norm", Dtype::F32, &[0; 8])]);
    let checkpoint = Checkpoint::open(&context(1), dir.path()).expect("a checkpoint");
    let error = checkpoint.tensor(&parameter("norm", &[3])).expect_err("misshaped");
    assert!(error.message().contains("`norm`"));
    assert_eq!((error.context("found"), error.context("wanted")), (Some("[2]"), Some("[3]")));
    let error = checkpoint.tensor(&parameter("other", &[3])).expect_err("missing");
    assert!(error.message().contains("`other`"));
}

#[test]
fn what_is_no_weights_file_is_called_by_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = Checkpoint::open(&context(1), dir.path()).expect_err("empty");
    assert!(error.hint().is_some_and(|hint| hint.contains("init: random")));
    for (content, word) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs"),
        ("<!DOCTYPE html><html>", "web page"),
        ("abc", "damaged"),
        ("12345678901234567890", "damaged"),
    ] {
        std::fs::write(dir.path().join("model.safetensors"), content).expect("written");
        let error = Checkpoint::open(&context(1), dir.path()).expect_err("no weights");
        assert!(error.message().contains(word), "{error}");
    }
}
