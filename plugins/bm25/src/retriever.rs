//! The component and its phases.

use std::path::Path;

use deft_core::part_name;
use deft_core::prelude::*;
use serde_json::json;

use crate::analyzer::Analyzer;
use crate::config::Bm25Config;
use crate::group::TERMS;
use crate::search::Bm25Searcher;
use crate::segment::{Segment, analyzer_name};
use crate::similarity::Similarity;
use crate::statistics::Statistics;
use crate::window::{Cursors, Window};
use crate::writer::{UnitWriter, segment_dir};

/// The phase that indexes the pool: a unit per part.
const INDEX: &str = "index";
/// The phase that sums the statistics of all parts.
const MERGE: &str = "merge";
/// The end of the name of the file that it leaves.
const STATISTICS: &str = ".json";

/// The call that tells the terms of texts.
const ANALYZE: &str = "analyze";

/// Rows that are fetched at once.
const CHUNK: usize = 256;

/// The component `bm25`.
#[derive(Debug)]
pub(crate) struct Bm25(Bm25Config);

impl Component for Bm25 {
    type Config = Bm25Config;
    const NAME: &'static str = "bm25";
    const SUMMARY: &'static str =
        "shared words, weighed by their rarity: BM25 as Lucene computes it";

    fn check(options: &Bm25Config) -> Result<()> {
        let out_of = |name: &str, value: f64, low: f64, high: f64| {
            let message = format!("`{name}` must be from {low} to {high} ({name}: {value})");
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::option_at(name, message))
            }
        };
        out_of("k1", options.k1(), 0.0, 100.0)?;
        out_of("b", options.b(), 0.0, 1.0)?;
        out_of("index_memory_mb", options.index_memory_mb as f64, 15.0, 4000.0)
    }

    fn new(_ctx: &Context<'_>, config: Bm25Config, _children: Children) -> Result<Self> {
        Ok(Self(config))
    }
}

impl Retriever for Bm25 {
    fn phases(&self, ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        check_not_empty(pool)?;
        // Postings and statistics know nothing of `k1` and `b`, which act in a search: another
        // value finds its index ready.
        let fingerprint = json!({
            "analyzer": analyzer_name(),
            "tantivy": tantivy::INDEX_FORMAT_VERSION,
        });
        let index = Phase {
            name: INDEX.to_owned(),
            artefact: Self::NAME.to_owned(),
            fingerprint: fingerprint.to_string(),
            units: pool.parts(),
            suffix: String::new(),
            threads: 1,
            // Relative to encoding one text for a dense index.
            cost: 0.01 * pool.examples.len() as f64,
            // What it leaves depends on the texts: a measurement tells.
            disk: None,
            memory: Some(self.0.index_memory_mb as u64 * 1_000_000),
            search_memory: Some(search_memory(ctx.threads())),
            ..Phase::default()
        };
        let merge = Phase {
            name: MERGE.to_owned(),
            artefact: format!("{}-statistics", Self::NAME),
            units: 1,
            suffix: STATISTICS.to_owned(),
            cost: 0.01 * pool.parts() as f64,
            disk: Some(100),
            memory: Some(0),
            search_memory: Some(0),
            ..index.clone()
        };
        Ok(vec![index, merge])
    }

    fn run_unit(
        &self,
        ctx: &Context<'_>,
        phase: &str,
        unit: usize,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
        out: &Path,
    ) -> Result<()> {
        match phase {
            INDEX => self.index_unit(ctx, unit, pool, out),
            MERGE => {
                let mut statistics = Statistics::default();
                for segment in open_segments(ctx, pool, dirs)? {
                    statistics.add(&segment);
                }
                statistics.write(out)
            }
            other => Err(Error::new(ErrorKind::Unexpected, "`bm25` has no such phase")
                .with_context("phase", other)),
        }
    }

    fn open(
        &self,
        ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        check_not_empty(pool)?;
        let segments = open_segments(ctx, pool, dirs)?;
        let statistics = Statistics::read(&dirs.get(MERGE)?.join(part_name(0, STATISTICS)))?;
        statistics.check(&segments)?;
        let similarity = Similarity::new(&self.0, &statistics);
        Ok(Box::new(Bm25Searcher::new(segments, similarity, self.0.query_text)))
    }

    /// `analyze`: the terms of texts, as the index has them.
    fn call(&self, _ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        if name != ANALYZE {
            return Err(Error::unknown_call(name));
        }
        let request: Analyze =
            serde_json::from_str(json).or_error(ErrorKind::Data, "`analyze` wants `texts`")?;
        let analyzer = Analyzer::new();
        let terms_of = |text: &String| {
            let mut terms = Vec::new();
            analyzer.for_each_term(text, |term| terms.push(term.to_owned()));
            terms
        };
        let terms: Vec<Vec<String>> = request.texts.iter().map(terms_of).collect();
        Ok(json!({ "terms": terms }).to_string())
    }
}

/// What `analyze` is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Analyze {
    texts: Vec<String>,
}

impl Bm25 {
    fn index_unit(
        &self,
        ctx: &Context<'_>,
        unit: usize,
        pool: &Pool<'_>,
        out: &Path,
    ) -> Result<()> {
        let rows = pool.rows_of_part(unit);
        let mut writer = UnitWriter::create(out, self.0.index_memory_mb * 1_000_000)?;
        for first in rows.clone().step_by(CHUNK) {
            ctx.check()?;
            let positions: Vec<_> = (first..rows.end.min(first + CHUNK)).collect();
            for (row, input) in positions.iter().zip(pool.examples.inputs(&positions)?) {
                writer.add(*row, &input)?;
            }
            ctx.progress(first + positions.len() - rows.start, rows.len(), "rows");
        }
        writer.finish()
    }
}

fn open_segments(ctx: &Context<'_>, pool: &Pool<'_>, dirs: &PhaseDirs) -> Result<Vec<Segment>> {
    let open = |part| {
        ctx.check()?;
        let dir = dirs.get(INDEX)?.join(part_name(part, ""));
        let segment = Segment::open(&segment_dir(&dir))?;
        let wanted = pool.rows_of_part(part).len();
        if segment.len() == wanted {
            return Ok(segment);
        }
        Err(Error::new(ErrorKind::Data, "the index has another number of rows than its part")
            .with_context("folder", dir.display())
            .with_context("found", segment.len())
            .with_context("wanted", wanted)
            .with_hint("remove the folder: the next run builds it again"))
    };
    (0..pool.parts()).map(open).collect()
}

/// What a thread needs for a group of queries: sums, and where each of their terms is being read.
fn search_memory(threads: usize) -> u64 {
    (threads * (Window::BYTES + TERMS * Cursors::BYTES)) as u64
}

fn check_not_empty(pool: &Pool<'_>) -> Result<()> {
    if pool.examples.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the pool is empty: nothing can be indexed",
        )
        .with_hint("look at the pool's sources and their `limit`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use deft_core::NoServices;

    use super::*;
    use crate::config::{Preset, QueryText};
    use crate::testing::{Host, pool_of};

    fn phases_of(config: Bm25Config, rows: usize) -> Result<Vec<Phase>> {
        let texts = vec!["a text"; rows];
        let examples = pool_of(&texts);
        let pool = Pool { examples: &examples, rows_per_part: 4 };
        Bm25(config).phases(&Context::new(&NoServices, 0, 1), &pool)
    }

    #[test]
    fn a_unit_per_part_and_one_for_the_statistics() {
        let phases = phases_of(Bm25Config::default(), 10).expect("phases");
        let seen: Vec<_> = phases.iter().map(|p| (p.name.as_str(), p.units, p.threads)).collect();
        assert_eq!(seen, [("index", 3, 1), ("merge", 1, 1)]);
    }

    #[test]
    fn parameters_of_the_search_leave_the_index_as_it_is() {
        let other = Bm25Config {
            preset: Preset::Lucene,
            k1: Some(1.2),
            b: Some(0.75),
            query_text: QueryText::Paper,
            index_memory_mb: 100,
        };
        let prints = |config| -> Vec<String> {
            let phases = phases_of(config, 10).expect("phases");
            phases.into_iter().map(|phase| phase.fingerprint).collect()
        };
        assert_eq!(prints(Bm25Config::default()), prints(other));
    }

    #[test]
    fn an_empty_pool_is_an_error() {
        let error = phases_of(Bm25Config::default(), 0).expect_err("nothing to index");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let default = Bm25Config::default;
        let table = [
            ("k1", Bm25Config { k1: Some(-0.1), ..default() }),
            ("k1", Bm25Config { k1: Some(f64::NAN), ..default() }),
            ("b", Bm25Config { b: Some(1.5), ..default() }),
            ("index_memory_mb", Bm25Config { index_memory_mb: 14, ..default() }),
        ];
        for (name, config) in table {
            assert_eq!(Bm25::check(&config).expect_err(name).option(), Some(name));
        }
        Bm25::check(&default()).expect("the defaults are in range");
    }

    #[test]
    fn a_part_that_needs_more_memory_than_it_has_still_becomes_one_segment() {
        // No two words are the same: 300,000 of them do not fit the smallest budget.
        let texts: Vec<String> = (0..100_000)
            .map(|row| [0, 1, 2].map(|i| format!("word{}", row * 3 + i)).join(" "))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let small = Bm25Config { index_memory_mb: 15, ..Bm25Config::default() };
        let host = Host::prepared(small, &texts, 100_000);
        let unit = host.dir(INDEX).join(part_name(0, ""));
        let entries = std::fs::read_dir(&unit).expect("the unit's folder").count();
        assert_eq!(entries, 1, "only the merged segment is left");
        // tantivy notes in an index what was merged into it.
        let meta =
            std::fs::read_to_string(segment_dir(&unit).join("meta.json")).expect("its notes");
        assert!(meta.contains("Merge"), "there was nothing to merge: {meta}");
        let found = host.retrieve(&["word0 word299999"], 10, 1);
        assert_eq!(found[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 99_999]);
    }

    #[test]
    fn a_damaged_part_is_an_error_that_names_its_folder() {
        let host = Host::prepared(Bm25Config::default(), &["one", "two", "three"], 2);
        let unit = segment_dir(&host.dir(INDEX).join(part_name(1, "")));
        std::fs::write(unit.join("meta.json"), "{").expect("damaged");
        let error = host.open().err().expect("damaged");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("part-00001"), "{error}");
    }

    #[test]
    fn an_index_of_another_pool_is_refused() {
        let mut host = Host::prepared(Bm25Config::default(), &["one", "two", "three"], 4);
        host.examples.pop();
        let error = host.open().err().expect("a row less");
        assert_eq!((error.context("found"), error.context("wanted")), (Some("3"), Some("2")));
    }

    #[test]
    fn an_index_of_another_version_of_the_analyser_is_refused_with_both_names() {
        let host = Host::prepared(Bm25Config::default(), &["one", "two"], 2);
        let meta = segment_dir(&host.dir(INDEX).join(part_name(0, ""))).join("meta.json");
        let text = std::fs::read_to_string(&meta).expect("its notes");
        let other = text.replace(&analyzer_name(), "lucene_english_0");
        assert_ne!(text, other, "the notes name the analyser");
        std::fs::write(&meta, other).expect("written");
        let error = host.open().err().expect("other terms");
        let named = (error.context("found"), error.context("wanted"));
        assert_eq!(named, (Some("lucene_english_0"), Some(analyzer_name().as_str())));
        assert!(error.to_string().contains("part-00000"), "{error}");
    }

    #[test]
    fn statistics_of_another_pool_are_refused() {
        let host = Host::prepared(Bm25Config::default(), &["one", "two three"], 2);
        let file = host.dir(MERGE).join(part_name(0, STATISTICS));
        Statistics { documents: 2, terms: 4 }.write(&file).expect("written");
        let error = host.open().err().expect("others");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.context("terms of the index"), Some("3"));
    }

    #[test]
    fn a_file_of_the_index_that_is_cut_or_gone_is_an_error() {
        let texts: Vec<String> = (0..300).map(|row| format!("all word{row}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut damaged = 0;
        for kind in ["term", "idx", "fieldnorm", "fast"] {
            let host = Host::prepared(Bm25Config::default(), &texts, 1000);
            let dir = segment_dir(&host.dir(INDEX).join(part_name(0, "")));
            for entry in std::fs::read_dir(dir).expect("the segment") {
                let path = entry.expect("an entry").path();
                if path.extension().is_some_and(|extension| extension == kind) {
                    let bytes = std::fs::read(&path).expect("a file");
                    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
                    assert_eq!(host.open().err().expect(kind).kind(), ErrorKind::Data);
                    std::fs::remove_file(&path).expect("gone");
                    assert_eq!(host.open().err().expect(kind).kind(), ErrorKind::Data);
                    damaged += 1;
                }
            }
        }
        assert_eq!(damaged, 4);
    }

    #[test]
    fn the_terms_of_texts_can_be_asked_for() {
        let bm25 = Bm25(Bm25Config::default());
        let ctx = Context::new(&NoServices, 0, 1);
        let answer = bm25.call(&ctx, ANALYZE, r#"{"texts": ["The cats", ""]}"#).expect("terms");
        assert_eq!(answer, r#"{"terms":[["cat"],[]]}"#);
        let error = bm25.call(&ctx, ANALYZE, r#"{"text": "cats"}"#).expect_err("no texts");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}
