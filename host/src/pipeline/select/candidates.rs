//! From a policy to the examples that are selected, in any order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use deft_core::{Error, Examples as _, Matrix, Result};

use super::super::Run;
use super::super::retrieve::read_hits;
use super::admission::Admission;
use super::nothing_selected;
use crate::manifest::{Policy, Task};
use crate::pool::StoredPool;
use crate::selection::{self, Admit as _, Balanced, QueryHits, Selected, Wanted, read_ids, take};

/// Examples whose provenance is read at once.
const ROWS: usize = 2048;

impl Run {
    /// What the arm's policy selects of what is admitted.
    pub(super) fn candidates(
        &mut self,
        task: &Task,
        arm: &str,
        pool: &StoredPool,
        sizes: &BTreeMap<&str, usize>,
        admission: &mut Admission<'_>,
    ) -> Result<Vec<Selected>> {
        let rule = self.manifest.selection_of(arm).clone();
        let seed = self.manifest.seed;
        let wanted = self.wanted(arm, pool, sizes);
        let taken = match rule.policy {
            Policy::All => take(in_pool_order(pool), Wanted::All, pool, admission)?,
            Policy::Ids => {
                let path = self.document.dir().join(rule.ids.unwrap_or_default());
                let ids = read_ids(&path, pool.len())?;
                let order = ids.into_iter().map(Selected::without_evidence);
                take(order, wanted, pool, admission)?
            }
            Policy::Random => {
                let size = if let Wanted::Examples(size) = wanted { size } else { 0 };
                let order = selection::random(pool.len(), size, seed);
                take(order.map(Selected::without_evidence), wanted, pool, admission)?
            }
            Policy::Balanced => {
                let order = self.balanced(pool)?.draw(seed);
                take(order.map(Selected::without_evidence), wanted, pool, admission)?
            }
            policy => {
                let hits = read_hits(&self.arm_dir(task, arm), rule.neighbors)?;
                let taken = self.of_hits(arm, policy, &hits, wanted, pool, admission)?;
                if taken.is_empty() {
                    return Err(nothing_selected(arm, &why_nothing(&hits, admission)));
                }
                taken
            }
        };
        if taken.is_empty() {
            return Err(nothing_selected(
                arm,
                "look at `contamination`, `duplicates` and the sizes",
            ));
        }
        self.tell_if_short(task, arm, wanted, taken.len());
        Ok(taken)
    }

    fn of_hits(
        &mut self,
        arm: &str,
        policy: Policy,
        hits: &[QueryHits],
        wanted: Wanted,
        pool: &StoredPool,
        admission: &mut Admission<'_>,
    ) -> Result<Vec<Selected>> {
        match policy {
            Policy::RoundRobin => {
                take(selection::round_robin(hits).into_iter(), wanted, pool, admission)
            }
            Policy::Frequency => {
                take(selection::frequency(hits).into_iter(), wanted, pool, admission)
            }
            Policy::TopScore => {
                take(selection::top_score(hits).into_iter(), wanted, pool, admission)
            }
            Policy::Coreset => {
                let order = selection::by_rank(hits).into_iter();
                let admitted = take(order, Wanted::All, pool, admission)?;
                let order = self.coreset(arm, &admitted, wanted, pool)?;
                take(order.into_iter(), wanted, pool, &mut Admission::of_all())
            }
            _ => {
                let size = if let Wanted::Examples(size) = wanted { Some(size) } else { None };
                if !admission.looks() {
                    return Ok(selection::union(hits, size));
                }
                let order = selection::by_rank(hits).into_iter();
                let admitted = take(order, Wanted::All, pool, admission)?;
                let admitted: HashSet<u64> = admitted.into_iter().map(|one| one.id).collect();
                let mut hits = hits.to_vec();
                for query in &mut hits {
                    query.retain(|hit| admitted.contains(&hit.id));
                }
                Ok(selection::union(&hits, size))
            }
        }
    }

    /// How much the arm asks for.
    fn wanted(&self, arm: &str, pool: &StoredPool, sizes: &BTreeMap<&str, usize>) -> Wanted {
        let rule = self.manifest.selection_of(arm);
        if let Some(words) = rule.target_words {
            return Wanted::TargetWords(words as u64);
        }
        // The arm named by `same_as` comes first in the order.
        let other = rule.same_as.as_deref().and_then(|other| sizes.get(other)).copied();
        rule.examples(pool.len()).or(other).map_or(Wanted::All, Wanted::Examples)
    }

    /// The examples by data set and template.
    fn balanced(&self, pool: &StoredPool) -> Result<Balanced> {
        let services = self.services("look at the pool's data sets");
        let ctx = services.context(self.manifest.seed);
        let mut balanced = Balanced::default();
        for first in (0..pool.len()).step_by(ROWS) {
            ctx.check()?;
            let rows: Vec<usize> = (first..pool.len().min(first + ROWS)).collect();
            for (id, example) in (first as u64..).zip(pool.get(&rows)?) {
                balanced.add(id, &example.provenance);
            }
            ctx.progress(rows.len() + first, pool.len(), "examples");
        }
        Ok(balanced)
    }

    /// The candidates that k-means++ draws of their vectors.
    fn coreset(
        &mut self,
        arm: &str,
        candidates: &[Selected],
        wanted: Wanted,
        pool: &StoredPool,
    ) -> Result<Vec<Selected>> {
        let vectors = self.open_phases(arm, pool)?.vectors()?.ok_or_else(|| {
            Error::option_at(
                format!("{}.policy", self.manifest.selection_path(arm)),
                "policy `coreset` needs vectors, and the arm's retriever keeps none",
            )
            .with_hint("take retriever `dense` with `vectors: f16`, `f32` or `int8`")
        })?;
        let ids: Vec<u64> = candidates.iter().map(|one| one.id).collect();
        let mut numbers = Vec::new();
        vectors.read_rows(&ids, &mut numbers)?;
        let numbers = Matrix::new(&numbers, vectors.dimension())?;
        let count = if let Wanted::Examples(size) = wanted { size } else { candidates.len() };
        let drawn = selection::coreset(numbers, count, self.manifest.seed);
        Ok(drawn.into_iter().map(|place| candidates[place].clone()).collect())
    }

    fn tell_if_short(&self, task: &Task, arm: &str, wanted: Wanted, taken: usize) {
        let Wanted::Examples(size) = wanted else { return };
        let policy = self.manifest.selection_of(arm).policy;
        if taken < size && policy != Policy::Union {
            let name = &task.name;
            log::warn!("{name}/{arm}: {size} examples are wanted, and there are {taken} to select");
        }
    }
}

fn in_pool_order(pool: &StoredPool) -> impl Iterator<Item = Selected> {
    (0..pool.len() as u64).map(Selected::without_evidence)
}

/// Explains an empty selection of hits: no hits at all, none admitted, or more first hits than may be
/// selected.
fn why_nothing(hits: &[QueryHits], admission: &Admission<'_>) -> String {
    let first: BTreeSet<u64> = hits.iter().filter_map(|hits| Some(hits.first()?.id)).collect();
    if first.is_empty() {
        return "no query has a hit: look at the queries with `deft read`".to_owned();
    }
    if admission.dropped.contaminated > 0 {
        let count = admission.dropped.contaminated;
        return format!(
            "{count} hits contain an evaluation input: is the pool the task itself? \
             `contamination: keep` takes them all the same"
        );
    }
    let count = first.len();
    format!("the queries have {count} different first hits: raise `size` to that")
}
