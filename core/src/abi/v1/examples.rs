//! Examples by position, lent across the boundary.

use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RSlice, RString, RVec};

use super::data::{FfiExample, FfiResult, export_examples, import_examples, to_usize};
use super::guard::guard;
use crate::{Example, Examples, Result};

#[sabi_trait]
pub trait FfiExamples: Send + Sync {
    fn len(&self) -> FfiResult<u64>;
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
    fn len(&self) -> FfiResult<u64> {
        guard(|| Ok(self.0.len() as u64))
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

pub(crate) struct ExamplesImport<'a> {
    remote: FfiExamplesRef<'a>,
    /// Asked once, when there is a place for an error.
    len: usize,
}

impl<'a> ExamplesImport<'a> {
    pub(crate) fn new(remote: FfiExamplesRef<'a>) -> Result<Self> {
        let len = to_usize(remote.len().into_result()?)?;
        Ok(Self { remote, len })
    }
}

impl Examples for ExamplesImport<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let positions = export_positions(positions);
        import_examples(self.remote.get(positions.as_slice().into()).into_result()?)
    }

    fn inputs(&self, positions: &[usize]) -> Result<Vec<String>> {
        let positions = export_positions(positions);
        let inputs = self.remote.inputs(positions.as_slice().into()).into_result()?;
        Ok(inputs.into_iter().map(String::from).collect())
    }
}

fn export_positions(positions: &[usize]) -> Vec<u64> {
    positions.iter().map(|&position| position as u64).collect()
}

fn import_positions(positions: RSlice<'_, u64>) -> Result<Vec<usize>> {
    positions.iter().map(|&position| to_usize(position)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// Panics whatever it is asked.
    struct Broken;

    impl Examples for Broken {
        fn len(&self) -> usize {
            panic!("no length")
        }

        fn get(&self, _positions: &[usize]) -> Result<Vec<Example>> {
            panic!("no examples")
        }
    }

    #[test]
    fn a_panic_over_the_length_is_an_error_and_no_pool_of_nothing() {
        let error = ExamplesImport::new(ExamplesExport(&Broken).lend()).err().expect("no length");
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert!(error.message().contains("no length"), "{error}");
    }

    #[test]
    fn lent_examples_are_those_of_the_lender() {
        let examples = vec![Example { input: "a".to_owned(), ..Example::default() }];
        let export = ExamplesExport(&examples);
        let import = ExamplesImport::new(export.lend()).unwrap();
        assert_eq!((import.len(), import.is_empty()), (1, false));
        assert_eq!(import.get(&[0]).unwrap(), examples);
        assert_eq!(import.inputs(&[0]).unwrap(), ["a"]);
    }
}
