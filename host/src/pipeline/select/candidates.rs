//! From a policy to the examples that are selected, in any order.

use std::collections::{BTreeSet, HashSet};

use deft_core::{Context, Examples as _, Matrix, Result};

use super::super::Run;
use super::super::retrieve::read_hits;
use super::admission::Admission;
use super::{Case, nothing_selected};
use crate::manifest::Policy;
use crate::pool::StoredPool;
use crate::selection::{self, Admit as _, Balanced, QueryHits, Selected, Wanted, read_ids, take};

/// Takes examples of the pool that are admitted.
struct Taker<'a, 'b> {
    pool: &'a StoredPool,
    ctx: Context<'a>,
    wanted: Wanted,
    admission: &'a mut Admission<'b>,
    /// Different first hits that a union had, of those admitted, where its size is too small for them.
    first_hits: usize,
}

impl Taker<'_, '_> {
    /// As many as are wanted, in this order.
    fn take(&mut self, order: impl IntoIterator<Item = Selected>) -> Result<Vec<Selected>> {
        take(order.into_iter(), self.wanted, self.pool, &self.ctx, self.admission)
    }

    /// The same of examples for which nothing speaks but the policy.
    fn take_ids(&mut self, order: impl IntoIterator<Item = u64>) -> Result<Vec<Selected>> {
        self.take(order.into_iter().map(Selected::without_evidence))
    }

    /// All that are admitted of the hits, however many are wanted: the nearest are asked first.
    fn take_hits(&mut self, hits: &[QueryHits]) -> Result<Vec<Selected>> {
        let order = selection::by_rank(hits).into_iter();
        take(order, Wanted::All, self.pool, &self.ctx, self.admission)
    }

    /// A union that is cut by the ranks of those that are admitted.
    fn union(&mut self, mut hits: Vec<QueryHits>) -> Result<Vec<Selected>> {
        let size = if let Wanted::Examples(size) = self.wanted { Some(size) } else { None };
        if self.admission.looks() {
            let admitted: HashSet<u64> =
                self.take_hits(&hits)?.into_iter().map(|one| one.id).collect();
            for query in &mut hits {
                query.retain(|hit| admitted.contains(&hit.id));
            }
        }
        let selected = selection::union(&hits, size);
        if selected.is_empty() {
            self.first_hits = first_hits(&hits);
        }
        Ok(selected)
    }
}

impl Run {
    /// What the arm's policy selects of what is admitted.
    pub(super) fn candidates(
        &mut self,
        case: Case<'_>,
        admission: &mut Admission<'_>,
    ) -> Result<Vec<Selected>> {
        let Case { task, arm, pool, .. } = case;
        let rule = self.manifest.selection_of(arm).clone();
        let (rows, seed) = (pool.len(), self.manifest.seed);
        let wanted = self.wanted(case);
        let services = self.services(&format!("select for {}", task.name));
        let mut from =
            Taker { pool, ctx: services.context(seed), wanted, admission, first_hits: 0 };
        let taken = match rule.policy {
            Policy::All => from.take_ids(0..rows as u64)?,
            Policy::Ids => {
                let path = self.document.dir().join(rule.ids.unwrap_or_default());
                let ids = read_ids(&path, pool).map_err(|error| {
                    let option = format!("{}.ids", self.manifest.selection_path(arm));
                    self.at_option(error, &option)
                })?;
                from.take_ids(ids)?
            }
            Policy::Random => {
                let size = if let Wanted::Examples(size) = wanted { size } else { 0 };
                from.take_ids(selection::random(rows, size, seed))?
            }
            Policy::Balanced => from.take_ids(balanced(pool, &from.ctx)?.draw(seed))?,
            policy => {
                let hits = read_hits(&self.arm_dir(task, arm), rule.neighbors)?;
                let has_hits = hits.iter().any(|hits| !hits.is_empty());
                let taken = self.of_hits(arm, policy, hits, &mut from)?;
                if taken.is_empty() && !has_hits {
                    let why = "no query has a hit: look at the queries with `deft read`";
                    return Err(nothing_selected(&task.name, arm, why));
                }
                taken
            }
        };
        if taken.is_empty() {
            let why = why_nothing(from.first_hits, rows, from.admission);
            return Err(nothing_selected(&task.name, arm, &why));
        }
        if wanted_more(wanted, rule.policy, &taken, pool)? {
            let said = super::wanted(self.manifest.selection_of(arm)).unwrap_or_default();
            let (name, count) = (&task.name, taken.len());
            log::warn!(
                "{name}/{arm}: `{said}` is wanted, and there are {count} examples to select"
            );
        }
        Ok(taken)
    }

    fn of_hits(
        &mut self,
        arm: &str,
        policy: Policy,
        hits: Vec<QueryHits>,
        from: &mut Taker<'_, '_>,
    ) -> Result<Vec<Selected>> {
        match policy {
            Policy::RoundRobin => from.take(selection::round_robin(&hits)),
            Policy::Frequency => from.take(selection::frequency(&hits)),
            Policy::TopScore => from.take(selection::top_score(&hits)),
            Policy::Coreset => {
                let candidates = from.take_hits(&hits)?;
                self.coreset(arm, &candidates, from)
            }
            _ => from.union(hits),
        }
    }

    /// How much the arm asks for.
    fn wanted(&self, Case { arm, pool, sizes, .. }: Case<'_>) -> Wanted {
        let rule = self.manifest.selection_of(arm);
        if let Some(words) = rule.target_words {
            return Wanted::TargetWords(words as u64);
        }
        // The arm named by `same_as` comes first in the order.
        let other = rule.same_as.as_deref().and_then(|other| sizes.get(other)).copied();
        rule.examples(pool.len()).or(other).map_or(Wanted::All, Wanted::Examples)
    }

    /// The candidates that k-means++ draws of their vectors. Memory: four bytes for each number of
    /// each candidate's vector.
    fn coreset(
        &mut self,
        arm: &str,
        candidates: &[Selected],
        from: &Taker<'_, '_>,
    ) -> Result<Vec<Selected>> {
        let vectors = self.open_phases(arm, from.pool)?.vectors()?;
        let vectors = vectors.ok_or_else(|| self.no_vectors(arm))?;
        let ids: Vec<u64> = candidates.iter().map(|one| one.id).collect();
        let mut numbers = Vec::new();
        vectors.read_rows(&ids, &mut numbers)?;
        let numbers = Matrix::new(&numbers, vectors.dimension())?;
        // Drawing takes its time: Ctrl-C is heard before each draw.
        let order = selection::coreset(numbers, self.manifest.seed)
            .take_while(|_| from.ctx.check().is_ok())
            .map(|place| candidates[place].clone());
        let Taker { pool, ctx, wanted, .. } = from;
        let drawn = take(order, *wanted, *pool, ctx, &mut Admission::of_all())?;
        from.ctx.check().map(|()| drawn)
    }
}

/// Whether there were fewer examples than are wanted. A union's size is the most it may have.
fn wanted_more(
    wanted: Wanted,
    policy: Policy,
    taken: &[Selected],
    pool: &StoredPool,
) -> Result<bool> {
    match wanted {
        Wanted::Examples(size) => Ok(taken.len() < size && policy != Policy::Union),
        Wanted::TargetWords(words) => Ok(selection::target_words(taken, pool)? < words),
        Wanted::All => Ok(false),
    }
}

/// The examples by data set and template.
fn balanced(pool: &StoredPool, ctx: &Context<'_>) -> Result<Balanced> {
    let mut balanced = Balanced::default();
    pool.each_provenance(|id, provenance| {
        balanced.add(id, &provenance);
        ctx.check()
    })?;
    Ok(balanced)
}

/// How many different examples are the first hit of some query.
fn first_hits(hits: &[QueryHits]) -> usize {
    let first: BTreeSet<u64> = hits.iter().filter_map(|hits| Some(hits.first()?.id)).collect();
    first.len()
}

/// Explains an empty selection: more first hits than may be selected, or nothing that is admitted.
fn why_nothing(first_hits: usize, rows: usize, admission: &Admission<'_>) -> String {
    if first_hits > 0 {
        let share = first_hits as f64 / rows as f64;
        return format!(
            "{first_hits} examples are the first hit of some query, and a union takes whole ranks: \
             raise `size` to that, or `share` to {share:.6}"
        );
    }
    let count = admission.dropped.contaminated;
    format!(
        "every candidate was left out, {count} of them because they contain an evaluation input: is \
         the pool the task itself? look at `contamination`, `duplicates` and `max_per_dataset`"
    )
}
