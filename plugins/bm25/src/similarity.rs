//! The formula of BM25, step by step in the precision of Lucene's `BM25Similarity`.
//!
//! Each step is rounded to f32 where Lucene rounds it; that makes scores equal to the bit, and so
//! the order of hits, ties included, the same.

use tantivy::fieldnorm::FieldNormReader;

use crate::config::Bm25Config;
use crate::statistics::Statistics;

/// The formula for one pool.
#[derive(Debug, Clone)]
pub(crate) struct Similarity {
    documents: u64,
    /// For each length that a byte can stand for, the factor that a term's count gets.
    factors: [f32; 256],
}

impl Similarity {
    #[expect(clippy::cast_possible_truncation, reason = "Lucene computes with these as f32")]
    pub(crate) fn new(config: &Bm25Config, statistics: &Statistics) -> Self {
        let (k1, b) = (config.k1() as f32, config.b() as f32);
        let average = (statistics.terms as f64 / statistics.documents.max(1) as f64) as f32;
        // A length is stored in one byte, exact up to 40 terms and with four binary digits above;
        // tantivy's table of these is Lucene's `SmallFloat`.
        let factors = std::array::from_fn(|id| {
            let length = FieldNormReader::id_to_fieldnorm(u8::try_from(id).expect("below 256"));
            1.0 / (k1 * ((1.0 - b) + b * length as f32 / average))
        });
        Self { documents: statistics.documents, factors }
    }

    /// The most that a term can add to a score: its rarity times its count in the query.
    #[expect(clippy::cast_possible_truncation, reason = "Lucene rounds the logarithm to f32")]
    pub(crate) fn weight(&self, documents_with_term: u64, count_in_query: u32) -> f32 {
        let (all, with) = (self.documents as f64, documents_with_term as f64);
        let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln() as f32;
        count_in_query as f32 * rarity
    }

    /// The factor of the length that a byte stands for.
    pub(crate) fn factor(&self, length: u8) -> f32 {
        self.factors[usize::from(length)]
    }

    /// What a weight is divided by in a text that has the term `count` times.
    pub(crate) fn divisor(count: u32, factor: f32) -> f32 {
        // No text has 2^31 terms, and a signed number becomes f32 in one instruction.
        1.0 + count.cast_signed() as f32 * factor
    }

    /// What a term adds to a score.
    pub(crate) fn score(weight: f32, divisor: f32) -> f32 {
        weight - weight / divisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lucene's `SmallFloat.byte4ToInt`, written from its description: below 40 the number itself;
    /// above, 24 more than a number with three binary digits after the leading one.
    fn decoded(byte: u32) -> u32 {
        let Some(rest) = byte.checked_sub(24) else { return byte };
        let (shift, digits) = (rest >> 3, rest & 7);
        24 + if shift == 0 { digits } else { (8 | digits) << (shift - 1) }
    }

    fn score(similarity: &Similarity, weight: f32, count: u32, length: u8) -> f32 {
        Similarity::score(weight, Similarity::divisor(count, similarity.factor(length)))
    }

    #[test]
    fn lengths_are_quantised_as_lucene_does() {
        for id in 0..=u8::MAX {
            let wanted = decoded(u32::from(id));
            assert_eq!(FieldNormReader::id_to_fieldnorm(id), wanted);
            assert_eq!(FieldNormReader::fieldnorm_to_id(wanted), id);
        }
        let id = FieldNormReader::fieldnorm_to_id(43);
        assert_eq!(FieldNormReader::id_to_fieldnorm(id), 42, "rounded down");
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let config = Bm25Config { k1: Some(1.2), b: Some(0.75), ..Bm25Config::default() };
        let statistics = Statistics { documents: 10, terms: 100, ..Statistics::default() };
        let similarity = Similarity::new(&config, &statistics);
        // idf = ln(1 + 7.5/3.5); tf = 2 of length 20: 2 / (2 + 1.2 × (0.25 + 0.75 × 2)).
        let idf = (1.0 + 7.5_f64 / 3.5).ln();
        let wanted = 2.0 * idf * 2.0 / (2.0 + 1.2 * (0.25 + 0.75 * 2.0));
        let score = score(&similarity, similarity.weight(3, 2), 2, 20);
        assert!((f64::from(score) - wanted).abs() < 1e-6, "{score} {wanted}");
    }

    #[test]
    fn a_k1_of_zero_counts_presence_alone() {
        let config = Bm25Config { k1: Some(0.0), ..Bm25Config::default() };
        let similarity = Similarity::new(
            &config,
            &Statistics { documents: 10, terms: 100, ..Statistics::default() },
        );
        let scores = [1, 7].map(|count| score(&similarity, 2.5, count, 20).to_bits());
        assert_eq!(scores, [2.5_f32.to_bits(); 2]);
    }
}
