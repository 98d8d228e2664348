//! One way through the network, and what goes along.

use std::cell::{Cell, RefCell};

use candle_core::{Error, Result, Tensor, Var};
use deft_core::Context;

use super::LookedUp;
use super::dropout::Dropout;
use super::ops::apply1;
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
        let masks = Masks { rate, seed, next, of_memory };
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
        apply1(x, Dropout { rate, seed: self.seed, stream })
    }
}
