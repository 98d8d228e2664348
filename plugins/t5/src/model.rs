//! A model's folder: network, weights and tokenizer, read and written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt};
use safetensors::tensor::{Dtype, TensorView};

use crate::config::{Init, ModelOptions};
use crate::init::random_tensors;
use crate::network::ops::Values;
use crate::network::{Head, NetworkConfig, Parameter, Part, T5, Tensors, parameters};
use crate::parallel::Workers;
use crate::tokens::{self, Tokens};
use crate::weights::Checkpoint;

/// Both halves of the network.
pub(crate) const WHOLE: [Part; 2] = [Part::Encoder, Part::Decoder];

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
    /// The seed of new weights; `None` reads them.
    random: Option<u64>,
}

impl Model {
    /// Opens the folder that the options name.
    pub(crate) fn open(ctx: &Context<'_>, options: &ModelOptions<'_>) -> Result<Self> {
        let dir = ctx.resolve(options.model)?;
        let tokenizer = options.tokenizer.map(|path| ctx.resolve(path)).transpose()?;
        let random = match options.init {
            Init::Pretrained => None,
            Init::Random => Some(options.init_seed.unwrap_or(ctx.seed())),
        };
        let model = Self::open_dir(ctx, &dir, tokenizer, random)?;
        Ok(Self { name: options.model.to_owned(), ..model })
    }

    /// Opens a folder with pretrained weights, or with random ones by a seed.
    pub(crate) fn open_dir(
        ctx: &Context<'_>,
        dir: &Path,
        tokenizer: Option<PathBuf>,
        random: Option<u64>,
    ) -> Result<Self> {
        let path = dir.join("config.json");
        let config_json = std::fs::read_to_string(&path)
            .or_error(ErrorKind::Model, "the model's folder has no readable config.json")
            .map_err(|e| e.with_context("path", path.display()))?;
        let config = NetworkConfig::parse(&config_json, &path)?;
        let tokenizer = tokenizer.unwrap_or_else(|| tokens::default_path(dir));
        let tokens = Tokens::read(&tokenizer, &config)?;
        if random.is_none() {
            // A folder without weights is refused now, not after hours.
            Checkpoint::open(ctx, dir)?;
        }
        let (name, dir) = (dir.display().to_string(), dir.to_owned());
        Ok(Self { name, dir, config, config_json, tokens, random })
    }

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Reads or makes the weights of these parts.
    pub(crate) fn tensors(&self, ctx: &Context<'_>, parts: &[Part]) -> Result<Tensors> {
        let wanted = parameters(&self.config, parts);
        if let Some(seed) = self.random {
            return random_tensors(&wanted, seed, &Workers::new(ctx.threads())?);
        }
        let checkpoint = Checkpoint::open(ctx, &self.dir)?;
        let mut tensors = checkpoint.tensors(&wanted)?;
        if self.config.head == Head::OwnIfStored && parts.contains(&Part::Decoder) {
            let name = "lm_head.weight".to_owned();
            let shape = vec![self.config.vocabulary, self.config.d_model];
            let head = Parameter { name: name.clone(), shape, deviation: None };
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
        self.random.map(|_| self.name.as_str())
    }

    /// Writes a folder in Hugging Face's layout, with these weights in place of the model's.
    ///
    /// The bytes are a function of the arguments: tensors are sorted, the metadata has one key.
    pub(crate) fn write(&self, tensors: &Tensors, max_tokens: usize, out: &Path) -> Result<()> {
        let bytes = tensors
            .iter()
            .map(|(name, tensor)| Ok((name, tensor.dims().to_vec(), le_bytes(tensor)?)))
            .collect::<Result<Vec<_>>>()?;
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .or_error(ErrorKind::Unexpected, "the weights are no tensors")?;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let path = out.join("model.safetensors");
        safetensors::serialize_to_file(views, Some(metadata), &path)
            .or_io("cannot write the model", &path)?;
        let write = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            std::fs::write(&path, bytes).or_io("cannot write the model", &path)
        };
        write("config.json", self.config_json.as_bytes())?;
        write("tokenizer.json", self.tokens.bytes())?;
        let settings = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "pad_token": "<pad>",
            "eos_token": "</s>",
        });
        write("tokenizer_config.json", format!("{settings:#}\n").as_bytes())
    }
}

/// An error of candle's that only a defect of ours explains.
pub(crate) fn defect(error: &candle_core::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "the network cannot be computed").with_source(error)
}

fn le_bytes(tensor: &candle_core::Tensor) -> Result<Vec<u8>> {
    let tensor = tensor.contiguous().map_err(|e| defect(&e))?;
    let values = Values::of(&tensor);
    let values = values.get().map_err(|e| defect(&e))?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}
