//! Options of `faiss`.

use deft_core::{Error, Result};
use deft_scan::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auto::REFINE;
use crate::factory::Recipe;
use crate::native::Native;

/// The factory string that is chosen by rows and dimension.
pub(crate) const AUTO: &str = "auto";

/// Options of the index `faiss`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaissConfig {
    /// What to build, in FAISS's factory language: `OPQ8_512,HNSW512,PQ8` is the paper's. Default
    /// `auto`: chosen from rows, dimension and `bytes_per_row`, and told.
    #[serde(default = "auto")]
    pub(crate) factory: String,
    /// A FAISS index file to open instead of building one: its row n must be line n of the pool, and
    /// the encoder the one that its vectors came from. It stays where it is; once it has changed,
    /// give `--rebuild index`. Excludes another `factory` than `auto`, which then means nothing.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// How near two vectors are: `l2` (default), the negated squared Euclidean distance, or `ip`,
    /// the inner product.
    #[serde(default)]
    pub(crate) metric: Metric,
    /// Memory that `factory: auto` may take for each row, in bytes (default 1024; at least 64).
    #[serde(default = "bytes_per_row")]
    #[schemars(range(min = 64))]
    pub(crate) bytes_per_row: usize,
    /// Rows of the sample that quantizers are trained on (default 65,536: FAISS looks at no more
    /// for codes of 8 bits; at least 256).
    #[serde(default = "training_rows")]
    #[schemars(range(min = 256))]
    pub(crate) training_rows: usize,
    /// Candidates looked at for each row's links in a graph, HNSW (default 200; 1 to 65,536).
    #[serde(default = "ef_construction")]
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) ef_construction: usize,
    /// Candidates looked at in a search through a graph; never fewer than the hits looked for.
    /// Default 128 (the paper's); 1 to 1,048,576.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_048_576), extend("x-deft-mark" = "search"))]
    pub(crate) ef_search: Option<usize>,
    /// Lists looked at in a search, IVF. Default: a quarter of them, and for a `file` as many as it
    /// says itself; 1 to 1,048,576.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_048_576), extend("x-deft-mark" = "search"))]
    pub(crate) nprobe: Option<usize>,
    /// Candidates for each hit that are ranked again by the stored vectors; 0 keeps FAISS's own
    /// scores and order, as the original does. Default 0, and 4 for `factory: auto`; 0 to 1,000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000), extend("x-deft-mark" = "search"))]
    pub(crate) refine: Option<usize>,
    /// Whether index files are mapped where FAISS can: memory is then taken as it is needed, and can
    /// be given back (default true).
    #[serde(default = "mmap")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub(crate) mmap: bool,
}

fn auto() -> String {
    AUTO.to_owned()
}

fn bytes_per_row() -> usize {
    1024
}

fn training_rows() -> usize {
    65_536
}

fn ef_construction() -> usize {
    200
}

fn mmap() -> bool {
    true
}

impl FaissConfig {
    /// What types cannot express.
    pub(crate) fn check(&self) -> Result<()> {
        if self.factory != AUTO {
            self.check_no_file()?;
            Recipe::parse(&self.factory)?.check_metric(self.metric)?;
            Native::check_spelling(&self.factory, self.metric)?;
        }
        in_range("bytes_per_row", Some(self.bytes_per_row), 64..=usize::MAX)?;
        in_range("training_rows", Some(self.training_rows), 256..=usize::MAX)?;
        in_range("ef_construction", Some(self.ef_construction), 1..=65_536)?;
        in_range("ef_search", self.ef_search, 1..=1_048_576)?;
        in_range("nprobe", self.nprobe, 1..=1_048_576)?;
        in_range("refine", self.refine, 0..=1000)
    }

    fn check_no_file(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        Err(Error::option_at("file", "`file` and `factory` exclude each other")
            .with_context("file", file)
            .with_context("factory", &self.factory)
            .with_hint("leave `factory` out: a file says itself what it is"))
    }

    /// Candidates for each hit that are ranked again.
    pub(crate) fn refine(&self) -> usize {
        let is_chosen = self.factory == AUTO && self.file.is_none();
        self.refine.unwrap_or(if is_chosen { REFINE } else { 0 })
    }
}

fn in_range(
    name: &str,
    value: Option<usize>,
    range: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    let Some(value) = value.filter(|value| !range.contains(value)) else { return Ok(()) };
    let allowed = match *range.end() {
        usize::MAX => format!("at least {}", range.start()),
        end => format!("{} to {end}", range.start()),
    };
    Err(Error::option_at(name, format!("`{name}` must be {allowed} ({name}: {value})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &serde_json::Value) -> Result<()> {
        deft_core::options::parse::<FaissConfig>(options)?.check()
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let config: FaissConfig = deft_core::options::parse(&serde_json::json!({})).expect("all");
        assert_eq!((config.factory.as_str(), config.metric), (AUTO, Metric::L2));
        assert_eq!((config.ef_search, config.refine, config.mmap), (None, None, true));
    }

    #[test]
    fn a_file_and_a_factory_exclude_each_other() {
        check(&serde_json::json!({ "file": "p3.index" })).expect("alone");
        check(&serde_json::json!({ "file": "p3.index", "factory": "auto" })).expect("the default");
        let both = serde_json::json!({ "file": "p3.index", "factory": "Flat" });
        let error = check(&both).expect_err("which of them?");
        assert_eq!((error.option(), error.context("factory")), (Some("file"), Some("Flat")));
    }

    #[test]
    fn only_what_deft_chose_itself_is_ranked_again_unasked() {
        for (options, refine) in [
            (serde_json::json!({}), REFINE),
            (serde_json::json!({ "factory": "HNSW32" }), 0),
            (serde_json::json!({ "file": "p3.index" }), 0),
            (serde_json::json!({ "file": "p3.index", "refine": 7 }), 7),
        ] {
            let config: FaissConfig = deft_core::options::parse(&options).expect("options");
            assert_eq!(config.refine(), refine, "{options}");
        }
    }

    #[test]
    fn a_typo_in_the_factory_is_found_before_anything_is_encoded() {
        for factory in ["HSNW32,PQ8", "OPQ8_512,HNSW512,QP8", "flat"] {
            let error = check(&serde_json::json!({ "factory": factory })).expect_err(factory);
            assert_eq!(error.option(), Some("factory"));
        }
        // Whether it fits a dimension is seen when there are vectors.
        for factory in ["OPQ8_512,HNSW512,PQ8", "PQ7", "IVF64,SQ8", "HNSW32", "PQ96x4fs,RFlat"] {
            check(&serde_json::json!({ "factory": factory })).expect(factory);
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        for (option, value) in [("training_rows", 255), ("ef_construction", 0), ("refine", 1001)] {
            let error = check(&serde_json::json!({ option: value })).expect_err("out of range");
            assert_eq!(error.option(), Some(option));
            assert!(error.message().contains(&value.to_string()), "{error}");
        }
    }
}
