//! How much of the nearest a search finds: measured for some queries, and what comes of it.

use std::collections::BTreeMap;

use deft_core::metrics::Metric;
use deft_core::{Error, ErrorKind, Fingerprint, Hits, Judgement, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Run;
use super::outputs::Outputs;
use super::retrieve::{Queries, Search};
use crate::manifest::{Policy, Selection};
use crate::recall::{HitsFrom, Judged, Known, Measurement, Overlap, Recall, interval};
use crate::selection::{self, QueryHits, choose_queries};
use crate::store;

/// Queries that are compared with the pool in one call: one pass over it.
const JUDGED_AT_ONCE: usize = 1024;

/// The file in an arm's folder.
const FILE: &str = "recall.json";

/// What is known of what an arm's search for a task misses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmRecall {
    /// The task.
    pub task: String,
    /// The arm.
    pub arm: String,
    /// What is known.
    #[serde(flatten)]
    pub recall: Recall,
}

/// What a search missed, as the card of the last phase's stage says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CardRecall {
    /// Of everything that was measured: a later measurement of the same replaces it.
    fingerprint: String,
    task: String,
    /// With the options that act in a search alone.
    retriever: Value,
    k: usize,
    queries: usize,
    recall: Metric,
    truth: String,
    selection: Overlap,
}

impl CardRecall {
    /// Adds it to the list `measured` of a card, in an order that no run can change.
    fn add_to(self, card: &mut Map<String, Value>) {
        let list = card.entry("measured").or_insert_with(|| json!([]));
        let before: Vec<Self> = serde_json::from_value(list.take()).unwrap_or_default();
        let of = |one: Self| ((one.task.clone(), one.fingerprint.clone()), one);
        let all: BTreeMap<_, _> = before.into_iter().chain([self]).map(of).collect();
        *list = json!(all.into_values().collect::<Vec<_>>());
    }
}

impl Run {
    /// What was measured of a search before, if that is up to date.
    pub(super) fn known_recall(&self, search: &Search<'_>, outputs: &Outputs) -> Option<Recall> {
        let is_current = outputs.has("recall", &self.recall_fingerprint(search));
        is_current.then(|| store::read_json(&search.dir.join(FILE))).flatten()
    }

    fn recall_fingerprint(&self, search: &Search<'_>) -> String {
        let selection = self.manifest.selection_of(search.arm);
        let union_of = union_size(selection, search.rows);
        let size = union_of.map(|size| size.to_string()).unwrap_or_default();
        Fingerprint::new()
            .with(&search.fingerprint)
            .with(format!("{} {} {size}", selection.recall_queries, selection.neighbors))
            .short()
    }

    /// Holds some of the queries' hits against the nearest of all, and writes down what is missed;
    /// `None` where nothing is to be measured, or there is no query.
    pub(super) fn measure(
        &self,
        search: &Search<'_>,
        queries: &Queries<'_>,
        found: &[QueryHits],
        outputs: &mut Outputs,
    ) -> Result<Option<Recall>> {
        let selection = self.manifest.selection_of(search.arm);
        let (count, seed) = (selection.recall_queries, self.manifest.seed);
        if count == 0 || found.is_empty() {
            // What lies there is about other hits.
            outputs.forget(&["recall"])?;
            return store::remove_if_there(&search.dir.join(FILE)).map(|()| None);
        }
        let fingerprint = self.recall_fingerprint(search);
        outputs.begin("recall", &fingerprint)?;
        let services = self.services(&format!("measure the recall for {}", search.task.name));
        let ctx = services.context(seed);
        let queries = Queries { ctx: &ctx, ..*queries };
        let depth = selection::depth(found, union_size(selection, search.rows));
        let known = queries.measure(found, count, depth, seed)?;
        let mut recall = Recall { k: queries.k, known, hits: HitsFrom::Search };
        if selection.scanned_below().is_some_and(|least| recall.is_below(least)) {
            recall.hits = HitsFrom::Scan;
        }
        store::write_json(&search.dir.join(FILE), &recall)?;
        outputs.note("recall", &fingerprint)?;
        if let Known::Approximate(measured) = &recall.known {
            self.note_in_card(search, &fingerprint, measured, queries.k)?;
        }
        Ok(Some(recall))
    }

    /// Adds what was measured to the card of the stage that was searched. A store that cannot be
    /// written to can be searched all the same.
    fn note_in_card(
        &self,
        search: &Search<'_>,
        fingerprint: &str,
        measured: &Measurement,
        k: usize,
    ) -> Result<()> {
        let Some((_, stage)) = search.prepared.phases.last() else { return Ok(()) };
        let retriever = search.prepared.plan.completed();
        let fingerprint = Fingerprint::new().with(fingerprint).with(retriever.to_string()).short();
        let noted = CardRecall {
            fingerprint,
            task: search.task.name.clone(),
            retriever,
            k,
            queries: measured.queries,
            recall: measured.recall.clone(),
            truth: measured.truth.clone(),
            selection: measured.selection,
        };
        let services = self.services("wait");
        let ctx = services.context(self.manifest.seed);
        match stage.amend_card("notes the recall", &ctx, |card| noted.add_to(card)) {
            Err(error) if error.kind() == ErrorKind::Io => {
                log::debug!("the recall is not noted in {}: {error}", stage.dir().display());
                Ok(())
            }
            amended => amended,
        }
    }

    /// The nearest of every query, in place of hits that miss too much.
    pub(super) fn scan(
        &self,
        search: &Search<'_>,
        queries: &Queries<'_>,
        found: &[QueryHits],
    ) -> Result<Vec<QueryHits>> {
        let count = queries.texts.len();
        log::info!("{}: {count} queries are compared with the whole pool", search.name());
        let services = self.services(&format!("scan the pool for {}", search.task.name));
        let ctx = services.context(self.manifest.seed);
        let places: Vec<usize> = (0..count).collect();
        match (Queries { ctx: &ctx, ..*queries }).judge(found, &places)? {
            (Judgement::Compared { .. }, judged) => Ok(judged.nearest),
            _ => Err(Error::new(
                ErrorKind::Plugin,
                "a searcher that had looked for the nearest of some queries does so no more",
            )),
        }
    }

    /// Accepts hits that are there already, or refuses those that miss too much: the next run then makes
    /// them anew, as options that act in a search alone may have changed.
    pub(super) fn accept(
        &self,
        search: &Search<'_>,
        recall: Option<Recall>,
        outputs: &mut Outputs,
    ) -> Result<Option<Recall>> {
        if let Some(recall) = &recall {
            log::info!("{}: {}", search.name(), recall.line());
        }
        if let Err(refused) = self.check_recall(search, recall.as_ref()) {
            outputs.forget(&["hits", "recall"])?;
            return Err(refused);
        }
        Ok(recall)
    }

    /// Refuses a search that misses too much, or of which that is not known.
    pub(super) fn check_recall(&self, search: &Search<'_>, recall: Option<&Recall>) -> Result<()> {
        let selection = self.manifest.selection_of(search.arm);
        let (Some(least), Some(recall)) = (selection.min_recall, recall) else { return Ok(()) };
        let refused = match &recall.known {
            Known::Unknown => unknown(search.prepared.plan.name(), least),
            Known::Approximate(measured)
                if recall.hits == HitsFrom::Search && recall.is_below(least) =>
            {
                too_low(recall.k, measured, least)
            }
            _ => return Ok(()),
        };
        let refused =
            refused.with_context("task", &search.task.name).with_context("arm", search.arm);
        let option = format!("{}.min_recall", self.manifest.selection_path(search.arm));
        Err(self.at_option(refused, &option))
    }
}

/// The size that a union is cut to. Other policies choose among all hits: their unions are compared.
fn union_size(selection: &Selection, rows: usize) -> Option<usize> {
    selection.examples(rows).filter(|_| selection.policy == Policy::Union)
}

fn too_low(k: usize, measured: &Measurement, least: f64) -> Error {
    let Measurement { recall, truth, queries, .. } = measured;
    let message = format!(
        "the search misses too much: recall@{k} is {:.3}, and `min_recall` is {least}",
        recall.value
    );
    Error::new(ErrorKind::Unsupported, message)
        .with_context("recall", interval(recall))
        .with_context("queries measured", queries)
        .with_context("truth", format!("a scan of {truth}"))
        .with_hint(
            "search deeper (`ef_search`, `nprobe`, `refine`), take another index (`factory: auto`, or \
             `exact`), let `below_min_recall: exact` compare every query with the whole pool, or \
             ask for less; what was built stays, and the next run searches anew",
        )
}

fn unknown(retriever: &str, least: f64) -> Error {
    let message = format!(
        "`min_recall` is {least}, and retriever `{retriever}` does not say what its search misses"
    );
    Error::new(ErrorKind::Unsupported, message).with_hint(
        "leave `min_recall` out, or take a retriever that can measure it, as `dense` does where \
             its vectors are kept",
    )
}

impl Queries<'_> {
    /// What the hits of `count` of the queries, drawn by `seed`, say of the search.
    fn measure(&self, found: &[QueryHits], count: usize, depth: usize, seed: u64) -> Result<Known> {
        let mut places = choose_queries(found.len(), count, seed);
        places.sort_unstable();
        let (judgement, judged) = self.judge(found, &places)?;
        Ok(match judgement {
            Judgement::Exact => Known::Exact,
            Judgement::Unknown => Known::Unknown,
            Judgement::Compared { truth } => {
                let truth = deft_core::excerpt(&truth);
                Known::Approximate(judged.measure(truth, depth, seed)?)
            }
        })
    }

    /// Lets the searcher judge the hits of the queries at these places.
    fn judge(&self, found: &[QueryHits], places: &[usize]) -> Result<(Judgement, Judged)> {
        let mut judged = Judged::default();
        let mut judgement = Judgement::Unknown;
        for places in places.chunks(JUDGED_AT_ONCE) {
            self.ctx.check()?;
            let texts: Vec<&str> = places.iter().map(|&place| self.texts[place]).collect();
            let (mut given, mut nearest) =
                (Hits::new(texts.len(), self.k), Hits::new(texts.len(), self.k));
            for (query, &place) in places.iter().enumerate() {
                given.as_mut().set(query, &mut found[place].clone());
            }
            judgement = self.searcher.judge(self.ctx, &texts, given.as_mut(), nearest.as_mut())?;
            if !matches!(judgement, Judgement::Compared { .. }) {
                return Ok((judgement, Judged::default()));
            }
            judged.queries.extend(places.iter().map(|&place| self.positions[place]));
            let lists = |hits: &Hits| -> Vec<QueryHits> {
                (0..texts.len()).map(|query| hits.of_query(query).collect()).collect()
            };
            judged.found.extend(lists(&given));
            judged.nearest.extend(lists(&nearest));
        }
        Ok((judgement, judged))
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
