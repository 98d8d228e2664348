//! `PyTorch`'s pickles, converted once.
//!
//! Reading a pickle is slow: its archive is opened anew for every tensor. So each file is converted
//! to safetensors in the host's cache folder at its first use and read from there afterwards. The
//! model's folder itself is never written to. Without a cache folder the pickle is read as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use candle_core::Tensor;
use candle_core::pickle::{PthTensors, TensorInfo};
use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt, excerpt};
use serde::Deserialize;

use crate::pickle_bounds;
use crate::weights::{self, EMBEDDINGS, Outgoing, Safetensors, TensorFile};

/// What a conversion leaves that is killed: the ending of an unfinished copy.
const UNFINISHED: &str = "part";
/// An unfinished copy that nobody has written to for so long is nobody's.
const ABANDONED: Duration = Duration::from_hours(1);

/// Opens a pickle, or its copy in the cache, which is made if it is missing or damaged.
pub(crate) fn open(ctx: &Context<'_>, path: &Path) -> Result<Box<dyn TensorFile>> {
    let Some(copy) = copy_of(ctx, path)? else { return Ok(Box::new(Pickle::open(path)?)) };
    remove_abandoned(copy.parent().unwrap_or(&copy));
    if let Ok(file) = Safetensors::open(&copy) {
        return Ok(Box::new(file));
    }
    let pickle = Pickle::open(path)?;
    ctx.info(&format!("{} is converted to safetensors, once", path.display()));
    match pickle.convert(ctx, &copy) {
        Ok(()) => Ok(Box::new(Safetensors::open(&copy)?)),
        // A full or read-only disk is no reason to stop.
        Err(error) if error.kind() == ErrorKind::Io => {
            ctx.warn(&format!("the weights are read slowly, they cannot be cached: {error}"));
            Ok(Box::new(pickle))
        }
        Err(error) => Err(error),
    }
}

/// Where the copy of a pickle is or will be: by the file's path, size and time of change.
fn copy_of(ctx: &Context<'_>, path: &Path) -> Result<Option<PathBuf>> {
    #[derive(Deserialize)]
    struct CacheDir {
        dir: PathBuf,
    }
    let answer = match ctx.services().call("cache_dir", "{}") {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(error),
    };
    let CacheDir { dir } = serde_json::from_str(&answer)
        .or_error(ErrorKind::Unexpected, "the host names no cache folder")?;
    // Hugging Face's cache is full of links, which may move from one file to another.
    let path = path.canonicalize().or_io("cannot find the weights", path)?;
    let metadata = path.metadata().or_io("cannot find the weights", &path)?;
    let changed = metadata.modified().or_io("cannot see when the weights were changed", &path)?;
    let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    let key = Fingerprint::new()
        .with(path.as_os_str().as_encoded_bytes())
        .with(metadata.len().to_le_bytes())
        .with(since.as_nanos().to_le_bytes());
    Ok(Some(dir.join("t5").join(format!("{}.safetensors", key.short()))))
}

/// Removes unfinished copies that no conversion is at work on.
fn remove_abandoned(dir: &Path) {
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|time| time.elapsed().ok());
        if path.extension().is_some_and(|end| end == UNFINISHED)
            && age.is_some_and(|age| age > ABANDONED)
        {
            // Another process may have been faster, and the folder need not be ours.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A pickle, whose tensors are read one by one.
struct Pickle {
    tensors: PthTensors,
    path: PathBuf,
}

impl TensorFile for Pickle {
    fn names(&self) -> Vec<String> {
        self.tensors.tensor_infos().keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Result<Option<Tensor>> {
        self.tensors
            .get(name)
            .or_error(ErrorKind::Model, format!("the tensor `{name}` cannot be read"))
            .map_err(|e| e.with_context("file", self.path.display()))
    }
}

impl Pickle {
    fn open(path: &Path) -> Result<Self> {
        let no_checkpoint = |why: String| {
            Error::new(ErrorKind::Model, "this is no PyTorch checkpoint")
                .with_context("file", path.display())
                .with_context("why", excerpt(&why))
        };
        pickle_bounds::check(path).map_err(no_checkpoint)?;
        // candle takes some objects apart without a look at how many parts they have.
        let tensors = catch_unwind(AssertUnwindSafe(|| PthTensors::new(path, None)))
            .map_err(|_| no_checkpoint("an object has too few parts".to_owned()))?
            .map_err(|error| no_checkpoint(error.to_string()))?;
        let length = path.metadata().or_io("cannot see the weights' length", path)?.len();
        // Tensors are not compressed there, and candle makes room for them before it reads.
        if let Some(info) = tensors.tensor_infos().values().find(|info| !fits(info, length)) {
            return Err(no_checkpoint(format!("the file cannot hold its tensor `{}`", info.name)));
        }
        Ok(Self { tensors, path: path.to_owned() })
    }

    /// Writes the tensors to `copy`, which is there whole or not at all.
    fn convert(&self, ctx: &Context<'_>, copy: &Path) -> Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let dir = copy.parent().unwrap_or(copy);
        std::fs::create_dir_all(dir).or_io("cannot make the cache folder", dir)?;
        // A name of its own: other threads and processes may convert the same file.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let ending = format!("{}-{number}.{UNFINISHED}", std::process::id());
        let tensors = self.worth_keeping().filter_map(|info| self.outgoing(ctx, info)).collect();
        weights::write_by(&copy.with_extension(ending), copy, tensors)
    }

    /// A tensor to be written, so that memory holds one at a time; `None` for what is no weights,
    /// such as a counter.
    fn outgoing<'a>(&'a self, ctx: &'a Context<'_>, info: &'a TensorInfo) -> Option<Outgoing<'a>> {
        let read = move || {
            ctx.check()?;
            self.get(&info.name)?.ok_or_else(|| {
                let message = format!("the tensor `{}` cannot be read", info.name);
                Error::new(ErrorKind::Model, message).with_context("file", self.path.display())
            })
        };
        Outgoing::later(info.name.clone(), info.dtype, info.layout.dims(), read)
    }

    /// Checkpoints hold the embeddings under several names, each of them as large as the others.
    fn worth_keeping(&self) -> impl Iterator<Item = &TensorInfo> {
        let infos = self.tensors.tensor_infos();
        let [first, others @ ..] = EMBEDDINGS;
        let is_repeated = move |name: &str| infos.contains_key(first) && others.contains(&name);
        infos.values().filter(move |info| !is_repeated(&info.name))
    }
}

/// Whether a file of this length can hold a tensor.
fn fits(info: &TensorInfo, length: u64) -> bool {
    let size = info.dtype.size_in_bytes();
    let bytes = info.layout.dims().iter().try_fold(size, |bytes, &dim| bytes.checked_mul(dim));
    bytes.is_some_and(|bytes| bytes as u64 <= length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, WHOLE, Weights};
    use crate::network::Tensors;
    use crate::testing::{Cache, shared};
    use crate::torch_archive;
    use candle_core::safetensors::load;
    use serde_json::json;
    use std::fs::File;
    use tempfile::TempDir;

    /// The folder of a wanted model, with pickles in place of its safetensors.
    fn pickled(model: &Path, shards: usize) -> TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for file in ["config.json", "tokenizer.json"] {
            std::fs::copy(model.join(file), dir.path().join(file)).expect("copied");
        }
        let tensors = load(model.join("model.safetensors"), &candle_core::Device::Cpu);
        let tensors: Tensors = tensors.expect("tensors").into_iter().collect();
        let mut map = serde_json::Map::new();
        for shard in 0..shards {
            let file = match shards {
                1 => "pytorch_model.bin".to_owned(),
                _ => format!("pytorch_model-{}-of-{shards}.bin", shard + 1),
            };
            let some: Vec<_> = tensors.iter().skip(shard).step_by(shards).collect();
            map.extend(some.iter().map(|(name, _)| ((*name).clone(), json!(file))));
            torch_archive::write(&dir.path().join(file), &some);
        }
        if shards > 1 {
            let index = dir.path().join("pytorch_model.bin.index.json");
            std::fs::write(index, json!({"weight_map": map}).to_string()).expect("written");
        }
        dir
    }

    fn tensors(ctx: &Context<'_>, dir: &Path) -> Result<Vec<(String, Vec<f32>)>> {
        let tensors = Model::open_dir(ctx, dir, None, Weights::Folder)?.tensors(ctx, &WHOLE)?;
        let values = |tensor: Tensor| tensor.flatten_all().and_then(|t| t.to_vec1());
        Ok(tensors.into_iter().map(|(name, t)| (name, values(t).expect("values"))).collect())
    }

    fn models() -> Vec<PathBuf> {
        let Some(root) = shared("parity/t5") else { return Vec::new() };
        let entries = std::fs::read_dir(root).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Spoils a file without a change of its size and time.
    fn spoil(path: &Path) {
        let metadata = path.metadata().expect("a file");
        let length = usize::try_from(metadata.len()).expect("small");
        std::fs::write(path, vec![7; length]).expect("written");
        let file = File::options().write(true).open(path).expect("a file");
        file.set_modified(metadata.modified().expect("a time")).expect("set");
    }

    #[test]
    fn pickles_are_converted_once_and_give_the_same_tensors() {
        for model in models() {
            for shards in [1, 3] {
                let (dir, cache) = (pickled(&model, shards), Cache::new());
                let ctx = cache.context();
                let wanted = tensors(&ctx, &model).expect("tensors");
                let files = dir.path().read_dir().expect("a folder").count();
                assert!(tensors(&ctx, dir.path()).expect("converted") == wanted);
                assert_eq!(cache.files().len(), shards);
                for file in dir.path().read_dir().expect("a folder") {
                    let path = file.expect("an entry").path();
                    if path.extension().is_some_and(|extension| extension == "bin") {
                        spoil(&path);
                    }
                }
                assert!(tensors(&ctx, dir.path()).expect("from the cache") == wanted);
                let now = dir.path().read_dir().expect("a folder").count();
                assert_eq!(now, files, "nothing is written into the model's folder");
            }
        }
    }

    #[test]
    fn a_damaged_copy_and_one_of_an_older_file_are_made_again() {
        for model in models() {
            let (dir, cache) = (pickled(&model, 1), Cache::new());
            let ctx = cache.context();
            let wanted = tensors(&ctx, dir.path()).expect("converted");
            std::fs::write(&cache.files()[0], "half").expect("written");
            assert!(tensors(&ctx, dir.path()).expect("converted again") == wanted);
            let pickle = File::options().write(true).open(dir.path().join("pytorch_model.bin"));
            pickle.and_then(|file| file.set_modified(UNIX_EPOCH)).expect("set");
            assert!(tensors(&ctx, dir.path()).expect("converted again") == wanted);
            assert_eq!(cache.files().len(), 2);
        }
    }

    #[test]
    fn what_a_killed_conversion_left_is_removed() {
        let (dir, cache) = (tempfile::tempdir().expect("a folder"), Cache::new());
        let path = archive(&dir, &tensor(b"K\x00(K\x02t(K\x01t\x89}"));
        std::fs::create_dir(cache.dir().join("t5")).expect("a folder");
        for (name, is_old) in [("a.1-0.part", true), ("b.2-0.part", false)] {
            let file = File::create(cache.dir().join("t5").join(name)).expect("a file");
            if is_old {
                file.set_modified(UNIX_EPOCH).expect("set");
            }
        }
        // Both when the copy is made and when it is there.
        for _ in 0..2 {
            open(&cache.context(), &path).expect("a pickle");
            let files = cache.files();
            let ends = |end: &str| files.iter().filter(|path| path.ends_with(end)).count();
            assert_eq!((files.len(), ends("b.2-0.part")), (2, 1), "{files:?}");
        }
    }

    #[test]
    fn without_a_usable_cache_pickles_are_read_as_they_are() {
        for model in models() {
            let dir = pickled(&model, 1);
            let ctx = crate::testing::context(1);
            let wanted = tensors(&ctx, &model).expect("tensors");
            assert!(tensors(&ctx, dir.path()).expect("read") == wanted);
            // A file stands where the folder should be.
            let cache = Cache::new();
            std::fs::write(cache.dir().join("t5"), "").expect("written");
            assert!(tensors(&cache.context(), dir.path()).expect("read") == wanted);
        }
    }

    #[test]
    fn a_damaged_pickle_is_an_error_and_leaves_nothing_behind() {
        for model in models() {
            let (dir, cache) = (pickled(&model, 1), Cache::new());
            spoil(&dir.path().join("pytorch_model.bin"));
            let error = tensors(&cache.context(), dir.path()).expect_err("damaged");
            assert_eq!(error.message(), "this is no PyTorch checkpoint");
            assert!(cache.files().is_empty());
        }
    }

    /// An archive around a pickle, which has one storage of eight bytes.
    fn archive(dir: &TempDir, pickle: &[u8]) -> PathBuf {
        use std::io::Write;
        use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
        let path = dir.path().join("pytorch_model.bin");
        let mut zip = ZipWriter::new(File::create(&path).expect("a file"));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", &[0; 8])] {
            zip.start_file(name, options).expect("an entry");
            zip.write_all(bytes).expect("written");
        }
        zip.finish().expect("written");
        path
    }

    /// A dictionary with the tensor `a`, of this shape and with these arguments after its storage.
    fn tensor(rest: &[u8]) -> Vec<u8> {
        let storage = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ";
        let head = b"\x80\x02}(X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n";
        [&head[..], storage, rest, b"tRu."].concat()
    }

    #[test]
    fn a_pickle_that_would_end_the_process_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let good =
            Pickle::open(&archive(&dir, &tensor(b"K\x00(K\x02t(K\x01t\x89}"))).expect("good");
        let a = good.get("a").expect("read").expect("there");
        assert_eq!(a.dims(), [2]);
        let nested = [b"N".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
        let huge =
            tensor(b"K\x00(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft(J\xff\xff\xff\x7fK\x01t\x89}");
        for (pickle, why) in [
            (tensor(b""), "too few parts"),
            (tensor(b"K\x00"), "too few parts"),
            (huge, "cannot hold its tensor `a`"),
            (nested, "too deep"),
        ] {
            let error = Pickle::open(&archive(&dir, &pickle)).err().expect("refused");
            assert_eq!(error.message(), "this is no PyTorch checkpoint");
            assert!(error.context("why").is_some_and(|found| found.contains(why)), "{error}");
        }
    }
}
