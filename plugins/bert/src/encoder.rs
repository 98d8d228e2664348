//! The encoder: texts into vectors.

use std::borrow::Cow;

use deft_core::prelude::*;
use deft_neural::{Encoding, encode};

use crate::config::EncoderConfig;
use crate::folder::{Folder, Step};
use crate::head::Head;
use crate::network::{Bert, NetworkConfig, defect};
use crate::tokens::Tokens;
use crate::weights::Weights;

/// The last states of a BERT over a text's tokens, as one vector, as sentence-transformers makes it.
///
/// A vector depends on its text alone: no text of a batch sees another. Other neighbours can change
/// it by rounding, less than 1e-5 of its length. Batches are a function of the texts, never of the
/// threads, so that a call gives the same bytes at any count.
#[derive(Debug)]
pub struct BertEncoder {
    network: Bert,
    /// Width of the network's states.
    width: usize,
    tokens: Tokens,
    head: Head,
    pool: Role,
    query: Role,
    batch_tokens: usize,
    info: EncoderInfo,
}

/// How the texts of a role are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Role {
    prefix: String,
    max_tokens: usize,
}

impl Component for BertEncoder {
    type Config = EncoderConfig;
    const NAME: &'static str = "bert";
    const SUMMARY: &'static str = "vectors of a sentence-transformers model with a BERT";

    fn check(config: &EncoderConfig) -> Result<()> {
        config.check()
    }

    fn new(ctx: &Context<'_>, config: EncoderConfig, _children: Children) -> Result<Self> {
        config.check()?;
        let folder = Folder::read(&ctx.resolve(&config.model)?)?;
        let shape = NetworkConfig::read(&folder.network)?;
        check_width(&folder, shape.width)?;
        let tokens = Tokens::read(&folder.network, &shape, folder.lower_case)?;
        let (pool, query) = roles(&config, &folder, &shape, tokens.added())?;
        tell_of_prompts(ctx, &config, &folder);
        let mut weights = Weights::open(&folder.network)?;
        let network = Bert::new(&shape, &mut weights)?;
        let pooling = config.pooling.map_or(folder.pooling.clone(), |pooling| vec![pooling]);
        let steps = steps(&folder, config.normalize);
        let mut of_steps = Vec::new();
        let head = Head::new(pooling.clone(), &steps, shape.width, &mut of_steps)?;
        let normalized: Vec<bool> = steps.iter().map(|step| *step == Step::Normalize).collect();
        let fingerprint = weights
            .fingerprint()
            .with(tokens.bytes())
            .with(format!("{shape:?} {}", folder.lower_case))
            .with(format!("{pooling:?} {of_steps:?} {normalized:?}, f32"))
            .with(format!("{pool:?} {query:?}"))
            .short();
        let info = EncoderInfo {
            max_tokens: Some(pool.max_tokens),
            max_query_tokens: Some(query.max_tokens),
            notes: note(&config, &folder).into_iter().collect(),
            ..EncoderInfo::new(head.dimension(), fingerprint)
        };
        let (width, batch_tokens) = (shape.width, config.batch_tokens);
        Ok(Self { network, width, tokens, head, pool, query, batch_tokens, info })
    }
}

impl Encoder for BertEncoder {
    fn info(&self) -> EncoderInfo {
        self.info.clone()
    }

    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        let role = match role {
            TextRole::Query => &self.query,
            // The pool's, and that of roles which are not there yet.
            _ => &self.pool,
        };
        let encoding = Encoding {
            dimension: self.info.dimension,
            tokenise: |text: &str| self.tokens.encode(&role.prefixed(text), role.max_tokens),
            batches: |lengths: &[usize]| batches(lengths, self.batch_tokens),
            vectors: |rows: &[&[u32]]| self.vectors(rows),
        };
        encode(ctx, texts, out, &encoding)
    }
}

impl BertEncoder {
    /// The vectors of one batch, row-major.
    fn vectors(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        let states = self.network.states(texts).map_err(|e| defect(&e))?;
        let mut rest = states.as_slice();
        let vector = |ids: &&[u32]| {
            let (own, others) = rest.split_at(ids.len() * self.width);
            rest = others;
            self.head.vector(own, self.width)
        };
        Ok(texts.iter().flat_map(vector).collect())
    }
}

impl Role {
    fn prefixed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.prefix.as_str() {
            "" => Cow::Borrowed(text),
            prefix => Cow::Owned(format!("{prefix}{text}")),
        }
    }
}

fn check_width(folder: &Folder, width: usize) -> Result<()> {
    match folder.width {
        Some(found) if found != width => {
            let message = format!(
                "the pooling is for states of {found} components, those of config.json have {width}"
            );
            Err(Error::new(ErrorKind::Model, message)
                .with_context("folder", folder.network.display()))
        }
        _ => Ok(()),
    }
}

/// Prefix and limit of pool texts and of queries.
fn roles(
    config: &EncoderConfig,
    folder: &Folder,
    shape: &NetworkConfig,
    added: usize,
) -> Result<(Role, Role)> {
    let longest = shape.longest();
    let check = |name: &str, limit: usize| {
        if (added + 1..=longest).contains(&limit) {
            return Ok(limit);
        }
        let message = format!(
            "`{name}` must be in {} ..= {longest}, the model's special tokens and one more to its \
             positions (found: {limit})",
            added + 1
        );
        Err(Error::option_at(name, message))
    };
    let of_folder = folder.max_tokens.map_or(longest, |limit| limit.min(longest));
    let max_tokens = check("max_tokens", config.max_tokens.unwrap_or(of_folder))?;
    let max_query_tokens =
        check("max_query_tokens", config.max_query_tokens.unwrap_or(max_tokens))?;
    let prefix = config.prefix.clone().unwrap_or_else(|| folder.prompt.clone());
    let query_prefix = config.query_prefix.clone().unwrap_or_else(|| prefix.clone());
    if !folder.includes_prompt && (!prefix.is_empty() || !query_prefix.is_empty()) {
        let message = "the folder's pooling leaves prompts out (`include_prompt`: false), which is \
                       not supported";
        return Err(Error::option_at("prefix", message)
            .with_hint("encode without a prompt: `prefix: \"\"`"));
    }
    let pool = Role { prefix, max_tokens };
    Ok((pool, Role { prefix: query_prefix, max_tokens: max_query_tokens }))
}

/// Tells of prompts that sentence-transformers would put before queries or documents alone.
fn tell_of_prompts(ctx: &Context<'_>, config: &EncoderConfig, folder: &Folder) {
    let is_chosen = config.prefix.is_some() || config.query_prefix.is_some();
    if !folder.prompts.is_empty() && !is_chosen && folder.prompt.is_empty() {
        ctx.warn(&format!(
            "the model has prompts ({}) in config_sentence_transformers.json; none is used unless \
             `prefix` and `query_prefix` say so",
            folder.prompts.join(", ")
        ));
    }
}

/// What follows the pooling: what the folder says, unless the option does.
fn steps(folder: &Folder, normalize: Option<bool>) -> Vec<Step> {
    let mut steps = folder.steps.clone();
    match normalize {
        Some(false) => steps.retain(|step| *step != Step::Normalize),
        Some(true) if steps.last() != Some(&Step::Normalize) => steps.push(Step::Normalize),
        _ => {}
    }
    steps
}

/// What a reader of results should know about the vectors.
fn note(config: &EncoderConfig, folder: &Folder) -> Option<String> {
    (folder.is_plain && config.pooling.is_none()).then(|| {
        format!(
            "the model `{}` says nothing of pooling (it has no modules.json): its vectors are means \
             of the last states",
            config.model
        )
    })
}

/// Groups positions of similar length, the longest first, within a budget of tokens.
fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&position| (std::cmp::Reverse(lengths[position]), position));
    let (mut batches, mut tokens): (Vec<Vec<usize>>, _) = (Vec::new(), 0);
    for position in order {
        tokens += lengths[position];
        match batches.last_mut() {
            Some(batch) if tokens <= budget => batch.push(position),
            _ => {
                batches.push(vec![position]);
                tokens = lengths[position];
            }
        }
    }
    batches
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
