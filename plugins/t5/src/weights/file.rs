//! A safetensors file whose tensors are read one by one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use deft_core::{Error, ErrorKind, Result, ResultExt};
use safetensors::tensor::{Dtype, Metadata};

use super::{TensorFile, to_f32};

/// Longest header that is believed.
const MAX_HEADER: u64 = 100 << 20;

/// A file with its header read; nothing is held twice.
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
        let whole = start.saturating_add(metadata.data_len() as u64);
        if size != whole {
            return Err(damaged(format!("{size} bytes, not {whole}")));
        }
        Ok(Self { file, path: path.to_owned(), metadata, start })
    }

    /// The tensor of a name, which the file must have, as f32.
    pub(crate) fn get_f32(&self, name: &str) -> Result<Tensor> {
        let missing = || {
            Error::new(ErrorKind::Model, format!("the file has no tensor `{name}`"))
                .with_context("file", self.path.display())
        };
        to_f32(&self.get(name)?.ok_or_else(missing)?, name, &self.path)
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
