//! Weights from a model's folder: safetensors (whole or sharded) or `PyTorch`'s pickle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use deft_core::{Context, Error, ErrorKind, Result, ResultExt};
use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;

use crate::network::{Parameter, Tensors};
use crate::pickle;

/// Names under which checkpoints keep the input embeddings, in the order of preference.
pub(crate) const EMBEDDINGS: [&str; 3] =
    ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
/// What checkpoints hold without a use: the embeddings again, and a table of cross-attention that
/// the first T5 models were saved with and that nothing reads.
const REPEATED: [&str; 4] = [
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "lm_head.weight",
    "EncDecAttention.relative_attention_bias.weight",
];
/// What `AllenNLP` puts before the names of the original's models.
const ALLENNLP: &str = "transformer.";
/// Longest safetensors header that is believed.
const MAX_HEADER: u64 = 100 << 20;

/// The weights of a model's folder, opened: headers are read, tensors are not.
pub(crate) struct Checkpoint {
    files: Vec<Box<dyn TensorFile>>,
    /// What stands before every name: [`ALLENNLP`] or nothing.
    prefix: &'static str,
    /// The folder or file, as messages name it.
    path: PathBuf,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).finish_non_exhaustive()
    }
}

/// One file with tensors in it.
pub(crate) trait TensorFile {
    /// The tensor of a name in its stored type, if the file has it.
    fn get(&self, name: &str) -> Result<Option<Tensor>>;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;
}

impl Checkpoint {
    /// Opens the weights in a folder; pickles are converted first, see [`pickle`].
    pub(crate) fn open(ctx: &Context<'_>, dir: &Path) -> Result<Self> {
        let whole = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let pickle = dir.join("pytorch_model.bin");
        let pickle_index = dir.join("pytorch_model.bin.index.json");
        let files = if whole.exists() {
            vec![open_file(ctx, &whole)?]
        } else if index.exists() {
            open_shards(ctx, dir, &index)?
        } else if pickle.exists() {
            vec![open_file(ctx, &pickle)?]
        } else if pickle_index.exists() {
            open_shards(ctx, dir, &pickle_index)?
        } else {
            return Err(Error::new(ErrorKind::Model, "the model's folder has no weights")
                .with_context("folder", dir.display())
                .with_hint(
                    "put model.safetensors (or its shards and index, or pytorch_model.bin) there, \
                     or start a new model of this shape with `init: random`",
                ));
        };
        Ok(Self::new(files, dir))
    }

    /// Opens one file with weights: safetensors, or a pickle such as `AllenNLP`'s `.th`.
    pub(crate) fn open_one(ctx: &Context<'_>, path: &Path) -> Result<Self> {
        Ok(Self::new(vec![open_file(ctx, path)?], path))
    }

    fn new(files: Vec<Box<dyn TensorFile>>, path: &Path) -> Self {
        let mut names = files.iter().flat_map(|file| file.names());
        let prefix = if names.any(|name| name.starts_with(ALLENNLP)) { ALLENNLP } else { "" };
        Self { files, prefix, path: path.to_owned() }
    }

    /// Tensors that a network with these parameters has no use for, in the order of their names.
    pub(crate) fn surplus(&self, parameters: &[Parameter]) -> Vec<String> {
        let known: BTreeSet<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        let names: BTreeSet<String> = self.files.iter().flat_map(|file| file.names()).collect();
        let own = |name: &String| name.strip_prefix(self.prefix).unwrap_or(name).to_owned();
        let is_surplus = |name: &String| {
            !known.contains(name.as_str()) && !REPEATED.iter().any(|end| name.ends_with(end))
        };
        names.iter().map(own).filter(is_surplus).collect()
    }

    /// Reads the tensors of a network as f32, checked against their shapes.
    pub(crate) fn tensors(&self, parameters: &[Parameter]) -> Result<Tensors> {
        parameters.iter().map(|wanted| Ok((wanted.name.clone(), self.tensor(wanted)?))).collect()
    }

    /// Reads one tensor if the checkpoint has it.
    pub(crate) fn optional(&self, wanted: &Parameter) -> Result<Option<Tensor>> {
        match self.find(&wanted.name)? {
            None => Ok(None),
            Some(tensor) if tensor.dims() == wanted.shape => {
                let tensor = tensor.to_dtype(DType::F32);
                tensor.or_error(ErrorKind::Model, "a tensor is not of numbers").map(Some)
            }
            Some(tensor) => Err(Error::new(
                ErrorKind::Model,
                format!("the tensor `{}` has another shape than config.json says", wanted.name),
            )
            .with_context("found", format!("{:?}", tensor.dims()))
            .with_context("wanted", format!("{:?}", wanted.shape))
            .with_context("weights", self.path.display())),
        }
    }

    fn tensor(&self, wanted: &Parameter) -> Result<Tensor> {
        self.optional(wanted)?.ok_or_else(|| {
            Error::new(ErrorKind::Model, format!("the weights have no tensor `{}`", wanted.name))
                .with_context("found", "nothing")
                .with_context("wanted", format!("{:?}", wanted.shape))
                .with_context("weights", self.path.display())
                .with_hint("do config.json and the weights belong to the same T5 model?")
        })
    }

    fn find(&self, name: &str) -> Result<Option<Tensor>> {
        let aliases = if name == EMBEDDINGS[0] { &EMBEDDINGS[..] } else { &[name][..] };
        for alias in aliases {
            let alias = format!("{}{alias}", self.prefix);
            for file in &self.files {
                if let Some(tensor) = file.get(&alias)? {
                    return Ok(Some(tensor));
                }
            }
        }
        Ok(None)
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn open_shards(ctx: &Context<'_>, dir: &Path, index: &Path) -> Result<Vec<Box<dyn TensorFile>>> {
    let text = std::fs::read_to_string(index).or_io("cannot read the list of shards", index)?;
    let parsed: Index = serde_json::from_str(&text)
        .or_error(ErrorKind::Model, "the list of shards is damaged")
        .map_err(|e| e.with_context("file", index.display()))?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    shards.iter().map(|shard| open_file(ctx, &dir.join(shard))).collect()
}

fn open_file(ctx: &Context<'_>, path: &Path) -> Result<Box<dyn TensorFile>> {
    check_start(path)?;
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        Ok(Box::new(Safetensors::open(path)?))
    } else {
        pickle::open(ctx, path)
    }
}

/// Refuses what is often found in place of weights, under its own name.
fn check_start(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    let file = File::open(path).or_io("cannot open the weights", path)?;
    file.take(64).read_to_end(&mut start).or_io("cannot read the weights", path)?;
    let wrong = |message: &str, hint: &str| {
        Err(Error::new(ErrorKind::Model, message)
            .with_context("file", path.display())
            .with_hint(hint))
    };
    let text = String::from_utf8_lossy(&start).to_lowercase();
    if text.starts_with("version https://git-lfs") {
        return wrong(
            "this is a git-lfs pointer, not the weights",
            "fetch them with `git lfs pull`",
        );
    }
    if text.trim_start().starts_with("<!doctype") || text.trim_start().starts_with("<html") {
        return wrong("this is a web page, not the weights", "download the file itself again");
    }
    Ok(())
}

/// A safetensors file whose tensors are read one by one: nothing is held twice.
pub(crate) struct Safetensors {
    file: File,
    path: PathBuf,
    metadata: Metadata,
    /// Where the tensors' bytes start.
    start: u64,
}

impl Safetensors {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let damaged = |what: String| {
            Error::new(ErrorKind::Model, format!("the weights are damaged: {what}"))
                .with_context("file", path.display())
                .with_hint("download the file again")
        };
        let mut file = File::open(path).or_io("cannot open the weights", path)?;
        let size = file.metadata().or_io("cannot open the weights", path)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged("no safetensors header".to_owned()))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || 8 + length > size {
            return Err(damaged("no safetensors header".to_owned()));
        }
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header).or_io("cannot read the weights", path)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|e| damaged(e.to_string()))?;
        let start = 8 + length;
        let end = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
        if size != start + end as u64 {
            return Err(damaged(format!("{size} bytes, not {}", start + end as u64)));
        }
        Ok(Self { file, path: path.to_owned(), metadata, start })
    }

    /// The tensor of a name, which the file must have, as f32.
    pub(crate) fn get_f32(&self, name: &str) -> Result<Tensor> {
        let missing = || {
            Error::new(ErrorKind::Model, format!("the file has no tensor `{name}`"))
                .with_context("file", self.path.display())
        };
        let tensor = self.get(name)?.ok_or_else(missing)?;
        tensor.to_dtype(DType::F32).or_error(ErrorKind::Model, "a tensor is not of numbers")
    }
}

impl TensorFile for Safetensors {
    fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    fn get(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(info) = self.metadata.info(name) else { return Ok(None) };
        let wrong = |message: String| {
            Error::new(ErrorKind::Model, message).with_context("file", self.path.display())
        };
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            other => {
                return Err(wrong(format!("the tensor `{name}` is of type {other:?}"))
                    .with_hint("weights must be F32, F16, BF16 or F64"));
            }
        };
        let (from, to) = info.data_offsets;
        if info.shape.iter().product::<usize>() * dtype.size_in_bytes() != to.saturating_sub(from) {
            return Err(wrong(format!("the tensor `{name}` has not as many bytes as its shape")));
        }
        let mut bytes = vec![0; to - from];
        self.file
            .read_exact_at(&mut bytes, self.start + from as u64)
            .or_io("cannot read the weights", &self.path)?;
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .or_error(ErrorKind::Model, format!("the tensor `{name}` cannot be read"))
            .map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use crate::torch_archive;
    use safetensors::tensor::TensorView;
    use serde_json::json;
    use tempfile::TempDir;

    fn parameter(name: &str, shape: &[usize]) -> Parameter {
        let initial = crate::network::Initial::Constant(1.0);
        Parameter { name: name.to_owned(), shape: shape.to_vec(), initial }
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
        assert!(
            checkpoint
                .surplus(&[parameter("norm", &[2]), parameter("shared.weight", &[2])])
                .is_empty()
        );
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
}
