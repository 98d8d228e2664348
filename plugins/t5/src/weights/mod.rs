//! Weights from a model's folder: safetensors (whole or sharded) or `PyTorch`'s pickle.

mod file;
mod stamp;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use deft_core::{Context, Error, ErrorKind, Result, ResultExt};
use serde::Deserialize;

use crate::network::Parameter;
use crate::{hub, pickle};

pub(crate) use file::Safetensors;
pub(crate) use stamp::Stamp;
pub(crate) use writing::{Outgoing, le_bytes, write, write_by};

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
/// The forms that weights have in a folder, the best first: a file, or an index of several.
const FORMS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The weights of a model's folder, opened: headers are read, tensors are not.
pub(crate) struct Checkpoint {
    files: Vec<Box<dyn TensorFile>>,
    /// Of the files as they were when they were opened.
    stamps: Vec<Stamp>,
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

/// One file with tensors in it, which several threads may read.
pub(crate) trait TensorFile: Send + Sync {
    /// The tensor of a name in its stored type, if the file has it.
    fn get(&self, name: &str) -> Result<Option<Tensor>>;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;
}

impl Checkpoint {
    /// Opens the weights in a folder; pickles are converted first, see [`pickle`].
    pub(crate) fn open(ctx: &Context<'_>, dir: &Path) -> Result<Self> {
        let paths = match FORMS.map(|name| dir.join(name)).into_iter().find(|path| path.exists()) {
            Some(index) if index.extension().is_some_and(|end| end == "json") => {
                shards(dir, &index)?
            }
            Some(whole) => vec![whole],
            None => {
                return Err(Error::new(ErrorKind::Model, "the model's folder has no weights")
                    .with_context("folder", dir.display())
                    .with_hint(
                        "put model.safetensors (or its shards and index, or pytorch_model.bin) \
                         there, or start a new model of this shape with `init: random`",
                    ));
            }
        };
        Self::of(ctx, &paths, dir)
    }

    /// Opens one file with weights: safetensors, or a pickle such as `AllenNLP`'s `.th`.
    pub(crate) fn open_one(ctx: &Context<'_>, path: &Path) -> Result<Self> {
        Self::of(ctx, &[path.to_owned()], path)
    }

    fn of(ctx: &Context<'_>, paths: &[PathBuf], path: &Path) -> Result<Self> {
        let stamps = paths.iter().map(|path| Stamp::of(path)).collect::<Result<_>>()?;
        let files = paths.iter().map(|path| open_file(ctx, path)).collect::<Result<Vec<_>>>()?;
        Ok(Self { prefix: prefix(&files), files, stamps, path: path.to_owned() })
    }

    /// The folder or file that was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The files as they were when they were opened.
    pub(crate) fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// Refuses files that are no longer those of `before`.
    pub(crate) fn check_unchanged(&self, before: &[Stamp]) -> Result<()> {
        let now: Vec<Stamp> =
            self.stamps.iter().map(|stamp| Stamp::of(stamp.path())).collect::<Result<_>>()?;
        stamp::check(before, &now)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        has(&self.files, &format!("{}{name}", self.prefix))
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

    /// Reads one tensor of a network as f32, checked against its shape.
    pub(crate) fn tensor(&self, wanted: &Parameter) -> Result<Tensor> {
        let tensor = self.find(&wanted.name)?.ok_or_else(|| {
            Error::new(ErrorKind::Model, format!("the weights have no tensor `{}`", wanted.name))
                .with_context("found", "nothing")
                .with_context("wanted", format!("{:?}", wanted.shape))
                .with_context("weights", self.path.display())
                .with_hint("do config.json and the weights belong to the same T5 model?")
        })?;
        if tensor.dims() == wanted.shape {
            return to_f32(&tensor, &wanted.name, &self.path);
        }
        let name = &wanted.name;
        let message = format!("the tensor `{name}` has another shape than config.json says");
        Err(Error::new(ErrorKind::Model, message)
            .with_context("found", format!("{:?}", tensor.dims()))
            .with_context("wanted", format!("{:?}", wanted.shape))
            .with_context("weights", self.path.display()))
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

/// The files that an index names.
fn shards(dir: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(index).or_io("cannot read the list of shards", index)?;
    let parsed: Index = serde_json::from_str(&text)
        .or_error(ErrorKind::Model, "the list of shards is damaged")
        .map_err(|e| e.with_context("file", index.display()))?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    Ok(shards.iter().map(|shard| dir.join(shard)).collect())
}

fn has(files: &[Box<dyn TensorFile>], name: &str) -> bool {
    files.iter().any(|file| file.names().iter().any(|own| own == name))
}

/// What stands before the network's own names: the embeddings tell, which every T5 has.
fn prefix(files: &[Box<dyn TensorFile>]) -> &'static str {
    let is_before = |prefix: &str| {
        EMBEDDINGS.iter().any(|embeddings| has(files, &format!("{prefix}{embeddings}")))
    };
    if is_before(ALLENNLP) && !is_before("") { ALLENNLP } else { "" }
}

fn open_file(ctx: &Context<'_>, path: &Path) -> Result<Box<dyn TensorFile>> {
    check_start(path)?;
    let opened = if path.extension().is_some_and(|extension| extension == "safetensors") {
        Safetensors::open(path).map(|file| Box::new(file) as Box<dyn TensorFile>)
    } else {
        pickle::open(ctx, path)
    };
    opened.map_err(|error| match error.kind() {
        ErrorKind::Model => error.with_hint(remedy(path)),
        _ => error,
    })
}

/// What to do about a damaged file.
fn remedy(path: &Path) -> String {
    match path.parent().and_then(hub::name_of) {
        Some(name) => format!("remove the folder of {name} from the cache: it is downloaded again"),
        None => "take the file again from where it came from".to_owned(),
    }
}

/// A tensor's numbers as f32.
fn to_f32(tensor: &Tensor, name: &str, path: &Path) -> Result<Tensor> {
    tensor
        .to_dtype(DType::F32)
        .or_error(ErrorKind::Model, format!("the tensor `{name}` is not of numbers"))
        .map_err(|e| e.with_context("weights", path.display()))
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
