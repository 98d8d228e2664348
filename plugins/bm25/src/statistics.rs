//! What scores need to know about the whole pool, summed over its parts.
//!
//! With these and the number of texts that have a term, also summed over the parts when it is
//! asked for, the scores of different parts can be compared: it is as if there were one index.

use std::path::Path;

use deft_core::prelude::*;

use crate::segment::Segment;

const REMEDY: &str = "remove the file: the next run makes it again";

/// Sums over the whole pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statistics {
    /// Texts with at least one term; Lucene leaves the others out of its averages.
    pub(crate) documents: u64,
    /// Terms of all texts, repetitions included.
    pub(crate) terms: u64,
    /// The fingerprint of each part's texts, in order: sums of other texts may be the same.
    pub(crate) parts: Vec<String>,
}

impl Statistics {
    /// Those of these parts.
    pub(crate) fn of(segments: &[Segment]) -> Self {
        Self {
            documents: segments.iter().map(Segment::texts_with_terms).sum(),
            terms: segments.iter().map(Segment::terms).sum(),
            parts: segments.iter().map(|segment| segment.texts().to_owned()).collect(),
        }
    }

    /// Whether they count these texts, told by their fingerprint, as that part.
    pub(crate) fn has_texts(&self, part: usize, texts: &str) -> bool {
        self.parts.get(part).is_some_and(|counted| counted == texts)
    }

    /// Refuses those of other parts; `file` is where they were read.
    pub(crate) fn check(&self, file: &Path, segments: &[Segment]) -> Result<()> {
        let wanted = Self::of(segments);
        if *self == wanted {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, "the statistics are not those of the index")
            .with_context("file", file.display())
            .with_context("found", self.summary())
            .with_context("wanted", wanted.summary())
            .with_hint(REMEDY))
    }

    /// On one line: the parts as one fingerprint.
    fn summary(&self) -> String {
        let Self { documents, terms, parts } = self;
        let texts = parts.iter().fold(Fingerprint::new(), Fingerprint::with).short();
        format!("{documents} texts with {terms} terms in {} parts, {texts}", parts.len())
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .or_error(ErrorKind::Unexpected, "the statistics are no JSON")?;
        text.push('\n');
        std::fs::write(file, text).or_io("cannot write the statistics", file)
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).or_io("cannot read the statistics", file)?;
        serde_json::from_slice(&bytes).map_err(|source| {
            Error::new(ErrorKind::Data, "the statistics of the index are damaged")
                .with_context("file", file.display())
                .with_source(&source)
                .with_hint(REMEDY)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_as_they_were_written_and_damage_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("part-00000.json");
        let statistics = Statistics { documents: 3, terms: 70, parts: vec!["0f".to_owned()] };
        statistics.write(&file).expect("written");
        assert_eq!(Statistics::read(&file).expect("read"), statistics);
        std::fs::write(&file, "{\"documents\": 3").expect("damaged");
        let error = Statistics::read(&file).expect_err("damaged");
        assert!(error.to_string().contains("part-00000.json"), "{error}");
    }
}
