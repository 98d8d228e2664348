//! Weights from a folder: safetensors, whole or sharded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use deft_core::{Error, ErrorKind, Fingerprint, Result, ResultExt};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;

/// The table of words, by which a checkpoint's prefix is found.
pub(crate) const EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// What models with a head of their own put before every name.
const PREFIXES: [&str; 4] = ["", "bert.", "roberta.", "distilbert."];
/// Names of norms in the first BERTs, which were converted from `TensorFlow`.
const OLD_NAMES: [(&str, &str); 2] =
    [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")];
/// Longest safetensors header that is believed.
const MAX_HEADER: u64 = 100 << 20;

/// The weights of a folder, opened; each tensor that is taken becomes part of a fingerprint.
#[derive(Debug)]
pub(crate) struct Weights {
    files: Vec<Safetensors>,
    /// What stands before every name.
    prefix: &'static str,
    dir: PathBuf,
    fingerprint: Fingerprint,
}

impl Weights {
    /// Opens the weights in a folder, read from its headers alone.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let whole = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let files = if whole.exists() {
            vec![Safetensors::open(&whole)?]
        } else if index.exists() {
            shards(dir, &index)?
                .iter()
                .map(|shard| Safetensors::open(shard))
                .collect::<Result<_>>()?
        } else {
            return Err(nothing_in(dir));
        };
        let has = |name: &str| files.iter().any(|file| file.metadata.info(name).is_some());
        let is_prefix = |prefix: &&str| has(&format!("{prefix}{EMBEDDINGS}"));
        let prefix = PREFIXES.into_iter().find(is_prefix).unwrap_or_default();
        Ok(Self { files, prefix, dir: dir.to_owned(), fingerprint: Fingerprint::new() })
    }

    /// Reads a tensor as f32, checked against its shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.read(name, shape)?;
        self.fingerprint.add(format!("{name} {shape:?}").as_bytes());
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.fingerprint.add(&bytes);
        Ok(values)
    }

    /// The fingerprint of all that was taken.
    pub(crate) fn fingerprint(self) -> Fingerprint {
        self.fingerprint
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let old = OLD_NAMES.iter().filter_map(|(new, old)| Some((name.strip_suffix(new)?, old)));
        let names =
            [name.to_owned()].into_iter().chain(old.map(|(path, old)| format!("{path}{old}")));
        for stored in names {
            let stored = format!("{}{stored}", self.prefix);
            for file in &self.files {
                if let Some(info) = file.metadata.info(&stored) {
                    self.check_shape(name, &info.shape, shape)?;
                    return file.read(&stored, info);
                }
            }
        }
        Err(Error::new(ErrorKind::Model, format!("the weights have no tensor `{name}`"))
            .with_context("found", "nothing")
            .with_context("wanted", format!("{shape:?}"))
            .with_context("weights", self.dir.display())
            .with_hint("do config.json and the weights belong to the same model?"))
    }

    fn check_shape(&self, name: &str, found: &[usize], wanted: &[usize]) -> Result<()> {
        if found == wanted {
            return Ok(());
        }
        let message = format!("the tensor `{name}` has another shape than config.json says");
        Err(Error::new(ErrorKind::Model, message)
            .with_context("found", format!("{found:?}"))
            .with_context("wanted", format!("{wanted:?}"))
            .with_context("weights", self.dir.display()))
    }
}

fn nothing_in(dir: &Path) -> Error {
    let has_pickle = ["pytorch_model.bin", "pytorch_model.bin.index.json"]
        .iter()
        .any(|name| dir.join(name).exists());
    let (message, hint) = if has_pickle {
        (
            "the folder has its weights as pytorch_model.bin alone, which this plugin does not read",
            "save them as safetensors, in Python: `from transformers import AutoModel; \
             AutoModel.from_pretrained(DIR).save_pretrained(DIR)`",
        )
    } else {
        (
            "the model's folder has no weights",
            "put model.safetensors (or its shards and index) there",
        )
    };
    Error::new(ErrorKind::Model, message).with_context("folder", dir.display()).with_hint(hint)
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn shards(dir: &Path, index: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = std::fs::read_to_string(index).or_io("cannot read the list of shards", index)?;
    let parsed: Index = serde_json::from_str(&text)
        .or_error(ErrorKind::Model, "the list of shards is damaged")
        .map_err(|e| e.with_context("file", index.display()))?;
    Ok(parsed.weight_map.into_values().map(|shard| dir.join(shard)).collect())
}

/// A safetensors file whose tensors are read one by one: nothing is held twice.
#[derive(Debug)]
struct Safetensors {
    file: File,
    path: PathBuf,
    metadata: Metadata,
    /// Where the tensors' bytes start.
    start: u64,
}

impl Safetensors {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |message: String, hint: &str| {
            Error::new(ErrorKind::Model, message)
                .with_context("file", path.display())
                .with_hint(hint)
        };
        let damaged = |what: String| {
            wrong(format!("the weights are damaged: {what}"), "download the file again")
        };
        let mut file = File::open(path).or_io("cannot open the weights", path)?;
        let size = file.metadata().or_io("cannot open the weights", path)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged("no safetensors header".to_owned()))?;
        if length == *b"version " {
            let message = "this is a git-lfs pointer, not the weights".to_owned();
            return Err(wrong(message, "fetch them with `git lfs pull`"));
        }
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

    fn read(&self, name: &str, info: &TensorInfo) -> Result<Vec<f32>> {
        let wrong = |message: String| {
            Error::new(ErrorKind::Model, message).with_context("file", self.path.display())
        };
        let (from, to) = info.data_offsets;
        let values = info.shape.iter().product::<usize>();
        if values * info.dtype.bitsize() != to.saturating_sub(from) * 8 {
            return Err(wrong(format!("the tensor `{name}` has not as many bytes as its shape")));
        }
        let mut bytes = vec![0; to - from];
        self.file
            .read_exact_at(&mut bytes, self.start + from as u64)
            .or_io("cannot read the weights", &self.path)?;
        decoded(info.dtype, &bytes).ok_or_else(|| {
            wrong(format!("the tensor `{name}` is of type {:?}", info.dtype))
                .with_hint("weights must be F32, F16, BF16 or F64")
        })
    }
}

/// Numbers as f32; `None` where they are of a type that no network's are.
fn decoded(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what is computed with")]
    let from_f64 = |value: &[u8; 8]| f64::from_le_bytes(*value) as f32;
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect()),
        Dtype::F16 => {
            Some(bytes.as_chunks().0.iter().map(|v| f16::from_le_bytes(*v).to_f32()).collect())
        }
        Dtype::BF16 => {
            Some(bytes.as_chunks().0.iter().map(|v| bf16::from_le_bytes(*v).to_f32()).collect())
        }
        Dtype::F64 => Some(bytes.as_chunks().0.iter().map(from_f64).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::write_tensors;
    use safetensors::tensor::TensorView;
    use serde_json::json;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn shards_prefixes_and_old_names_are_read() {
        let dir = dir();
        let words =
            vec![("bert.embeddings.word_embeddings.weight".to_owned(), vec![2], vec![1.5, 2.0])];
        write_tensors(&dir.path().join("a.safetensors"), &words);
        let norm = vec![("bert.embeddings.LayerNorm.gamma".to_owned(), vec![1], vec![3.0])];
        write_tensors(&dir.path().join("b.safetensors"), &norm);
        let map = json!({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}});
        let index = dir.path().join("model.safetensors.index.json");
        std::fs::write(index, map.to_string()).expect("written");
        let mut weights = Weights::open(dir.path()).expect("weights");
        assert_eq!(weights.take(EMBEDDINGS, &[2]).expect("a tensor"), [1.5, 2.0]);
        assert_eq!(weights.take("embeddings.LayerNorm.weight", &[1]).expect("a tensor"), [3.0]);
    }

    #[test]
    fn half_precision_is_read() {
        let dir = dir();
        // 1.0 as bfloat16 and as half.
        let tensors = [("b", Dtype::BF16, [0x80, 0x3f]), ("h", Dtype::F16, [0x00, 0x3c])];
        let views = tensors.iter().map(|(name, dtype, bytes)| {
            (*name, TensorView::new(*dtype, vec![1], bytes).expect("a tensor"))
        });
        let path = dir.path().join("model.safetensors");
        safetensors::serialize_to_file(views, None, &path).expect("written");
        let mut weights = Weights::open(dir.path()).expect("weights");
        assert_eq!(weights.take("b", &[1]).expect("a tensor"), [1.0]);
        assert_eq!(weights.take("h", &[1]).expect("a tensor"), [1.0]);
    }

    #[test]
    fn a_missing_or_misshaped_tensor_is_named_with_both_shapes() {
        let dir = dir();
        let tensors = vec![("norm".to_owned(), vec![2], vec![0.0; 2])];
        write_tensors(&dir.path().join("model.safetensors"), &tensors);
        let mut weights = Weights::open(dir.path()).expect("weights");
        let error = weights.take("norm", &[3]).expect_err("misshaped");
        assert!(error.message().contains("`norm`"));
        assert_eq!((error.context("found"), error.context("wanted")), (Some("[2]"), Some("[3]")));
        let error = weights.take("other", &[3]).expect_err("missing");
        assert!(error.message().contains("`other`"));
    }

    #[test]
    fn what_is_no_weights_file_is_called_by_its_name() {
        let dir = dir();
        let refused = || Weights::open(dir.path()).expect_err("no weights");
        assert_eq!(refused().message(), "the model's folder has no weights");
        std::fs::write(dir.path().join("pytorch_model.bin"), "").expect("written");
        assert!(refused().hint().is_some_and(|hint| hint.contains("save_pretrained")));
        let path = dir.path().join("model.safetensors");
        let contents = [
            ("version https://git-lfs", "git-lfs"),
            ("abc", "damaged"),
            ("12345678901", "damaged"),
        ];
        for (content, word) in contents {
            std::fs::write(&path, content).expect("written");
            assert!(refused().message().contains(word), "{}", refused());
        }
        let tensors = vec![("norm".to_owned(), vec![2], vec![0.0; 2])];
        write_tensors(&path, &tensors);
        let whole = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &whole[..whole.len() - 1]).expect("written");
        assert!(refused().message().starts_with("the weights are damaged"), "{}", refused());
    }
}
