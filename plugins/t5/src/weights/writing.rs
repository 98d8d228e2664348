//! Tensors into a safetensors file, one after the other: none is held twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use deft_core::{Error, ErrorKind, Result, ResultExt};
use deft_neural::Values;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::model::defect;

/// Values that become bytes at once.
const CHUNK: usize = 1 << 16;

/// A tensor on its way to a file.
pub(crate) struct Outgoing<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    values: Source<'a>,
}

enum Source<'a> {
    /// On any device: it comes to main memory when it is its turn, and goes again afterwards.
    Tensor(Tensor),
    /// The same, its numbers in a row.
    Flat(Tensor),
    /// Read when it is its turn.
    Later(Box<dyn Fn() -> Result<Tensor> + 'a>),
}

impl<'a> Outgoing<'a> {
    /// A tensor of f32, on any device.
    pub(crate) fn tensor(name: String, tensor: Tensor) -> Self {
        let shape = tensor.dims().to_vec();
        Self { name, dtype: Dtype::F32, shape, values: Source::Tensor(tensor) }
    }

    /// The numbers of such a tensor in a row, whatever its shape.
    pub(crate) fn flat(name: String, tensor: Tensor) -> Self {
        let shape = vec![tensor.elem_count()];
        Self { name, dtype: Dtype::F32, shape, values: Source::Flat(tensor) }
    }

    /// A tensor that `read` gives; `None` for a type that weights are not of.
    pub(crate) fn later(
        name: String,
        dtype: DType,
        shape: &[usize],
        read: impl Fn() -> Result<Tensor> + 'a,
    ) -> Option<Self> {
        let dtype = match dtype {
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::F64 => Dtype::F64,
            _ => return None,
        };
        Some(Self { name, dtype, shape: shape.to_vec(), values: Source::Later(Box::new(read)) })
    }

    /// Its length in the file, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }

    fn write(&self, out: &mut BufWriter<File>, path: &Path) -> Result<()> {
        match &self.values {
            Source::Tensor(tensor) => self.write_tensor(tensor, out, path),
            Source::Flat(tensor) => {
                self.write_tensor(&tensor.flatten_all().map_err(|e| defect(&e))?, out, path)
            }
            Source::Later(read) => self.write_tensor(&read()?, out, path),
        }
    }

    fn write_tensor(&self, tensor: &Tensor, out: &mut BufWriter<File>, path: &Path) -> Result<()> {
        // The header is written: another length would damage the whole file.
        if tensor.dims() != self.shape {
            let message = format!("the tensor `{}` has another shape than it should", self.name);
            return Err(Error::new(ErrorKind::Unexpected, message)
                .with_context("found", format!("{:?}", tensor.dims()))
                .with_context("wanted", format!("{:?}", self.shape)));
        }
        let tensor = tensor.to_device(&Device::Cpu).and_then(|tensor| tensor.contiguous());
        let tensor = tensor.map_err(|e| defect(&e))?;
        if self.dtype == Dtype::F32 {
            let values = Values::of(&tensor);
            return write_values(values.get().map_err(|e| defect(&e))?, out, path);
        }
        let mut bytes = Vec::with_capacity(self.bytes());
        tensor.write_bytes(&mut bytes).map_err(|e| defect(&e))?;
        out.write_all(&bytes).or_io("cannot write the tensors", path)
    }
}

/// Writes a file by way of one beside it, which the next attempt overwrites if this one is killed.
pub(crate) fn write(path: &Path, tensors: Vec<Outgoing<'_>>) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    write_by(&PathBuf::from(beside), path, tensors)
}

/// Writes a file by way of `beside`, in the same folder: it is there whole or not at all.
///
/// The bytes are those of safetensors' own writer, which is not used because its files can be read
/// by their owner alone; these have the permissions of any new file.
pub(crate) fn write_by(beside: &Path, path: &Path, tensors: Vec<Outgoing<'_>>) -> Result<()> {
    let written = write_synced(beside, tensors)
        .and_then(|()| std::fs::rename(beside, path).or_io("cannot write the tensors", path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(beside);
    }
    written
}

fn write_synced(path: &Path, mut tensors: Vec<Outgoing<'_>>) -> Result<()> {
    // The widest type first, so that every tensor is aligned; then by name.
    tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let header = header(&tensors)?;
    let cannot = "cannot write the tensors";
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).or_io(cannot, path)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).or_io(cannot, path)?;
    out.write_all(&header).or_io(cannot, path)?;
    for tensor in &tensors {
        tensor.write(&mut out, path)?;
    }
    out.flush().or_io(cannot, path)?;
    // On disk before it gets its name: half a file would otherwise look whole after a crash.
    out.get_ref().sync_all().or_io(cannot, path)
}

fn header(tensors: &[Outgoing<'_>]) -> Result<Vec<u8>> {
    let (mut start, mut infos) = (0, Vec::with_capacity(tensors.len()));
    for tensor in tensors {
        let end = start + tensor.bytes();
        let (dtype, shape) = (tensor.dtype, tensor.shape.clone());
        infos.push((tensor.name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
        start = end;
    }
    // transformers asks for it.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let no_header = "the tensors have no header";
    let metadata = Metadata::new(Some(format), infos).or_error(ErrorKind::Unexpected, no_header)?;
    let mut header = serde_json::to_vec(&metadata).or_error(ErrorKind::Unexpected, no_header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn write_values(values: &[f32], out: &mut BufWriter<File>, path: &Path) -> Result<()> {
    let mut chunks = values.chunks(CHUNK);
    chunks
        .try_for_each(|some| out.write_all(&le_bytes(some)))
        .or_io("cannot write the tensors", path)
}

fn sync_folder(path: &Path) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).or_io("cannot write the tensors", dir)
}

/// Numbers as files and fingerprints have them.
pub(crate) fn le_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    for (to, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *to = value.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Safetensors, TensorFile as _};
    use safetensors::tensor::TensorView;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).expect("a tensor")
    }

    fn names(dir: &TempDir) -> Vec<String> {
        let entries = dir.path().read_dir().expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_librarys_writer() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model.safetensors");
        // More than one chunk, and not a whole number of them.
        let many: Vec<f32> = (0..=2 * CHUNK).map(|x| x as f32 / 7.0).collect();
        let half = tensor(&[1.0, -2.0]).to_dtype(DType::F16).expect("halves");
        let read = || Ok(half.clone());
        let tensors = vec![
            Outgoing::later("a".to_owned(), DType::F16, &[2], read).expect("weights"),
            Outgoing::flat("c".to_owned(), tensor(&many)),
            Outgoing::tensor("b".to_owned(), tensor(&[1.5])),
        ];
        write(&path, tensors).expect("written");
        let (one, many) = (1.5f32.to_le_bytes(), le_bytes(&many));
        let view =
            |dtype, count, bytes| TensorView::new(dtype, vec![count], bytes).expect("a view");
        let views = [
            ("a", view(Dtype::F16, 2, &[0x00, 0x3c, 0x00, 0xc0])),
            ("b", view(Dtype::F32, 1, &one)),
            ("c", view(Dtype::F32, 2 * CHUNK + 1, &many)),
        ];
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let wanted = safetensors::serialize(views, Some(format)).expect("bytes");
        assert!(std::fs::read(&path).expect("readable") == wanted, "other bytes");
    }

    #[test]
    fn a_file_has_the_permissions_of_any_new_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let [plain, path] = ["plain", "model.safetensors"].map(|name| dir.path().join(name));
        File::create(&plain).expect("a file");
        write(&path, vec![Outgoing::tensor("a".to_owned(), tensor(&[1.0]))]).expect("written");
        let mode = |path: &Path| path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn what_cannot_be_read_leaves_the_file_that_was_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model.safetensors");
        // What an attempt left that was killed.
        std::fs::write(dir.path().join("model.safetensors.part"), "half").expect("written");
        write(&path, vec![Outgoing::tensor("a".to_owned(), tensor(&[1.0]))]).expect("written");
        let failing = || Err(Error::cancelled());
        let later = Outgoing::later("a".to_owned(), DType::F32, &[1], failing).expect("weights");
        assert_eq!(write(&path, vec![later]).expect_err("cancelled").kind(), ErrorKind::Cancelled);
        let other = || Ok(tensor(&[1.0, 2.0]));
        let later = Outgoing::later("a".to_owned(), DType::F32, &[1], other).expect("weights");
        assert!(write(&path, vec![later]).expect_err("too long").message().contains("`a`"));
        assert_eq!(names(&dir), ["model.safetensors"]);
        let file = Safetensors::open(&path).expect("whole");
        assert_eq!(file.names(), ["a"]);
    }
}
