//! One way through the network, and what goes along.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use candle_core::{Error, Result, Tensor, Var};
use deft_core::Context;

use super::LookedUp;
use super::dropout::{Dropout, Masked};
use super::ops::{apply1, is_host};
use crate::model::defect;

/// One way through the network: inference, or training with dropout.
#[derive(Debug, Default)]
pub(crate) struct Pass<'a> {
    /// Where the user may ask to stop: looked at before each block.
    ctx: Option<Context<'a>>,
    /// In training, the masks of dropout.
    masks: Option<Masks>,
    /// Where the embeddings are trained, those that were looked up.
    looked_up: Option<RefCell<Vec<LookedUp>>>,
}

/// Masks that are a function of the seed and their number.
#[derive(Debug)]
struct Masks {
    /// Share of activations that are dropped.
    rate: f32,
    seed: u64,
    next: Cell<u64>,
    /// The next of those that are drawn for the decoder's memory.
    of_memory: Cell<u64>,
    /// Those of a GPU that were drawn on a way without a graph, by their numbers: what is computed
    /// again drops the same. They stay until then, a byte for each number that dropout looks at, of
    /// which attention has most: 8 texts of 512 tokens are 67 MB in each of the 24 blocks of T5-XL's
    /// encoder, 1.6 GB together.
    kept: RefCell<HashMap<u64, Tensor>>,
    /// Whether the GPU's generator has got the seed.
    is_seeded: Cell<bool>,
}

/// The numbers of the next masks.
pub(super) type MaskNumbers = (u64, u64);

/// What sets the masks of the memory apart from the others of a micro-batch.
const OF_MEMORY: u64 = 1 << 15;

impl<'a> Pass<'a> {
    /// No dropout.
    pub(crate) fn inference() -> Self {
        Self::default()
    }

    /// The same, ended by an error before the next block once the user asks to stop.
    pub(crate) fn interruptible(ctx: &Context<'a>) -> Self {
        Self { ctx: Some(*ctx), ..Self::default() }
    }

    /// Dropout with masks that are a function of the seed and the number of the micro-batch.
    pub(crate) fn training(rate: f32, seed: u64, micro_batch: u64) -> Self {
        let first = micro_batch << 16;
        let (next, of_memory) = (Cell::new(first), Cell::new(first | OF_MEMORY));
        let (kept, is_seeded) = (RefCell::default(), Cell::new(false));
        let masks = Masks { rate, seed, next, of_memory, kept, is_seeded };
        Self { ctx: None, masks: Some(masks), looked_up: Some(RefCell::default()) }
    }

    /// The same with embeddings that are not trained.
    pub(crate) fn with_frozen_embeddings(self) -> Self {
        Self { looked_up: None, ..self }
    }

    /// What an error on this way tells the user: that it was stopped, or a defect of ours.
    pub(crate) fn error(&self, error: &Error) -> deft_core::Error {
        let stop = self.ctx.and_then(|ctx| ctx.check().err());
        stop.unwrap_or_else(|| defect(error))
    }

    /// Tells the user something, where there is a way to.
    pub(crate) fn info(&self, message: &str) {
        if let Some(ctx) = &self.ctx {
            ctx.info(message);
        }
    }

    /// Fails once the user has asked to stop.
    pub(super) fn check(&self) -> Result<()> {
        self.ctx.map_or(Ok(()), |ctx| ctx.check()).map_err(Error::wrap)
    }

    pub(super) fn is_inference(&self) -> bool {
        self.masks.is_none()
    }

    /// Whether the embeddings are trained.
    pub(super) fn trains_embeddings(&self) -> bool {
        self.looked_up.is_some()
    }

    /// The embeddings that were looked up, where they are trained.
    pub(super) fn into_looked_up(self) -> Vec<LookedUp> {
        self.looked_up.map(RefCell::into_inner).unwrap_or_default()
    }

    /// The numbers of the next masks.
    pub(super) fn mask(&self) -> MaskNumbers {
        self.masks.as_ref().map_or((0, 0), |masks| (masks.next.get(), masks.of_memory.get()))
    }

    /// Goes on with the masks of these numbers: what is computed again drops the same again.
    pub(super) fn go_on_with(&self, (next, of_memory): MaskNumbers) {
        if let Some(masks) = &self.masks {
            masks.next.set(next);
            masks.of_memory.set(of_memory);
        }
    }

    /// Draws masks for the decoder's memory. They are numbered by themselves: it is computed for all
    /// blocks at first, or for each block in its turn, and drops the same.
    pub(super) fn for_memory<T>(&self, compute: impl FnOnce() -> T) -> T {
        let change = || self.masks.iter().for_each(|masks| masks.next.swap(&masks.of_memory));
        change();
        let computed = compute();
        change();
        computed
    }

    /// The embeddings of some ids as the graph sees them: in training they are where it begins.
    pub(super) fn looked_up(&self, ids: &Tensor, rows: Tensor) -> Result<Tensor> {
        let Some(all) = &self.looked_up else { return Ok(rows) };
        let rows = Var::from_tensor(&rows)?;
        let tensor = rows.as_tensor().clone();
        all.borrow_mut().push(LookedUp { ids: ids.to_vec1()?, rows });
        Ok(tensor)
    }

    pub(super) fn dropout(&self, x: Tensor) -> Result<Tensor> {
        let rate = self.masks.as_ref().map_or(0.0, |masks| masks.rate);
        self.dropout_of(x, rate)
    }

    /// Dropout at a rate of its own.
    pub(super) fn dropout_of(&self, x: Tensor, rate: f32) -> Result<Tensor> {
        match &self.masks {
            Some(masks) if rate > 0.0 => masks.drop_out(&x.contiguous()?, rate),
            _ => Ok(x),
        }
    }
}

impl Masks {
    fn drop_out(&self, x: &Tensor, rate: f32) -> Result<Tensor> {
        let stream = self.next.replace(self.next.get() + 1);
        let dropout = Dropout { rate, seed: self.seed, stream };
        if is_host(x) {
            return x.apply_op1(dropout);
        }
        // By itself: what is drawn is kept, too.
        let kept = self.kept.borrow_mut().remove(&stream);
        let mask = match kept {
            Some(mask) => mask,
            None => self.draw(&dropout, x)?,
        };
        apply1(x, Masked { rate, mask })
    }

    fn draw(&self, dropout: &Dropout, of: &Tensor) -> Result<Tensor> {
        let is_on_gpu = !of.device().is_cpu();
        if is_on_gpu && !self.is_seeded.replace(true) {
            // The numbers of a micro-batch's masks begin with its own.
            of.device().set_seed(dropout.device_seed())?;
        }
        let mask = dropout.mask(of)?;
        if is_on_gpu && !of.track_op() {
            self.kept.borrow_mut().insert(dropout.stream, mask.clone());
        }
        Ok(mask)
    }
}
