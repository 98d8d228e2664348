//! What a factory string says, in so far as it matters here.
//!
//! FAISS's language (<https://github.com/facebookresearch/faiss/wiki/The-index-factory>): parts
//! separated by commas. FAISS itself has the last word on it; this reads what it does not tell.

use deft_core::{Error, Result};
use deft_scan::Metric;

/// A factory string, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    parts: Vec<String>,
}

/// Bytes of the links of one node of a graph: on its lowest level twice `M` links of 4 bytes, and
/// 1/M of the nodes are on each further level with `M` links (Malkov and Yashunin, 2018).
fn link_bytes(links: usize) -> usize {
    8 * links + (4 * links).checked_div(links.saturating_sub(1)).unwrap_or(0)
}

impl Recipe {
    /// Takes a factory string apart.
    ///
    /// # Errors
    ///
    /// An option error for what FAISS accepts and then does not what it seems to.
    pub(crate) fn parse(factory: &str) -> Result<Self> {
        let parts: Vec<String> = factory
            .split([',', '_', '(', ')'])
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect();
        let recipe = Self { parts };
        if recipe.parts.is_empty() {
            return Err(refused("an index needs a factory string", factory, "`auto`, or `Flat`"));
        }
        if recipe.number("IDMap").is_some() || factory.contains("IDMap") {
            let hint = "leave `IDMap` out: rows are numbered in the pool's order anyway";
            return Err(refused("an index that maps ids cannot be built here", factory, hint));
        }
        Ok(recipe)
    }

    /// Refuses a metric that FAISS would take and compute something else.
    pub(crate) fn check_metric(&self, metric: Metric) -> Result<()> {
        let has = |name: &str| self.parts.iter().any(|part| part.starts_with(name));
        // Vectors are ranked again, and recall is measured, by the metric itself.
        if has("L2norm") {
            return Err(Error::option_at(
                "factory",
                "`L2norm` changes the vectors: the order is another than that of the metric",
            )
            .with_hint("let the encoder do it: `normalize: true`"));
        }
        if has("PCAW") {
            return Err(Error::option_at(
                "factory",
                "`PCAW` whitens the vectors: the order is another than that of the metric",
            )
            .with_hint("use `OPQ`, `RR` or `PCA` to reduce dimensions"));
        }
        // Centring moves the vectors: distances stay, inner products do not.
        if metric == Metric::Ip && has("PCA") {
            return Err(Error::option_at(
                "metric",
                "`PCA` subtracts the mean: inner products after it are others",
            )
            .with_hint("use `OPQ` or `RR` to reduce dimensions, or `metric: l2`"));
        }
        let is_graph_of_codes =
            self.number("HNSW").is_some() && self.number("IVF").is_none() && has("PQ");
        if metric == Metric::Ip && is_graph_of_codes {
            return Err(Error::option_at(
                "metric",
                "FAISS makes `HNSW` over `PQ` with the metric l2, whatever it is asked for",
            )
            .with_hint(
                "use `metric: l2` (the same order where vectors have length 1: `normalize: true`)",
            ));
        }
        Ok(())
    }

    /// Whether such an index learns from a sample.
    pub(crate) fn trains(&self) -> bool {
        self.parts.iter().any(|part| {
            let takes_as_it_is =
                ["Flat", "HNSW", "NSG", "SQfp16", "SQbf16", "RR", "RFlat", "L2norm"];
            !takes_as_it_is.iter().any(|name| part.starts_with(name))
                && !part.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// Lists of an inverted file, if it is one.
    pub(crate) fn lists(&self) -> Option<usize> {
        self.number("IVF").filter(|&lists| lists > 0)
    }

    /// Bytes that a row takes in memory and on disk, where that can be told from the string.
    pub(crate) fn bytes_per_row(&self, dimension: usize) -> Option<usize> {
        let (mut bytes, mut code, mut width) = (0, None, dimension);
        for (i, part) in self.parts.iter().enumerate() {
            let digits: String = part.chars().filter(char::is_ascii_digit).collect();
            let number = digits.parse::<usize>().ok();
            if part.starts_with("OPQ") || part.starts_with("PCA") || part.starts_with("RR") {
                // `OPQ8_512`: the number after the underscore is the new dimension.
                let next = self.parts.get(i + 1).and_then(|part| part.parse().ok());
                width = next.or(number.filter(|_| !part.starts_with("OPQ"))).unwrap_or(width);
            } else if part.starts_with("HNSW") {
                // A graph over the centres of lists has none over the rows.
                let links = if self.lists().is_some() { 0 } else { number.unwrap_or(32) };
                bytes += link_bytes(links);
            } else if part.starts_with("IVF") {
                bytes += 8;
            } else if part.starts_with("RFlat") {
                bytes += 4 * dimension;
            } else {
                code = code_bytes(part, width).or(code);
            }
        }
        Some(bytes + code?)
    }

    /// The number after a name: 32 for `HNSW` in `HNSW32`.
    fn number(&self, name: &str) -> Option<usize> {
        let part = self.parts.iter().find_map(|part| part.strip_prefix(name))?;
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        // FAISS reads `IVF4k` as 4,096 lists.
        let unit = match part[digits.len()..].chars().next() {
            Some('k') => 1 << 10,
            Some('M') => 1 << 20,
            _ => 1,
        };
        Some(digits.parse::<usize>().unwrap_or(0).saturating_mul(unit))
    }
}

/// Bytes of a code of `width` numbers, for the codes that are common.
fn code_bytes(part: &str, width: usize) -> Option<usize> {
    if part.starts_with("Flat") {
        return Some(4 * width);
    }
    if let Some(kind) = part.strip_prefix("SQ") {
        return match kind {
            "8" => Some(width),
            "6" => Some((6 * width).div_ceil(8)),
            "4" => Some(width.div_ceil(2)),
            "fp16" | "bf16" => Some(2 * width),
            _ => None,
        };
    }
    let rest = part.strip_prefix("PQ")?;
    let mut numbers =
        rest.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<usize>().ok());
    let (codes, bits) = (numbers.next()?, numbers.next().unwrap_or(8));
    Some((codes * bits).div_ceil(8))
}

fn refused(message: &str, factory: &str, hint: &str) -> Error {
    Error::option_at("factory", message).with_context("factory", factory).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(factory: &str) -> Recipe {
        Recipe::parse(factory).expect("a recipe")
    }

    #[test]
    fn bytes_of_a_row_are_those_that_were_measured() {
        // The paper's index: 4,132 bytes (measured), of which 8 are the code.
        let paper = recipe("OPQ8_512,HNSW512,PQ8").bytes_per_row(2048).expect("known");
        assert!((4100..=4140).contains(&paper), "{paper}");
        for (factory, dimension, bytes) in [
            ("Flat", 384, 1536),
            ("SQ8", 384, 384),
            ("IVF256,SQ8", 384, 392),
            ("PQ96x4fs", 384, 48),
            ("IVF128,PQ96x4fs,RFlat", 384, 8 + 48 + 1536),
            ("OPQ64_256,PQ64", 384, 64),
            ("PCA128,SQ8", 384, 128),
        ] {
            assert_eq!(recipe(factory).bytes_per_row(dimension), Some(bytes), "{factory}");
        }
        assert_eq!(recipe("LSH").bytes_per_row(384), None);
    }

    #[test]
    fn what_learns_is_told_from_what_takes_vectors_as_they_are() {
        for factory in ["Flat", "HNSW32", "HNSW32,Flat", "SQfp16", "HNSW16_SQfp16", "RR64,Flat"] {
            assert!(!recipe(factory).trains(), "{factory}");
        }
        for factory in ["OPQ8_512,HNSW512,PQ8", "SQ8", "IVF64,Flat", "PCA64,Flat", "HNSW32,SQ8"] {
            assert!(recipe(factory).trains(), "{factory}");
        }
    }

    #[test]
    fn what_faiss_silently_gets_wrong_is_refused() {
        for factory in ["HNSW32,PQ8", "OPQ8_512,HNSW512,PQ8", "PCA64,Flat"] {
            let error = recipe(factory).check_metric(Metric::Ip).expect_err(factory);
            assert_eq!(error.option(), Some("metric"));
            assert!(recipe(factory).check_metric(Metric::L2).is_ok(), "{factory}");
        }
        assert!(recipe("IVF64_HNSW32,PQ8").check_metric(Metric::Ip).is_ok());
        for (factory, metric) in [("L2norm,Flat", Metric::Ip), ("PCAW64,Flat", Metric::L2)] {
            let error = recipe(factory).check_metric(metric).expect_err(factory);
            assert_eq!(error.option(), Some("factory"));
        }
        assert!(Recipe::parse("IDMap,Flat").is_err() && Recipe::parse(" , ").is_err());
    }

    #[test]
    fn lists_are_counted() {
        assert_eq!(recipe("OPQ8,IVF4096_HNSW32,PQ8").lists(), Some(4096));
        assert_eq!(recipe("IVF4k,PQ8").lists(), Some(4096));
        assert_eq!(recipe("HNSW32,PQ8").lists(), None);
    }
}
