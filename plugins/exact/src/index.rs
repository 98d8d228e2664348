//! The component, its builder, and what a build leaves on disk.

use std::path::Path;

use deft_core::prelude::*;
use deft_scan::{Metric, Scan};

use crate::config::ExactConfig;

/// The only file of a built index.
const FILE: &str = "exact.json";
/// Its length, about.
const CARD_BYTES: u64 = 100;
/// Version of that file.
const FORMAT: u32 = 1;

/// The component `exact`.
#[derive(Debug)]
pub(crate) struct Exact(ExactConfig);

impl Component for Exact {
    type Config = ExactConfig;
    const NAME: &'static str = "exact";
    const SUMMARY: &'static str = "every vector scanned: exact neighbours, for small pools";

    fn new(_ctx: &Context<'_>, config: ExactConfig, _children: Children) -> Result<Self> {
        Ok(Self(config))
    }
}

impl IndexFactory for Exact {
    fn info(&self) -> IndexInfo {
        IndexInfo {
            exact: true,
            metric: self.0.metric,
            needs_vectors: true,
            ..IndexInfo::default()
        }
    }

    /// The vectors lie in the vector store; a search reads them block by block.
    fn cost(&self, shape: IndexShape) -> Result<IndexCost> {
        Ok(IndexCost {
            disk: Some(CARD_BYTES),
            build_memory: Some(0),
            search_memory: Some(0),
            thread_memory: Some(Scan::bytes_per_thread(shape) as u64),
        })
    }

    fn builder(
        &self,
        _ctx: &Context<'_>,
        shape: IndexShape,
        _trained: Option<&Path>,
    ) -> Result<Box<dyn IndexBuilder>> {
        let card =
            Card { format: FORMAT, rows: 0, dimension: shape.dimension, metric: self.0.metric };
        Ok(Box::new(ExactBuilder(card)))
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        dir: &Path,
        vectors: Option<VectorStore>,
    ) -> Result<Box<dyn Index>> {
        let vectors = vectors.ok_or_else(no_vectors)?;
        let file = dir.join(FILE);
        let card = Card::read(&file)?;
        let wanted = Card {
            format: FORMAT,
            rows: vectors.len(),
            dimension: vectors.dimension(),
            metric: self.0.metric,
        };
        card.check(&wanted, &file)?;
        Ok(Box::new(ExactIndex(Scan::new(vectors, self.0.metric))))
    }
}

fn no_vectors() -> Error {
    Error::new(ErrorKind::Options, "`exact` scans the vectors, and they are not kept")
        .with_hint("keep them: `vectors: f16`")
}

/// What was indexed: all that a build leaves, since the vectors lie in the vector store already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    format: u32,
    rows: usize,
    dimension: usize,
    metric: Metric,
}

impl Card {
    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).or_io("cannot read the index", file)?;
        serde_json::from_str(&text).map_err(|source| {
            Error::new(ErrorKind::Data, "the index is damaged: its description cannot be read")
                .with_context("file", file.display())
                .with_source(&source)
                .with_hint(REBUILD)
        })
    }

    fn check(&self, wanted: &Self, file: &Path) -> Result<()> {
        let same = |what: &str, found: &dyn ToString, wanted: &dyn ToString| {
            let (found, wanted) = (found.to_string(), wanted.to_string());
            if found == wanted {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Data, format!("the index was built with another {what}"))
                .with_context("file", file.display())
                .with_context("found", found)
                .with_context("wanted", wanted)
                .with_hint(REBUILD))
        };
        same("file format", &self.format, &wanted.format)?;
        same("number of rows", &self.rows, &wanted.rows)?;
        same("dimension", &self.dimension, &wanted.dimension)?;
        same("metric", &self.metric, &wanted.metric)
    }
}

const REBUILD: &str = "remove the index's folder: the next run builds it again, in a moment";

/// The vectors open for search.
#[derive(Debug)]
struct ExactIndex(Scan);

impl Index for ExactIndex {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, hits: HitsMut<'_>) -> Result<()> {
        self.0.search(ctx, queries, hits)
    }
}

/// Counts the rows that it is given.
#[derive(Debug)]
struct ExactBuilder(Card);

impl IndexBuilder for ExactBuilder {
    /// Nothing is learned: [`IndexInfo::training_vectors`] is 0.
    fn train(&mut self, _ctx: &Context<'_>, _sample: Matrix<'_>) -> Result<()> {
        Ok(())
    }

    fn add(&mut self, _ctx: &Context<'_>, rows: Matrix<'_>) -> Result<()> {
        if rows.dimension() != self.0.dimension {
            return Err(Error::new(ErrorKind::Unexpected, "these vectors have another dimension")
                .with_context("found", rows.dimension())
                .with_context("wanted", self.0.dimension));
        }
        self.0.rows += rows.rows();
        Ok(())
    }

    fn finish(&mut self, _ctx: &Context<'_>, dir: &Path) -> Result<()> {
        let file = dir.join(FILE);
        let mut text = serde_json::to_string_pretty(&self.0)
            .or_error(ErrorKind::Unexpected, "the index's description is no JSON")?;
        text.push('\n');
        std::fs::write(&file, text).or_io("cannot write the index", &file)
    }
}

#[cfg(test)]
mod tests {
    use deft_core::{NoServices, VectorType, part_name, write_vectors};

    use super::*;

    /// A folder with the vectors (0, 1), (2, 3), (4, 5), and an index over them.
    fn built() -> (tempfile::TempDir, VectorStore) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let rows = Matrix::new(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2).expect("whole rows");
        let part = dir.path().join(part_name(0, ".safetensors"));
        write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
        let ctx = Context::new(&NoServices, 0, 1);
        let mut builder = exact(Metric::L2)
            .builder(&ctx, IndexShape { rows: 0, dimension: 2 }, None)
            .expect("a builder");
        builder.add(&ctx, Matrix::new(&rows.as_slice()[..4], 2).expect("rows")).expect("added");
        builder.add(&ctx, Matrix::new(&rows.as_slice()[4..], 2).expect("rows")).expect("added");
        builder.finish(&ctx, dir.path()).expect("finished");
        let vectors = VectorStore::open(dir.path()).expect("opened");
        (dir, vectors)
    }

    fn exact(metric: Metric) -> Exact {
        Exact(ExactConfig { metric })
    }

    fn open_error(metric: Metric, dir: &Path, vectors: VectorStore) -> Error {
        let ctx = Context::new(&NoServices, 0, 1);
        exact(metric).open(&ctx, dir, Some(vectors)).err().expect("the index does not fit")
    }

    #[test]
    fn a_built_index_opens_over_the_rows_it_was_built_from() {
        let (dir, vectors) = built();
        let ctx = Context::new(&NoServices, 0, 1);
        let index = exact(Metric::L2).open(&ctx, dir.path(), Some(vectors)).expect("opened");
        assert_eq!(index.len(), 3);
    }

    #[test]
    fn an_index_costs_its_description_and_a_block_of_rows() {
        let (dir, _vectors) = built();
        let card = std::fs::metadata(dir.path().join(FILE)).expect("written").len();
        let cost =
            exact(Metric::L2).cost(IndexShape { rows: 1_000_000, dimension: 2048 }).expect("known");
        assert!(cost.disk.is_some_and(|disk| disk.abs_diff(card) < 50), "{card}: {cost:?}");
        assert_eq!((cost.search_memory, cost.thread_memory), (Some(0), Some(1 << 20)));
    }

    #[test]
    fn other_rows_or_another_metric_are_refused_with_both_values() {
        let (dir, vectors) = built();
        let fewer = vectors.slice(0..2).expect("stored");
        let error = open_error(Metric::L2, dir.path(), fewer);
        assert_eq!(error.message(), "the index was built with another number of rows");
        assert_eq!((error.context("found"), error.context("wanted")), (Some("3"), Some("2")));
        let error = open_error(Metric::Ip, dir.path(), vectors);
        assert_eq!(error.message(), "the index was built with another metric");
        assert_eq!((error.context("found"), error.context("wanted")), (Some("l2"), Some("ip")));
    }

    #[test]
    fn a_damaged_description_is_an_error_that_names_the_file() {
        let (dir, vectors) = built();
        let file = dir.path().join(FILE);
        let text = std::fs::read_to_string(&file).expect("read");
        let future = text.replace("\"format\": 1", "\"format\": 2");
        for damaged in [&text[..text.len() / 2], "", "[]", &future] {
            std::fs::write(&file, damaged).expect("damaged");
            let error = open_error(Metric::L2, dir.path(), vectors.clone());
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().contains(FILE), "{error}");
            assert!(error.hint().is_some());
        }
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(open_error(Metric::L2, dir.path(), vectors).kind(), ErrorKind::Io);
    }

    #[test]
    fn vectors_of_another_dimension_cannot_be_added() {
        let ctx = Context::new(&NoServices, 0, 1);
        let mut builder = exact(Metric::L2)
            .builder(&ctx, IndexShape { rows: 1, dimension: 3 }, None)
            .expect("a builder");
        let rows = Matrix::new(&[1.0, 2.0], 2).expect("whole rows");
        let error = builder.add(&ctx, rows).expect_err("two is not three");
        assert_eq!((error.context("found"), error.context("wanted")), (Some("2"), Some("3")));
    }
}
