//! The header of a part: what is in it, and where.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorInfo};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::VectorType;
use crate::{Error, ErrorKind, Result, ResultExt};

const TENSOR: &str = "vectors";
const SCALES: &str = "scales";
const METADATA: &str = "deft";
/// Longest header that is believed; ours are about 200 bytes.
const MAX_HEADER: u64 = 1 << 20;
/// Room for a `relative_error` that is known only when all rows are written.
const ERROR_ROOM: usize = 48;

/// The JSON under the key `deft`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) first_row: u64,
    pub(super) encoder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<String>,
    /// Only of [`VectorType::Int8`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) relative_error: Option<f32>,
}

impl Metadata {
    /// The header of a file of `rows` vectors, with blanks to the length that it has with any
    /// `relative_error`.
    pub(super) fn header(
        &self,
        rows: usize,
        dimension: usize,
        vector_type: VectorType,
    ) -> Result<String> {
        let text = |metadata: &Self| -> Result<String> {
            let metadata = serde_json::to_string(metadata)
                .or_error(ErrorKind::Unexpected, "the metadata is no JSON")?;
            let scales = rows * vector_type.scale_bytes();
            let bytes = scales + rows * dimension * vector_type.bytes();
            let dtype = dtype(vector_type);
            let mut header = json!({"__metadata__": {METADATA: metadata}});
            if vector_type == VectorType::Int8 {
                let offsets = [0, scales];
                header[SCALES] =
                    json!({"dtype": Dtype::F32, "shape": [rows], "data_offsets": offsets});
            }
            let (shape, offsets) = ([rows, dimension], [scales, bytes]);
            header[TENSOR] = json!({"dtype": dtype, "shape": shape, "data_offsets": offsets});
            Ok(header.to_string())
        };
        let mut header = text(self)?;
        let mut length = header.len();
        if vector_type == VectorType::Int8 {
            length = text(&Self { relative_error: None, ..self.clone() })?.len() + ERROR_ROOM;
        }
        // The numbers must start at a multiple of 8, and blanks after JSON are allowed.
        header.extend(std::iter::repeat_n(' ', length.next_multiple_of(8) - header.len()));
        Ok(header)
    }
}

fn dtype(vector_type: VectorType) -> Dtype {
    match vector_type {
        VectorType::F16 => Dtype::F16,
        VectorType::F32 => Dtype::F32,
        VectorType::Int8 => Dtype::I8,
    }
}

/// Where one file's numbers are.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Where the components start in the file.
    pub(super) offset: u64,
    /// Where the scales start, if there are any.
    pub(super) scales: u64,
    /// Pool rows in it.
    pub(super) rows: Range<usize>,
}

/// What a part's header says.
pub(super) struct Header {
    pub(super) dimension: usize,
    pub(super) vector_type: VectorType,
    pub(super) encoder: String,
    pub(super) stage: Option<String>,
    pub(super) relative_error: Option<f32>,
    pub(super) part: Part,
}

impl Header {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let damaged = |what: &str| {
            Error::new(ErrorKind::Data, format!("the vector part is damaged: {what}"))
                .with_context("file", path.display())
                .with_hint("remove the file: the next run makes it again")
        };
        let mut file = File::open(path).or_io("cannot open the vectors", path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged("it is shorter than its header"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(damaged("its header's length is not believable"));
        }
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header).or_io("cannot read the vectors", path)?;
        let size = file.metadata().or_io("cannot read the vectors", path)?.len();
        let metadata: safetensors::tensor::Metadata =
            serde_json::from_slice(&header).map_err(|e| damaged(&e.to_string()))?;
        let tensors = Tensors::of(&metadata).map_err(damaged)?;
        if size.checked_sub(8 + length) != Some(tensors.bytes) {
            return Err(damaged("its length is not that of its vectors"));
        }
        let deft = metadata.metadata().as_ref().and_then(|map| map.get(METADATA));
        let deft: Metadata = deft
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or_else(|| damaged("its metadata has no `deft`"))?;
        let first = usize::try_from(deft.first_row).map_err(|_| damaged("its first row"))?;
        let end = first.checked_add(tensors.rows).ok_or_else(|| damaged("its first row"))?;
        let scales = 8 + length;
        let part = Part {
            path: path.to_owned(),
            offset: scales + tensors.scales,
            scales,
            rows: first..end,
        };
        let Tensors { dimension, vector_type, .. } = tensors;
        let Metadata { encoder, stage, relative_error, .. } = deft;
        Ok(Self { dimension, vector_type, encoder, stage, relative_error, part })
    }
}

/// The tensors of a part, found as they must be.
struct Tensors {
    rows: usize,
    dimension: usize,
    vector_type: VectorType,
    /// Bytes of the scales, which come first.
    scales: u64,
    /// Bytes of all tensors.
    bytes: u64,
}

impl Tensors {
    fn of(metadata: &safetensors::tensor::Metadata) -> std::result::Result<Self, &'static str> {
        let tensor = metadata.info(TENSOR).ok_or("it has no tensor `vectors`")?;
        let &[rows, dimension] = tensor.shape.as_slice() else {
            return Err("its tensor has not two dimensions");
        };
        if dimension == 0 {
            return Err("its vectors have no component");
        }
        let vector_type = match tensor.dtype {
            Dtype::F16 => VectorType::F16,
            Dtype::F32 => VectorType::F32,
            Dtype::I8 => VectorType::Int8,
            _ => return Err("its numbers are neither F16 nor F32 nor I8"),
        };
        if vector_type == VectorType::Int8 {
            let wanted = |scales: &&TensorInfo| {
                (scales.dtype, scales.shape.as_slice()) == (Dtype::F32, &[rows])
            };
            metadata.info(SCALES).filter(wanted).ok_or("it has no scale for each row")?;
        }
        let bytes_of = |per_row: usize| rows.checked_mul(per_row);
        let scales = bytes_of(vector_type.scale_bytes());
        let components = dimension.checked_mul(vector_type.bytes()).and_then(bytes_of);
        let (scales, bytes) = scales
            .zip(components)
            .and_then(|(scales, components)| Some((scales, scales.checked_add(components)?)))
            .ok_or("its shape is not believable")?;
        // The scales then lie in the rest, before: safetensors refuses gaps and overlaps.
        if tensor.data_offsets != (scales, bytes) {
            return Err("its length is not that of its vectors");
        }
        Ok(Self { rows, dimension, vector_type, scales: scales as u64, bytes: bytes as u64 })
    }
}
