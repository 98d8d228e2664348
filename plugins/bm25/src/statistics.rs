//! What scores need to know about the whole pool, summed over its parts.
//!
//! With these and the number of texts that have a term, also summed over the parts when it is
//! asked for, the scores of different parts can be compared: it is as if there were one index.

use std::path::Path;

use deft_core::prelude::*;

use crate::segment::Segment;

/// Sums over the whole pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statistics {
    /// Texts with at least one term; Lucene leaves the others out of its averages.
    pub(crate) documents: u64,
    /// Terms of all texts, repetitions included.
    pub(crate) terms: u64,
}

impl Statistics {
    /// Adds those of one part.
    pub(crate) fn add(&mut self, segment: &Segment) {
        self.documents += segment.texts_with_terms();
        self.terms += segment.terms();
    }

    /// Whether they can be of these parts: an error unless the number of terms is theirs.
    pub(crate) fn check(&self, segments: &[Segment]) -> Result<()> {
        let found: u64 = segments.iter().map(Segment::terms).sum();
        if self.terms == found {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, "the statistics are not those of the index")
            .with_context("terms of the statistics", self.terms)
            .with_context("terms of the index", found)
            .with_hint("remove the folder of the statistics: the next run makes it again"))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .or_error(ErrorKind::Unexpected, "the statistics are no JSON")?;
        text.push('\n');
        std::fs::write(file, text).or_io("cannot write the statistics", file)
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).or_io("cannot read the statistics", file)?;
        serde_json::from_str(&text).map_err(|source| {
            Error::new(ErrorKind::Data, "the statistics of the index are damaged")
                .with_context("file", file.display())
                .with_source(&source)
                .with_hint("remove the file: the next run makes it again")
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
        let statistics = Statistics { documents: 3, terms: 70 };
        statistics.write(&file).expect("written");
        assert_eq!(Statistics::read(&file).expect("read"), statistics);
        std::fs::write(&file, "{\"documents\": 3").expect("damaged");
        let error = Statistics::read(&file).expect_err("damaged");
        assert!(error.to_string().contains("part-00000.json"), "{error}");
    }
}
