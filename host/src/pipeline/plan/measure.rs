//! The phases of a retriever, and a search, over a few rows: what they take.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deft_core::{
    Context, Example, Hits, Judgement, Phase, PhaseDirs, Pool, Result, ResultExt, Retriever,
    part_name,
};

use super::fit::Fit;
use super::sample::Sample;
use super::watch::Watch;
use crate::machine;
use crate::pipeline::units::threads_of_unit;
use crate::services::HostServices;
use crate::store::bytes_below;

/// Rows of the first trial: whatever is slow shows here.
const FEW: usize = 4;
/// Rows from which on a second trial tells more than the first.
const ENOUGH: usize = 32;
/// Queries that are searched with, and hits of each: few examples have no more.
const QUERIES: usize = 4;
const HITS: usize = 10;
/// Searches, the quickest of which counts: what chance adds to one would be taken to grow with the
/// pool.
const SEARCHES: usize = 4;

/// How measurements are made.
pub(super) struct Meter<'a> {
    pub(super) host: &'a HostServices,
    /// How long one may take.
    pub(super) limit: Duration,
    /// For what they leave; removed in the end.
    pub(super) dir: &'a Path,
    pub(super) seed: u64,
    /// All threads, and those of one process that does units.
    pub(super) threads: usize,
    pub(super) unit_threads: usize,
}

impl Meter<'_> {
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch::begin(self.host, self.limit)
    }

    /// An empty folder.
    pub(super) fn new_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).or_io("cannot make a temporary folder", &dir)?;
        Ok(dir)
    }
}

/// What one unit of a phase took, the search for one query, or its comparison with every example.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Taken {
    /// The phase's cost for a unit, or the rows searched: what the time grows with.
    amount: f64,
    seconds: f64,
    bytes: u64,
    peak: Option<u64>,
}

/// What was measured of one phase, or of the search.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Seconds of a unit by its cost.
    pub(super) time: Option<Fit>,
    /// Bytes that a unit leaves, by its cost.
    pub(super) bytes: Option<Fit>,
    /// Peak memory of the process.
    pub(super) peak: Option<u64>,
    /// Why there is no time.
    pub(super) why: Option<String>,
}

/// A trial: what each phase took, and last the search, as far as it came.
#[derive(Default)]
struct Trial {
    taken: Vec<Taken>,
    /// Why it came no further.
    why: Option<String>,
    seconds: f64,
}

/// Measures a retriever: each of its phases, then a search, and last, where it does not find all, how
/// that is seen.
pub(super) fn retriever(
    meter: &Meter<'_>,
    retriever: &dyn Retriever,
    sample: &Sample,
    queries: &[Example],
) -> Result<Vec<Measured>> {
    let trial = |rows: usize| try_rows(meter, retriever, &sample.take(rows), queries);
    let first = trial(FEW)?;
    let rows = rows_within(first.seconds, meter.limit, sample.examples.len());
    if rows < ENOUGH {
        return Ok(summed_up(&[first]));
    }
    // The first trial warmed up what is made once; it counts no more. One of few rows may come less
    // far than one of more: an index is trained on so many at least.
    Ok(summed_up(&[trial(rows / 4)?, trial(rows)?]))
}

/// The rows that a trial can have, where a few took so long.
fn rows_within(seconds: f64, limit: Duration, available: usize) -> usize {
    let each = seconds / FEW as f64 * 1.25;
    let rows = limit.as_secs_f64() / each.max(1e-6);
    usize::try_from(crate::console::whole_number(rows)).unwrap_or(available).min(available)
}

fn summed_up(trials: &[Trial]) -> Vec<Measured> {
    let longest = trials.iter().map(|trial| trial.taken.len()).max().unwrap_or(0);
    let why = trials.last().and_then(|trial| trial.why.clone());
    let measured = |step: usize| {
        let taken: Vec<Taken> = trials.iter().filter_map(|t| t.taken.get(step).copied()).collect();
        let times: Vec<_> = taken.iter().map(|one| (one.amount, one.seconds)).collect();
        let bytes: Vec<_> = taken.iter().map(|one| (one.amount, one.bytes as f64)).collect();
        Measured {
            time: Fit::of_times(&times),
            bytes: Fit::of_bytes(&bytes),
            peak: taken.iter().filter_map(|one| one.peak).max(),
            why: None,
        }
    };
    let mut all: Vec<Measured> = (0..longest).map(measured).collect();
    all.push(Measured { why, ..Measured::default() });
    all
}

fn try_rows(
    meter: &Meter<'_>,
    retriever: &dyn Retriever,
    examples: &Vec<Example>,
    queries: &[Example],
) -> Result<Trial> {
    let mut trial = Trial::default();
    let watch = meter.watch();
    let done = try_phases(meter, retriever, examples, queries, &watch, &mut trial.taken);
    trial.why = watch.outcome(done)?.err();
    trial.seconds = watch.seconds();
    Ok(trial)
}

fn try_phases(
    meter: &Meter<'_>,
    retriever: &dyn Retriever,
    examples: &Vec<Example>,
    queries: &[Example],
    watch: &Watch<'_>,
    taken: &mut Vec<Taken>,
) -> Result<()> {
    let pool = Pool { examples, rows_per_part: examples.len() };
    let ctx = watch.context(meter.seed, meter.unit_threads);
    let phases = retriever.phases(&ctx, &pool)?;
    let store = meter.new_dir("store")?;
    let dirs = phases.iter().map(|phase| (phase.name.clone(), store.join(&phase.name))).collect();
    let dirs = PhaseDirs::new(dirs);
    for phase in &phases {
        taken.push(try_units(retriever, phase, &ctx, &pool, &dirs)?);
    }
    if queries.is_empty() {
        return Ok(());
    }
    machine::forget_peak();
    let ctx = watch.context(meter.seed, meter.threads);
    let searcher = retriever.open(&ctx, &pool, &dirs)?;
    let texts: Vec<&str> = queries.iter().take(QUERIES).map(|one| one.input.as_str()).collect();
    let k = examples.len().min(HITS);
    let mut hits = Hits::new(texts.len(), k);
    let mut quickest = f64::INFINITY;
    for _ in 0..SEARCHES {
        let began = watch.seconds();
        searcher.retrieve(&ctx, &texts, hits.as_mut())?;
        quickest = quickest.min(watch.seconds() - began);
    }
    let compared_from = watch.seconds();
    let of_query = |seconds: f64| Taken {
        amount: examples.len() as f64,
        seconds: seconds / texts.len() as f64,
        bytes: 0,
        peak: machine::peak_memory(),
    };
    taken.push(of_query(quickest));
    let mut nearest = Hits::new(texts.len(), k);
    let judged = searcher.judge(&ctx, &texts, hits.as_mut(), nearest.as_mut())?;
    if matches!(judged, Judgement::Compared { .. }) {
        taken.push(of_query(watch.seconds() - compared_from));
    }
    Ok(())
}

/// Does all units of a phase; what is told is of one.
fn try_units(
    retriever: &dyn Retriever,
    phase: &Phase,
    ctx: &Context<'_>,
    pool: &Pool<'_>,
    dirs: &PhaseDirs,
) -> Result<Taken> {
    let dir = dirs.get(&phase.name)?;
    std::fs::create_dir_all(dir).or_io("cannot make a temporary folder", dir)?;
    machine::forget_peak();
    let began = std::time::Instant::now();
    for unit in 0..phase.units {
        ctx.check()?;
        let ctx = ctx.with_threads(threads_of_unit(phase, ctx.threads()));
        let out = dir.join(part_name(unit, &phase.suffix));
        retriever.run_unit(&ctx, &phase.name, unit, pool, dirs, &out)?;
    }
    let units = phase.units.max(1) as f64;
    let bytes = bytes_below(dir);
    Ok(Taken {
        amount: phase.cost / units,
        seconds: began.elapsed().as_secs_f64() / units,
        bytes: crate::console::whole_number(bytes as f64 / units),
        peak: machine::peak_memory(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(amount: f64, seconds: f64) -> Taken {
        Taken { amount, seconds, bytes: 8, peak: Some(7) }
    }

    #[test]
    fn a_trial_has_the_rows_that_there_is_time_for() {
        let limit = Duration::from_secs(20);
        assert_eq!(rows_within(1.0, limit, 512), 64);
        assert_eq!(rows_within(0.001, limit, 512), 512);
        assert_eq!(rows_within(0.0, limit, 100), 100);
        assert_eq!(rows_within(200.0, limit, 512), 0);
    }

    #[test]
    fn what_no_trial_came_to_is_told_with_why() {
        let trial = |taken: &[Taken], why: Option<&str>| Trial {
            taken: taken.to_vec(),
            why: why.map(str::to_owned),
            seconds: 0.0,
        };
        let some = trial(&[taken(4.0, 2.0)], None);
        let more = trial(&[taken(8.0, 3.0)], Some("too few rows"));
        let found = summed_up(&[some, more]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].time.unwrap().at(100.0), 26.0);
        assert_eq!((found[0].peak, found[1].peak), (Some(7), None));
        assert_eq!(found[1].why.as_deref(), Some("too few rows"));
    }
}
