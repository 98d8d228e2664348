//! A model's folder: network, weights and tokenizer, read and written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt};
use safetensors::tensor::{Dtype, View};

use crate::adapter::SavedAdapter;
use crate::config::{Init, ModelOptions};
use crate::init::random_tensors;
use crate::network::ops::Values;
use crate::network::{Head, Initial, NetworkConfig, Parameter, Part, T5, Tensors, parameters};
use crate::parallel::Workers;
use crate::tokens::{self, Tokens};
use crate::weights::Checkpoint;

/// Both halves of the network.
pub(crate) const WHOLE: [Part; 2] = [Part::Encoder, Part::Decoder];
/// Adapters on adapters that are followed.
const MAX_ADAPTERS: usize = 8;

/// A model as the options name it: everything but the weights, which are read when needed.
#[derive(Debug)]
pub(crate) struct Model {
    /// The model as the user wrote it.
    name: String,
    dir: PathBuf,
    config: NetworkConfig,
    /// `config.json` as it is.
    config_json: String,
    tokens: Tokens,
    weights: Weights,
    /// What is merged into the weights, in this order.
    adapters: Vec<SavedAdapter>,
}

/// Where a model's weights come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Weights {
    /// The model's folder.
    Folder,
    /// A file of their own.
    File(PathBuf),
    /// A seed.
    Random(u64),
}

impl Model {
    /// Opens the folder that the options name.
    pub(crate) fn open(ctx: &Context<'_>, options: &ModelOptions<'_>) -> Result<Self> {
        let dir = ctx.resolve(options.model)?;
        let tokenizer = options.tokenizer.map(|path| ctx.resolve(path)).transpose()?;
        let weights = match (options.init, options.weights) {
            (Init::Random, _) => Weights::Random(options.init_seed.unwrap_or(ctx.seed())),
            (Init::Pretrained, Some(file)) => Weights::File(ctx.resolve(file)?),
            (Init::Pretrained, None) => Weights::Folder,
        };
        let model = Self::open_dir(ctx, &dir, tokenizer, weights)?;
        Ok(Self { name: options.model.to_owned(), ..model })
    }

    /// Opens a folder: a model's, or an adapter's, which names the model that it is on.
    pub(crate) fn open_dir(
        ctx: &Context<'_>,
        dir: &Path,
        tokenizer: Option<PathBuf>,
        weights: Weights,
    ) -> Result<Self> {
        let (mut base, mut adapters, mut tokenizer) = (dir.to_owned(), Vec::new(), tokenizer);
        while SavedAdapter::is_in(&base) {
            // The outermost that there is: what the adapter was trained with.
            let own = tokens::default_path(&base);
            tokenizer = tokenizer.or_else(|| own.exists().then_some(own));
            let adapter = SavedAdapter::read(&base)?;
            if adapters.len() == MAX_ADAPTERS {
                return Err(Error::new(ErrorKind::Model, "adapters are on adapters without end")
                    .with_context("folder", dir.display()));
            }
            base = ctx.resolve(&adapter.base)?;
            adapters.insert(0, adapter);
        }
        let model = Self::open_base(ctx, &base, tokenizer, weights)?;
        Ok(Self { name: dir.display().to_string(), adapters, ..model })
    }

    fn open_base(
        ctx: &Context<'_>,
        dir: &Path,
        tokenizer: Option<PathBuf>,
        weights: Weights,
    ) -> Result<Self> {
        let path = dir.join("config.json");
        let config_json = std::fs::read_to_string(&path)
            .or_error(ErrorKind::Model, "the model's folder has no readable config.json")
            .map_err(|e| e.with_context("path", path.display()))?;
        let config = NetworkConfig::parse(&config_json, &path)?;
        let tokenizer = tokenizer.unwrap_or_else(|| tokens::default_path(dir));
        let tokens = Tokens::read(&tokenizer, &config)?;
        let (name, dir, adapters) = (dir.display().to_string(), dir.to_owned(), Vec::new());
        let model = Self { name, dir, config, config_json, tokens, weights, adapters };
        // A folder without weights is refused now, not after hours.
        model.check_surplus(ctx)?;
        Ok(model)
    }

    /// Opens the weights, unless they are random.
    fn checkpoint(&self, ctx: &Context<'_>) -> Result<Option<Checkpoint>> {
        match &self.weights {
            Weights::Folder => Checkpoint::open(ctx, &self.dir).map(Some),
            Weights::File(path) => Checkpoint::open_one(ctx, path).map(Some),
            Weights::Random(_) => Ok(None),
        }
    }

    /// Tells of tensors that this network does not have: the weights may be another's.
    fn check_surplus(&self, ctx: &Context<'_>) -> Result<()> {
        let Some(checkpoint) = self.checkpoint(ctx)? else { return Ok(()) };
        let surplus = checkpoint.surplus(&parameters(&self.config, &WHOLE));
        if let Some(first) = surplus.first() {
            let others = match surplus.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            ctx.warn(&format!(
                "the weights of {} have tensors that this T5 does not: `{first}`{others}; they \
                 are not read",
                self.dir.display()
            ));
        }
        Ok(())
    }

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Reads or makes the weights of these parts, adapters merged.
    pub(crate) fn tensors(&self, ctx: &Context<'_>, parts: &[Part]) -> Result<Tensors> {
        let wanted = parameters(&self.config, parts);
        let mut tensors = match (&self.weights, self.checkpoint(ctx)?) {
            (Weights::Random(seed), _) => {
                random_tensors(&wanted, *seed, &Workers::new(ctx.threads())?)?
            }
            (_, Some(checkpoint)) => self.read(&checkpoint, &wanted, parts)?,
            (_, None) => Tensors::new(),
        };
        for adapter in &self.adapters {
            adapter.spec.merge(&adapter.tensors, &mut tensors)?;
        }
        Ok(tensors)
    }

    fn read(
        &self,
        checkpoint: &Checkpoint,
        wanted: &[Parameter],
        parts: &[Part],
    ) -> Result<Tensors> {
        let mut tensors = checkpoint.tensors(wanted)?;
        if self.config.head == Head::OwnIfStored && parts.contains(&Part::Decoder) {
            let name = "lm_head.weight".to_owned();
            let shape = vec![self.config.vocabulary, self.config.d_model];
            let head = Parameter { name: name.clone(), shape, initial: Initial::Constant(1.0) };
            if let Some(head) = checkpoint.optional(&head)? {
                tensors.insert(name, head);
            }
        }
        Ok(tensors)
    }

    /// The network with these weights.
    pub(crate) fn network(&self, tensors: &Tensors) -> Result<T5> {
        T5::new(&self.config, tensors).or_error(ErrorKind::Model, "the network cannot be built")
    }

    /// Starts a fingerprint with everything that the weights, the network and the tokenizer decide.
    pub(crate) fn fingerprint(&self, tensors: &Tensors) -> Result<Fingerprint> {
        let mut fingerprint = Fingerprint::new().with(format!("{:?}", self.config));
        fingerprint.add(self.tokens.bytes());
        for (name, tensor) in tensors {
            fingerprint.add(name.as_bytes());
            fingerprint.add(format!("f32 {:?}", tensor.dims()).as_bytes());
            fingerprint.add(&le_bytes(tensor)?);
        }
        Ok(fingerprint)
    }

    /// The model's name, if its weights are random.
    pub(crate) fn random_name(&self) -> Option<&str> {
        matches!(self.weights, Weights::Random(_)).then_some(self.name.as_str())
    }

    /// What an adapter on this model says it is on: `org/name` if it came from the hub, else where it
    /// lies. `None` where no folder has the weights: an adapter alone could not be opened again.
    pub(crate) fn base_name(&self) -> Option<String> {
        if self.weights != Weights::Folder || !self.adapters.is_empty() {
            return None;
        }
        let is_snapshot = self.dir.parent().is_some_and(|dir| dir.ends_with("snapshots"));
        let name = if is_snapshot { self.name.clone() } else { self.dir.display().to_string() };
        Some(name)
    }

    /// Writes the tokenizer, which may have come from elsewhere than the model.
    pub(crate) fn write_tokenizer(&self, out: &Path) -> Result<()> {
        let path = out.join("tokenizer.json");
        std::fs::write(&path, self.tokens.bytes()).or_io("cannot write the tokenizer", &path)
    }

    /// Writes a folder in Hugging Face's layout, with these weights in place of the model's.
    ///
    /// The bytes are a function of the arguments: tensors are sorted, the metadata has one key.
    pub(crate) fn write(&self, tensors: &Tensors, max_tokens: usize, out: &Path) -> Result<()> {
        write_tensors(tensors, &out.join("model.safetensors"))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            std::fs::write(&path, bytes).or_io("cannot write the model", &path)
        };
        write("config.json", self.config_json.as_bytes())?;
        self.write_tokenizer(out)?;
        let settings = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "pad_token": "<pad>",
            "eos_token": "</s>",
        });
        write("tokenizer_config.json", format!("{settings:#}\n").as_bytes())
    }
}

/// Writes tensors as f32, sorted by name, one after the other: nothing is held twice.
pub(crate) fn write_tensors(tensors: &Tensors, path: &Path) -> Result<()> {
    let contiguous = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, Stored(tensor.contiguous().map_err(|e| defect(&e))?))))
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(contiguous, Some(metadata), path)
        .or_io("cannot write the tensors", path)
}

/// A contiguous tensor on its way to a file.
struct Stored(Tensor);

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        le_bytes(&self.0).expect("it is contiguous, of f32 and in main memory").into()
    }

    fn data_len(&self) -> usize {
        self.0.elem_count() * size_of::<f32>()
    }
}

/// An error of candle's that only a defect of ours explains.
pub(crate) fn defect(error: &candle_core::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "the network cannot be computed").with_source(error)
}

fn le_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.contiguous().map_err(|e| defect(&e))?;
    let values = Values::of(&tensor);
    let values = values.get().map_err(|e| defect(&e))?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}
