//! A model's folder: network, weights and tokenizer, read and written.

#[cfg(test)]
mod tests;
mod writing;

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt};

use crate::adapter::SavedAdapter;
use crate::config::{Init, ModelOptions};
use crate::device;
use crate::hub;
use crate::init::random_tensor;
use crate::network::{Head, Initial, NetworkConfig, Parameter, Part, T5, Tensors, parameters};
use crate::tokens::{self, Tokens};
use crate::weights::{Checkpoint, Stamp, le_bytes};
use deft_neural::Values;
use deft_neural::Workers;

pub(crate) use writing::write_tensors;

/// Both halves of the network.
pub(crate) const WHOLE: [Part; 2] = [Part::Encoder, Part::Decoder];
/// Adapters on adapters that are followed.
const MAX_ADAPTERS: usize = 8;
/// The output layer.
const HEAD: &str = "lm_head.weight";

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
    /// The files of the weights as they were at first: they are read again for training.
    stamps: Vec<Stamp>,
    /// Whether the weights have an output layer that `config.json` leaves open.
    has_open_head: bool,
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

/// The weights, opened.
enum Source {
    Files(Checkpoint),
    Seed(u64),
}

impl Source {
    fn tensor(&self, wanted: &Parameter) -> Result<Tensor> {
        match self {
            Self::Files(checkpoint) => checkpoint.tensor(wanted),
            Self::Seed(seed) => random_tensor(wanted, *seed),
        }
    }

    fn check_unchanged(&self, before: &[Stamp]) -> Result<()> {
        match self {
            Self::Files(checkpoint) => checkpoint.check_unchanged(before),
            Self::Seed(_) => Ok(()),
        }
    }
}

impl Model {
    /// Opens the folder that the options name.
    pub(crate) fn open(ctx: &Context<'_>, options: &ModelOptions<'_>) -> Result<Self> {
        let dir = ctx.resolve(options.model)?;
        let tokenizer = options.tokenizer.map(|name| tokens::resolve(ctx, name)).transpose()?;
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
        let (opened, base) = adapters_on(ctx, dir)?;
        // The outermost that there is: what the adapter was trained with.
        let mut own = opened.iter().rev().map(|(dir, _)| tokens::default_path(dir));
        let tokenizer = tokenizer.or_else(|| own.find(|path| path.exists()));
        let model = Self::open_base(ctx, &base, tokenizer, weights);
        let model = model.map_err(|error| match opened.first() {
            None => error,
            Some((adapter, _)) => error.with_context("adapter", adapter.display()),
        })?;
        let all = model.parameters(&WHOLE);
        for (dir, SavedAdapter { spec, tensors, .. }) in &opened {
            spec.check(tensors, &all).map_err(|e| e.with_context("adapter", dir.display()))?;
        }
        let adapters = opened.into_iter().map(|(_, adapter)| adapter).collect();
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
        let mut model = Self {
            name: dir.display().to_string(),
            dir: dir.to_owned(),
            config,
            config_json,
            tokens,
            weights,
            stamps: Vec::new(),
            has_open_head: false,
            adapters: Vec::new(),
        };
        // A folder without weights is refused now, not after hours.
        if let Source::Files(checkpoint) = model.source(ctx)? {
            model.stamps = checkpoint.stamps().to_vec();
            model.has_open_head = model.config.head == Head::OwnIfStored && checkpoint.has(HEAD);
            model.warn_of_surplus(ctx, &checkpoint);
        }
        Ok(model)
    }

    /// Opens the weights.
    fn source(&self, ctx: &Context<'_>) -> Result<Source> {
        match &self.weights {
            Weights::Folder => Checkpoint::open(ctx, &self.dir).map(Source::Files),
            Weights::File(path) => Checkpoint::open_one(ctx, path).map(Source::Files),
            Weights::Random(seed) => Ok(Source::Seed(*seed)),
        }
    }

    /// Tells of tensors that this network does not have: the weights may be another's.
    fn warn_of_surplus(&self, ctx: &Context<'_>, checkpoint: &Checkpoint) {
        let surplus = checkpoint.surplus(&parameters(&self.config, &WHOLE));
        if let Some(first) = surplus.first() {
            let others = match surplus.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            ctx.warn(&format!(
                "the weights of {} have tensors that this T5 does not: `{first}`{others}; they \
                 are not read",
                checkpoint.path().display()
            ));
        }
    }

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The tensors of these parts, sorted by name.
    fn parameters(&self, parts: &[Part]) -> Vec<Parameter> {
        let mut all = parameters(&self.config, parts);
        if self.has_open_head && parts.contains(&Part::Decoder) {
            let shape = vec![self.config.vocabulary, self.config.d_model];
            all.push(Parameter { name: HEAD.to_owned(), shape, initial: Initial::Constant(1.0) });
            all.sort_by(|a, b| a.name.cmp(&b.name));
        }
        all
    }

    /// Reads or makes the weights of these parts, adapters merged.
    pub(crate) fn tensors(&self, ctx: &Context<'_>, parts: &[Part]) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        self.stream(ctx, parts, |name, tensor| {
            tensors.insert(name, tensor);
            Ok(())
        })?;
        Ok(tensors)
    }

    /// Reads or makes the weights of these parts, adapters merged, and hands them on in the order of
    /// their names: no more are held than there are threads.
    fn stream(
        &self,
        ctx: &Context<'_>,
        parts: &[Part],
        mut each: impl FnMut(String, Tensor) -> Result<()> + Send,
    ) -> Result<()> {
        let source = self.source(ctx)?;
        source.check_unchanged(&self.stamps)?;
        let wanted = self.parameters(parts);
        Workers::new(ctx.threads())?.run(
            wanted.len(),
            |task| {
                ctx.check()?;
                self.adapted(source.tensor(&wanted[task])?, &wanted[task].name)
            },
            |task, tensor| each(wanted[task].name.clone(), tensor),
        )?;
        // They may also have been changed meanwhile.
        source.check_unchanged(&self.stamps)
    }

    /// A weight with the adapters that are on it.
    fn adapted(&self, weight: Tensor, name: &str) -> Result<Tensor> {
        let merged = |weight, SavedAdapter { spec, tensors, .. }: &SavedAdapter| {
            spec.merged(tensors, name, &weight)
        };
        self.adapters.iter().try_fold(weight, merged)
    }

    /// The network with these weights.
    pub(crate) fn network(&self, tensors: &Tensors) -> Result<T5> {
        T5::new(&self.config, tensors).or_error(ErrorKind::Model, "the network cannot be built")
    }

    /// Starts a fingerprint with everything that the weights, the network and the tokenizer decide;
    /// `each` gets the tensors of these parts, which are not kept here.
    pub(crate) fn fingerprint(
        &self,
        ctx: &Context<'_>,
        parts: &[Part],
        mut each: impl FnMut(String, Tensor) + Send,
    ) -> Result<Fingerprint> {
        let mut fingerprint = Fingerprint::new().with(format!("{:?}", self.config));
        fingerprint.add(self.tokens.bytes());
        self.stream(ctx, parts, |name, tensor| {
            fingerprint.add(name.as_bytes());
            fingerprint.add(format!("f32 {:?}", tensor.dims()).as_bytes());
            let contiguous = tensor.contiguous().map_err(|e| defect(&e))?;
            let values = Values::of(&contiguous);
            fingerprint.add(&le_bytes(values.get().map_err(|e| defect(&e))?));
            each(name, tensor);
            Ok(())
        })?;
        Ok(fingerprint)
    }

    /// The model's name, if its weights are random.
    pub(crate) fn random_name(&self) -> Option<&str> {
        matches!(self.weights, Weights::Random(_)).then_some(self.name.as_str())
    }

    /// What an adapter on this model says it is on: `org/name@commit` if it came from the hub, else
    /// where it lies. `None` where no folder has the weights: an adapter alone could not be opened again.
    pub(crate) fn base_name(&self) -> Option<String> {
        if self.weights != Weights::Folder || !self.adapters.is_empty() {
            return None;
        }
        Some(hub::name_of(&self.dir).unwrap_or_else(|| self.dir.display().to_string()))
    }
}

/// The adapters from a folder down to a model, the innermost first, and the model's folder.
fn adapters_on(ctx: &Context<'_>, dir: &Path) -> Result<(Vec<(PathBuf, SavedAdapter)>, PathBuf)> {
    let (mut opened, mut base) = (Vec::new(), dir.to_owned());
    while SavedAdapter::is_in(&base) {
        let adapter = SavedAdapter::read(ctx, &base)?;
        if opened.len() == MAX_ADAPTERS {
            return Err(Error::new(ErrorKind::Model, "adapters are on adapters without end")
                .with_context("folder", dir.display()));
        }
        let next = adapter.find_base(ctx);
        let next = next.map_err(|error| error.with_context("adapter", base.display()))?;
        opened.insert(0, (std::mem::replace(&mut base, next), adapter));
    }
    Ok((opened, base))
}

/// An error of candle's that only a GPU's failure or a defect of ours explains.
pub(crate) fn defect(error: &candle_core::Error) -> Error {
    device::failure(error, None, "a batch").unwrap_or_else(|| {
        Error::new(ErrorKind::Unexpected, "the network cannot be computed").with_source(error)
    })
}
