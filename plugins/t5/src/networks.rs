//! An encoder's network on every device that it computes on.

use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::Result;

use crate::device::{Lease, Placement, Pool, failure, is_news, longest, padded, split_on_oom};
use crate::model::Model;
use crate::network::{Pass, T5, Tensors};

/// One network of the same weights for each placement, of which there is at least one.
///
/// On the CPU all threads share it. On GPUs each computes one batch at a time, and a batch goes to
/// whichever is free: which one that is changes nothing but the time.
#[derive(Debug)]
pub(crate) struct Networks(Pool<Placed>);

/// A network, and what is known of the place where it is.
#[derive(Debug)]
struct Placed {
    network: T5,
    /// Padded tokens that are computed at once, at most: what has had no room was more.
    most_tokens: AtomicUsize,
    placement: Lease,
}

impl Networks {
    /// Puts the weights everywhere.
    pub(crate) fn new(
        model: &Model,
        placements: Vec<Placement>,
        weights: &Tensors,
    ) -> Result<Self> {
        let mut networks = Vec::with_capacity(placements.len());
        for placement in placements {
            let network = model.network(&placement.put_all(weights)?)?.remembering();
            let most_tokens = AtomicUsize::new(usize::MAX);
            networks.push(Placed { network, most_tokens, placement: placement.into() });
        }
        let on_cpu = networks.pop_if(|placed| placed.placement.device.is_cpu());
        Ok(Self(on_cpu.map_or_else(|| Pool::exclusive(networks), Pool::shared)))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.items().len()
    }

    /// Whether any number of threads may compute at once, as in main memory: no GPU waits for them.
    pub(crate) fn are_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// Bytes that are free on the fullest GPU; `None` on the CPU, and where no GPU tells.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.0.items().iter().filter_map(|placed| placed.placement.free_bytes()).min()
    }

    /// Computes something of each of some texts' ids, in parts where a GPU has no memory for all.
    pub(crate) fn compute<T>(
        &self,
        texts: &[&[u32]],
        pass: &Pass<'_>,
        compute: impl Fn(&T5, &[&[u32]]) -> candle_core::Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        self.0.with(|placed| {
            let compute = |texts: &[&[u32]]| compute(&placed.network, texts);
            placed.compute(texts, pass, &compute)
        })
    }
}

impl Placed {
    fn compute<T>(
        &self,
        texts: &[&[u32]],
        pass: &Pass<'_>,
        compute: &impl Fn(&[&[u32]]) -> candle_core::Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let before = self.most_tokens();
        let computed = split_on_oom(texts, &padded, &self.placement, &self.most_tokens, compute);
        let most = self.most_tokens();
        if most < before {
            let line = format!(
                "batches of more than {most} tokens have no room on the GPU and are split: \
                 `batch_tokens: {most}` avoids that they are tried"
            );
            if is_news(&line) {
                pass.info(&line);
            }
        }
        computed.map_err(|error| {
            let what = format!("a text of {} tokens", longest(texts));
            let failed = failure(&error, Some(&self.placement), &what);
            failed.unwrap_or_else(|| pass.error(&error))
        })
    }

    fn most_tokens(&self) -> usize {
        self.most_tokens.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use deft_core::ErrorKind;
    use serde_json::json;
    use std::cell::RefCell;

    fn networks() -> Networks {
        let dir = model_dir(&json!({}));
        let model = Model::open_dir(&context(1), dir.path(), None, Weights::Random(3));
        let model = model.expect("a model");
        let weights = model.tensors(&context(1), &WHOLE).expect("weights");
        Networks::new(&model, vec![Placement::host()], &weights).expect("networks")
    }

    /// Computes the lengths of some texts where no more than `most` fit; tells what was tried.
    fn lengths(
        networks: &Networks,
        texts: &[&[u32]],
        most: usize,
    ) -> (Result<Vec<usize>>, Vec<usize>) {
        let tried = RefCell::new(Vec::new());
        let found = networks.compute(texts, &Pass::interruptible(&context(1)), |_, texts| {
            tried.borrow_mut().push(texts.len());
            if texts.len() > most {
                let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY)";
                return Err(candle_core::Error::Cuda(text.into()));
            }
            Ok(texts.iter().map(|text| text.len()).collect())
        });
        (found, tried.into_inner())
    }

    #[test]
    fn a_batch_without_room_is_split_and_the_next_is_so_at_once() {
        let networks = networks();
        let texts: [&[u32]; 4] = [&[3, 4, 1], &[5, 1], &[6, 1], &[1]];
        for tries in [vec![4, 2, 2], vec![2, 2]] {
            let (found, tried) = lengths(&networks, &texts, 2);
            assert_eq!((found.expect("computed"), tried), (vec![3, 2, 2, 1], tries));
        }
    }

    #[test]
    fn a_text_without_room_is_told_by_its_length() {
        let texts: [&[u32]; 2] = [&[3, 4, 1], &[1]];
        let (found, _) = lengths(&networks(), &texts, 0);
        let error = found.expect_err("nothing fits");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.message(), "the GPU has not enough memory for a text of 3 tokens");
    }
}
