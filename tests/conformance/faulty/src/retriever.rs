//! Retriever `faulty`: shared words, from lists of words by part and a folder of their counts, each
//! file with a checksum.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deft_core::prelude::*;
use deft_core::{Hit, part_name};

use crate::config::{Calls, Config, EVER};
use crate::words::words;

const PARTS: &str = "parts";
const COUNTS: &str = "counts";
const COUNT: &str = "count.json";
const SUFFIX: &str = ".json";

type Words = BTreeSet<String>;

#[derive(Debug)]
pub(crate) struct FaultyRetriever {
    config: Config,
    calls: Arc<Calls>,
    /// Units that were begun, and the parts that were indexed: faults remember them.
    begun: Mutex<Vec<usize>>,
}

impl Component for FaultyRetriever {
    type Config = Config;
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "shared words, with a fault";

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: Config, _children: Children) -> Result<Self> {
        Ok(Self { config, calls: Arc::default(), begun: Mutex::default() })
    }
}

impl Retriever for FaultyRetriever {
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        self.config.answer(name)
    }

    fn phases(&self, _ctx: &Context<'_>, pool: &Pool<'_>) -> Result<Vec<Phase>> {
        if pool.examples.is_empty() {
            let is_fault = self.config.has("empty_pool");
            let kind = if is_fault { ErrorKind::Unexpected } else { ErrorKind::Unsupported };
            return Err(Error::new(kind, "the pool is empty"));
        }
        let salt = if self.config.has("phases") { EVER.count() } else { 0 };
        let parts = Phase {
            name: PARTS.to_owned(),
            artefact: "faulty".to_owned(),
            fingerprint: format!("words {salt}"),
            units: pool.parts(),
            suffix: SUFFIX.to_owned(),
            threads: 1,
            cost: 1.0,
        };
        let name = COUNTS.to_owned();
        Ok(vec![parts.clone(), Phase { name, units: 1, suffix: String::new(), ..parts }])
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
        if phase == COUNTS {
            self.config.look(ctx)?;
            let parts = self.read_parts(pool, dirs)?;
            std::fs::create_dir(out).or_io("cannot make the unit's folder", out)?;
            return write(&out.join(COUNT), &parts.iter().map(Vec::len).sum::<usize>());
        }
        let mut rows = pool.rows_of_part(unit);
        let is_disturbed = self.config.has("at_once") && self.calls.overlapped();
        if is_disturbed || self.remembers_wrongly(unit, pool) {
            rows.start += 1;
        }
        let mut part = Vec::new();
        for row in rows {
            self.config.look(ctx)?;
            let input = pool.examples.inputs(&[row])?.remove(0);
            assert!(!self.config.has("odd_pool") || !input.is_empty(), "an empty text");
            part.push(words(&input).map(str::to_owned).collect::<Words>());
        }
        if self.config.has("own_files") {
            write(&out.with_extension("log"), &part.len())?;
        }
        write(out, &part)
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        pool: &Pool<'_>,
        dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        let has = |fault| self.config.has(fault);
        let mut parts = match self.read_parts(pool, dirs) {
            // A fault: what cannot be read is not missed.
            Err(_) if has("damaged") => Vec::new(),
            parts => parts?,
        };
        let _: usize = self.read(&dirs.get(COUNTS)?.join(part_name(0, "")).join(COUNT))?;
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if has("elsewhere") && begun.is_empty() {
            // What this instance has not made, it does not know.
            parts.truncate(1);
        }
        if has("pool_sizes") && !pool.examples.len().is_multiple_of(pool.rows_per_part) {
            parts.pop();
        }
        let texts: Vec<Words> = parts.into_iter().flatten().collect();
        let (config, calls) = (self.config.clone(), Arc::clone(&self.calls));
        Ok(Box::new(Overlap { config, calls, texts }))
    }
}

impl FaultyRetriever {
    /// Whether a fault makes of what was done before that this unit is done otherwise.
    fn remembers_wrongly(&self, unit: usize, pool: &Pool<'_>) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let is_again = begun.contains(&unit);
        let is_first = begun.is_empty();
        begun.push(unit);
        match self.config.fault.as_str() {
            "unit_order" => is_first && unit + 1 == pool.parts() && unit > 0,
            "unit_again" | "interrupted" => is_again,
            _ => false,
        }
    }

    fn read_parts(&self, pool: &Pool<'_>, dirs: &PhaseDirs) -> Result<Vec<Vec<Words>>> {
        let dir = dirs.get(PARTS)?;
        (0..pool.parts()).map(|part| self.read(&dir.join(part_name(part, SUFFIX)))).collect()
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, path: &Path) -> Result<T> {
        let text = std::fs::read_to_string(path).or_io("cannot read the unit", path)?;
        let (sum, content) = text.split_once('\n').unwrap_or_default();
        if sum != checksum(content) && !self.config.has("damaged_bits") {
            return Err(Error::new(ErrorKind::Data, "the unit is damaged")
                .with_context("file", path.display()));
        }
        serde_json::from_str(content).or_error(ErrorKind::Data, "the unit is damaged")
    }
}

fn write(path: &Path, content: &impl Serialize) -> Result<()> {
    // A closing line feed would be a byte that nobody misses.
    let text = serde_json::json!(content).to_string();
    std::fs::write(path, format!("{}\n{text}", checksum(&text)))
        .or_io("cannot write the unit", path)
}

fn checksum(text: &str) -> String {
    Fingerprint::new().with(text).short()
}

struct Overlap {
    config: Config,
    calls: Arc<Calls>,
    texts: Vec<Words>,
}

impl Searcher for Overlap {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        let has = |fault| self.config.has(fault);
        if has("k_beyond_pool") && hits.k() > self.texts.len() {
            return Err(Error::new(ErrorKind::Unsupported, "there are not so many examples"));
        }
        let is_disturbed = has("concurrent") && self.calls.overlapped();
        for (number, query) in queries.iter().enumerate() {
            self.config.look(ctx)?;
            assert!(!has("odd_queries") || !query.is_empty(), "an empty query");
            let asked = if has("queries") { queries[number.saturating_sub(1)] } else { *query };
            let mut found = self.scan(asked, hits.k());
            if is_disturbed || has("threads") && ctx.threads() > 2 {
                found.pop();
            }
            hits.set(number, &mut found);
        }
        Ok(())
    }

    fn judge(
        &self,
        ctx: &Context<'_>,
        queries: &[&str],
        mut found: HitsMut<'_>,
        mut nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        for (number, query) in queries.iter().enumerate() {
            self.config.look(ctx)?;
            let all = self.scan(query, self.texts.len());
            let is_found = |hit: &&Hit| found.of_query(number).any(|found| found.id == hit.id);
            let mut scored: Vec<Hit> = all.iter().filter(is_found).copied().collect();
            let mut best = all.clone();
            if self.config.has("judged") {
                best.retain(|hit| hit.id % 3 > 0);
            }
            if self.config.has("judged_alone") && queries.len() > 1 {
                best.sort_by(Hit::rank_order);
                best.remove(0);
            }
            found.set(number, &mut scored);
            nearest.set(number, &mut best);
        }
        Ok(Judgement::Compared { truth: "words".to_owned() })
    }
}

impl Overlap {
    /// Every text by the share of words that it has in common with the query.
    fn scan(&self, query: &str, k: usize) -> Vec<Hit> {
        let query: Words = words(query).map(str::to_owned).collect();
        let score = |text: &Words| {
            let all = text.union(&query).count().max(1) as f32;
            let share = text.intersection(&query).count() as f32 / all;
            if self.config.has("finds") { 1.0 - share } else { share }
        };
        let texts = self.texts.iter().enumerate();
        let hit = |(row, text): (usize, &Words)| Hit { id: row as u64, score: score(text) };
        let mut found: Vec<Hit> = texts.map(hit).collect();
        match self.config.fault.as_str() {
            "hits" => found.iter_mut().for_each(|hit| hit.id = 0),
            "ties" => {
                found.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.id.cmp(&a.id)));
                found.truncate(k);
            }
            _ => {}
        }
        found
    }
}
