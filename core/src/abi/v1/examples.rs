//! Examples by position, lent across the boundary.

use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RSlice, RVec};

use super::data::{FfiExample, FfiResult, export_examples, import_examples, to_usize};
use super::guard::{guard, guard_or};
use crate::{Example, Examples, Result};

#[sabi_trait]
pub trait FfiExamples: Send + Sync {
    fn len(&self) -> u64;
    #[sabi(last_prefix_field)]
    fn get(&self, positions: RSlice<'_, u64>) -> FfiResult<RVec<FfiExample>>;
}

pub type FfiExamplesRef<'a> = FfiExamples_TO<'a, abi_stable::sabi_types::RRef<'a, ()>>;

pub(crate) struct ExamplesExport<'a>(pub(crate) &'a dyn Examples);

impl ExamplesExport<'_> {
    pub(crate) fn lend(&self) -> FfiExamplesRef<'_> {
        FfiExamples_TO::from_ptr(abi_stable::sabi_types::RRef::new(self), TD_Opaque)
    }
}

impl FfiExamples for ExamplesExport<'_> {
    fn len(&self) -> u64 {
        guard_or(0, || self.0.len() as u64)
    }

    fn get(&self, positions: RSlice<'_, u64>) -> FfiResult<RVec<FfiExample>> {
        guard(|| {
            let positions: Vec<usize> =
                positions.iter().map(|&position| to_usize(position)).collect::<Result<_>>()?;
            Ok(export_examples(self.0.get(&positions)?))
        })
    }
}

pub(crate) struct ExamplesImport<'a>(pub(crate) FfiExamplesRef<'a>);

impl Examples for ExamplesImport<'_> {
    fn len(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let positions: Vec<u64> = positions.iter().map(|&position| position as u64).collect();
        import_examples(self.0.get(positions.as_slice().into()).into_result()?)
    }
}
