//! The data that crosses, in fixed layouts, and its conversions.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RResult, RSlice, RSliceMut, RStr, RString, RVec};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Example, HitsMut, Matrix, Provenance, Result, SkippedRow};

/// An error, as JSON of [`Error`].
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct FfiError {
    json: RString,
}

pub type FfiResult<T> = RResult<T, FfiError>;

impl From<Error> for FfiError {
    fn from(error: Error) -> Self {
        Self { json: to_json(&error) }
    }
}

impl From<FfiError> for Error {
    fn from(error: FfiError) -> Self {
        serde_json::from_str(&error.json)
            .unwrap_or_else(|_| Error::new(ErrorKind::Unexpected, error.json.into_string()))
    }
}

/// JSON of a value; what cannot be JSON (it never is) crosses as `null`.
pub(crate) fn to_json(value: &impl Serialize) -> RString {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()).into()
}

/// The value in JSON that the other side wrote.
pub(crate) fn from_json<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(ErrorKind::Unexpected, "the other side of the boundary sent other data")
            .with_source(&error)
    })
}

/// An example.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiExample {
    input: RString,
    target: ROption<RString>,
    options: RVec<RString>,
    gold: ROption<u64>,
    dataset: RString,
    template: RString,
    /// JSON object, or nothing at all.
    extra: RString,
}

impl From<Example> for FfiExample {
    fn from(example: Example) -> Self {
        let extra = if example.extra.is_empty() { RString::new() } else { to_json(&example.extra) };
        Self {
            input: example.input.into(),
            target: example.target.map(RString::from).into(),
            options: example.options.into_iter().map(RString::from).collect(),
            gold: example.gold.map(|gold| gold as u64).into(),
            dataset: example.provenance.dataset.into(),
            template: example.provenance.template.into(),
            extra,
        }
    }
}

impl FfiExample {
    pub(crate) fn import(self) -> Result<Example> {
        let extra =
            if self.extra.is_empty() { serde_json::Map::new() } else { from_json(&self.extra)? };
        let gold = self.gold.into_option().map(to_usize).transpose()?;
        if gold.is_some_and(|gold| gold >= self.options.len()) {
            return Err(Error::new(
                ErrorKind::Plugin,
                "an example's right answer is no option of it",
            )
            .with_context("option", format!("{gold:?}"))
            .with_context("options", self.options.len()));
        }
        Ok(Example {
            input: self.input.into(),
            target: self.target.into_option().map(String::from),
            options: self.options.into_iter().map(String::from).collect(),
            gold,
            provenance: Provenance { dataset: self.dataset.into(), template: self.template.into() },
            extra,
        })
    }
}

pub(crate) fn export_examples(examples: Vec<Example>) -> RVec<FfiExample> {
    examples.into_iter().map(FfiExample::from).collect()
}

pub(crate) fn import_examples(examples: RVec<FfiExample>) -> Result<Vec<Example>> {
    examples.into_iter().map(FfiExample::import).collect()
}

pub(crate) fn to_usize(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| {
        Error::new(ErrorKind::Unexpected, "a number is too large for this machine")
            .with_context("number", number)
    })
}

/// A row that a reader left out.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiSkippedRow {
    row: u64,
    reason: RString,
}

impl From<SkippedRow> for FfiSkippedRow {
    fn from(skipped: SkippedRow) -> Self {
        Self { row: skipped.row, reason: skipped.reason.into() }
    }
}

impl From<FfiSkippedRow> for SkippedRow {
    fn from(skipped: FfiSkippedRow) -> Self {
        Self { row: skipped.row, reason: skipped.reason.into() }
    }
}

/// Rows of vectors, lent.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiMatrix<'a> {
    data: RSlice<'a, f32>,
    dimension: u64,
}

impl<'a> From<Matrix<'a>> for FfiMatrix<'a> {
    fn from(matrix: Matrix<'a>) -> Self {
        Self { data: matrix.as_slice().into(), dimension: matrix.dimension() as u64 }
    }
}

impl<'a> FfiMatrix<'a> {
    pub(crate) fn import(self) -> Result<Matrix<'a>> {
        Matrix::new(self.data.as_slice(), to_usize(self.dimension)?)
    }
}

/// Memory for hits, lent.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiHits<'a> {
    k: u64,
    ids: RSliceMut<'a, u64>,
    scores: RSliceMut<'a, f32>,
    counts: RSliceMut<'a, u32>,
}

impl<'a> From<HitsMut<'a>> for FfiHits<'a> {
    fn from(hits: HitsMut<'a>) -> Self {
        Self {
            k: hits.k as u64,
            ids: hits.ids.into(),
            scores: hits.scores.into(),
            counts: hits.counts.into(),
        }
    }
}

impl<'a> FfiHits<'a> {
    pub(crate) fn import(self) -> Result<HitsMut<'a>> {
        let k = to_usize(self.k)?;
        let hits = HitsMut {
            k,
            ids: self.ids.into_mut_slice(),
            scores: self.scores.into_mut_slice(),
            counts: self.counts.into_mut_slice(),
        };
        let places = hits.counts.len() * k;
        if hits.ids.len() != places || hits.scores.len() != places {
            return Err(Error::new(ErrorKind::Unexpected, "memory for hits has other lengths"));
        }
        Ok(hits)
    }
}

/// Lends texts: each borrowed, no text copied.
pub(crate) fn export_texts<'a>(texts: &[&'a str]) -> Vec<RStr<'a>> {
    texts.iter().map(|&text| RStr::from(text)).collect()
}

pub(crate) fn import_texts<'a>(texts: RSlice<'a, RStr<'a>>) -> Vec<&'a str> {
    texts.as_slice().iter().map(RStr::as_str).collect()
}

/// A path as text; other paths than UTF-8 do not cross.
pub(crate) fn export_path(path: &std::path::Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Io, "paths must be UTF-8").with_context("path", path.display())
    })
}
