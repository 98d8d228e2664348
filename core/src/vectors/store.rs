//! The parts in a folder, seen as one run of rows.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::VectorType;
use super::header::{Header, Part};
use crate::{Error, ErrorKind, Result, ResultExt};

/// The vectors of a pool, or of a run of its rows, on disk.
///
/// Cloning and slicing are cheap; reading is positioned and may be done by many threads at once.
#[derive(Debug, Clone)]
pub struct VectorStore {
    dir: PathBuf,
    parts: Arc<Vec<Part>>,
    dimension: usize,
    vector_type: VectorType,
    encoder: String,
    stage: Option<String>,
    /// Largest of all parts.
    relative_error: Option<f32>,
    rows: Range<usize>,
}

impl VectorStore {
    /// Opens the parts in a folder, all of them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when a part is damaged, missing in between, of another dimension, type,
    /// encoder or stage than the first; [`ErrorKind::Io`] when the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).or_io("cannot open the vectors", dir)? {
            let path = entry.or_io("cannot list the vectors", dir)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("part-") && name.ends_with(".safetensors") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut store: Option<Self> = None;
        let mut parts = Vec::new();
        for path in paths {
            let header = Header::read(&path)?;
            let first = store.get_or_insert_with(|| Self {
                dir: dir.to_owned(),
                parts: Arc::default(),
                dimension: header.dimension,
                vector_type: header.vector_type,
                encoder: header.encoder.clone(),
                stage: header.stage.clone(),
                relative_error: None,
                rows: 0..0,
            });
            first.check_part(&header, &path)?;
            first.rows.end = header.part.rows.end;
            let errors = [first.relative_error, header.relative_error];
            first.relative_error = errors.into_iter().flatten().reduce(f32::max);
            parts.push(header.part);
        }
        let store = store.ok_or_else(|| {
            Error::new(ErrorKind::Data, "no vectors here").with_context("folder", dir.display())
        })?;
        Ok(Self { parts: Arc::new(parts), ..store })
    }

    fn check_part(&self, header: &Header, path: &Path) -> Result<()> {
        let wrong = |what: &str, found: String, wanted: String| {
            Err(Error::new(ErrorKind::Data, format!("the vector parts differ in {what}"))
                .with_context("file", path.display())
                .with_context("found", found)
                .with_context("wanted", wanted)
                .with_hint("remove the parts of another run: the next one makes them again"))
        };
        if header.dimension != self.dimension {
            return wrong("dimension", header.dimension.to_string(), self.dimension.to_string());
        }
        if header.vector_type != self.vector_type {
            let name = |vector_type| format!("{vector_type:?}").to_lowercase();
            return wrong("type", name(header.vector_type), name(self.vector_type));
        }
        if header.encoder != self.encoder {
            return wrong("encoder", header.encoder.clone(), self.encoder.clone());
        }
        // A part that names none is of an earlier version.
        if let (Some(found), Some(wanted)) = (&header.stage, &self.stage)
            && found != wanted
        {
            return wrong("the stage that they were made for", found.clone(), wanted.clone());
        }
        if header.part.rows.start != self.rows.end {
            let (found, wanted) = (header.part.rows.start, self.rows.end);
            return wrong("their first row", found.to_string(), wanted.to_string());
        }
        Ok(())
    }

    /// The same vectors, limited to a run of pool rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when the store does not hold all of them.
    pub fn slice(&self, rows: Range<usize>) -> Result<Self> {
        if rows.start < self.rows.start || rows.end > self.rows.end || rows.start > rows.end {
            return Err(Error::new(ErrorKind::Unexpected, "these rows have no stored vectors")
                .with_context("wanted", format!("{rows:?}"))
                .with_context("stored", format!("{:?}", self.rows)));
        }
        Ok(Self { rows, parts: Arc::clone(&self.parts), ..self.clone() })
    }

    /// The folder that the vectors lie in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pool rows that the store (or slice) holds.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no vector at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Components of each vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Fingerprint of the encoder that made the vectors.
    pub fn encoder(&self) -> &str {
        &self.encoder
    }

    /// Name of the store's folder that the vectors were made for, if the first part says it.
    pub fn stage(&self) -> Option<&str> {
        self.stage.as_deref()
    }

    /// Bytes that a row takes on disk: its components, and its scale if it has one.
    pub fn bytes_per_row(&self) -> usize {
        self.vector_type.bytes_per_row(self.dimension)
    }

    /// How the vectors are stored.
    pub fn vector_type(&self) -> VectorType {
        self.vector_type
    }

    /// How far a vector is from the one that was stored, at most, as a share of its length; `None`
    /// where that follows from the type.
    pub fn relative_error(&self) -> Option<f32> {
        self.relative_error
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}
