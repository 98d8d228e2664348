//! Examples by position, lent across the boundary.

use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RSlice, RString, RVec};

use super::data::{FfiExample, FfiResult, export_examples, import_examples, to_usize};
use super::guard::{guard, guard_or};
use crate::{Example, Examples, Result};

#[sabi_trait]
pub trait FfiExamples: Send + Sync {
    fn len(&self) -> u64;
    fn get(&self, positions: RSlice<'_, u64>) -> FfiResult<RVec<FfiExample>>;
    #[sabi(last_prefix_field)]
    fn inputs(&self, positions: RSlice<'_, u64>) -> FfiResult<RVec<RString>>;
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
        guard(|| Ok(export_examples(self.0.get(&import_positions(positions)?)?)))
    }

    fn inputs(&self, positions: RSlice<'_, u64>) -> FfiResult<RVec<RString>> {
        guard(|| {
            let inputs = self.0.inputs(&import_positions(positions)?)?;
            Ok(inputs.into_iter().map(RString::from).collect())
        })
    }
}

pub(crate) struct ExamplesImport<'a>(pub(crate) FfiExamplesRef<'a>);

impl Examples for ExamplesImport<'_> {
    fn len(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let positions = export_positions(positions);
        import_examples(self.0.get(positions.as_slice().into()).into_result()?)
    }

    fn inputs(&self, positions: &[usize]) -> Result<Vec<String>> {
        let positions = export_positions(positions);
        let inputs = self.0.inputs(positions.as_slice().into()).into_result()?;
        Ok(inputs.into_iter().map(String::from).collect())
    }
}

fn export_positions(positions: &[usize]) -> Vec<u64> {
    positions.iter().map(|&position| position as u64).collect()
}

fn import_positions(positions: RSlice<'_, u64>) -> Result<Vec<usize>> {
    positions.iter().map(|&position| to_usize(position)).collect()
}
