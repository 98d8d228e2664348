//! The component and its phases.

use std::path::Path;

use deft_core::part_name;
use deft_core::prelude::*;
use serde_json::json;

use crate::analyzer::Analyzer;
use crate::card::{self, Card};
use crate::config::Bm25Config;
use crate::group::TERMS;
use crate::parts;
use crate::search::Bm25Searcher;
use crate::segment::analyzer_name;
use crate::similarity::Similarity;
use crate::statistics::Statistics;
use crate::window::{Cursors, Window};
use crate::writer::UnitWriter;

/// The phase that indexes the pool: a unit per part.
const INDEX: &str = "index";
/// The phase that sums the statistics of all parts.
const MERGE: &str = "merge";
/// The end of the name of the file that it leaves.
const STATISTICS: &str = ".json";

/// The call that tells the terms of texts.
const ANALYZE: &str = "analyze";

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
            "format": card::FORMAT,
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
            // Two sums, and a line for each part.
            disk: Some(100 + 25 * pool.parts() as u64),
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
            MERGE => Statistics::of(&parts::open(ctx, pool, dirs.get(INDEX)?)?).write(out),
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
        let segments = parts::open(ctx, pool, dirs.get(INDEX)?)?;
        let file = dirs.get(MERGE)?.join(part_name(0, STATISTICS));
        let statistics = Statistics::read(&file)?;
        parts::check_together(ctx, pool, &segments, &statistics, &file)?;
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
        let mut writer = UnitWriter::create(out, self.0.index_memory_mb * 1_000_000)?;
        let mut texts = Fingerprint::new();
        parts::for_each_text(ctx, pool, unit, |row, text| {
            texts.add(text.as_bytes());
            writer.add(row, text)
        })?;
        writer.finish()?;
        let rows = pool.rows_of_part(unit);
        Card::new(&rows, parts::ends(pool, &rows)?, texts.short()).write(ctx, out)
    }
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
    use crate::writer::segment_dir;

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
        let unit = host.unit(0);
        let entries = std::fs::read_dir(&unit).expect("the unit's folder").count();
        assert_eq!(entries, 2, "only the card and the merged segment are left");
        // tantivy notes in an index what was merged into it.
        let meta =
            std::fs::read_to_string(segment_dir(&unit).join("meta.json")).expect("its notes");
        assert!(meta.contains("Merge"), "there was nothing to merge: {meta}");
        let found = host.retrieve(&["word0 word299999"], 10, 1);
        assert_eq!(found[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 99_999]);
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
