use deft_core::{Context, Hit, HitsMut, NoServices, Searcher};

use super::*;

/// Ten examples at the places of their ids on a line; a query's text is its place. What it searches
/// are all but those that it has lost.
struct Line {
    lost: Vec<u64>,
    judgement: Judgement,
}

impl Line {
    fn lossy(lost: &[u64]) -> Self {
        let judgement = Judgement::Compared { truth: "f16 vectors".to_owned() };
        Self { lost: lost.to_vec(), judgement }
    }

    fn all(query: &str) -> Vec<Hit> {
        let place: f32 = query.parse().unwrap();
        (0..10).map(|id| Hit { id, score: -(id as f32 - place).powi(2) }).collect()
    }
}

impl Searcher for Line {
    fn retrieve(&self, _ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        for (number, query) in queries.iter().enumerate() {
            let mut found = Self::all(query);
            found.retain(|hit| !self.lost.contains(&hit.id));
            hits.set(number, &mut found);
        }
        Ok(())
    }

    fn judge(
        &self,
        _ctx: &Context<'_>,
        queries: &[&str],
        mut found: HitsMut<'_>,
        mut nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        if self.judgement == Judgement::Exact || self.judgement == Judgement::Unknown {
            return Ok(self.judgement.clone());
        }
        for (number, query) in queries.iter().enumerate() {
            let mut all = Self::all(query);
            let ids: Vec<u64> = found.of_query(number).map(|hit| hit.id).collect();
            let mut scored = all.clone();
            scored.retain(|hit| ids.contains(&hit.id));
            found.set(number, &mut scored);
            nearest.set(number, &mut all);
        }
        Ok(self.judgement.clone())
    }
}

const TEXTS: [&str; 6] = ["0", "1", "2.1", "3", "8", "9"];

/// Positions of the queries in their source.
const POSITIONS: [usize; 6] = [40, 50, 10, 20, 60, 30];

/// What is known after a search for two hits each, measured with so many of the queries.
fn known(searcher: &Line, count: usize) -> Known {
    with_queries(searcher, |queries| {
        let found = queries.search().unwrap();
        queries.measure(&found, count, 2, 7).unwrap()
    })
}

fn with_queries<T>(searcher: &Line, body: impl FnOnce(&Queries<'_>) -> T) -> T {
    let ctx = Context::new(&NoServices, 0, 1);
    body(&Queries { searcher, ctx: &ctx, positions: &POSITIONS, texts: &TEXTS, k: 2 })
}

fn measured(known: Known) -> Measurement {
    match known {
        Known::Approximate(measurement) => measurement,
        other => panic!("nothing was measured: {other:?}"),
    }
}

#[test]
fn every_query_is_measured_where_there_are_no_more_than_asked_for() {
    // Without 2 the query 2.1 finds 3 and 1. That 3 finds 4 in its place is no miss: both are as near.
    let measured = measured(known(&Line::lossy(&[2]), 32));
    let of_query: Vec<_> = measured.of_query.iter().map(|one| (one.query, one.recall)).collect();
    let wanted = [(40, 1.0), (50, 1.0), (10, 0.5), (20, 1.0), (60, 1.0), (30, 1.0)];
    assert_eq!(of_query, wanted);
    assert_eq!((measured.queries, measured.truth.as_str()), (6, "f16 vectors"));
    assert!((measured.recall.value - 5.5 / 6.0).abs() < 1e-12);
    assert!(measured.recall.low < measured.recall.value && measured.recall.high == 1.0);
    // Found: 0 1 | 1 0 | 3 1 | 3 4 | 8 7 | 9 8; nearest: 0 1 | 1 0 | 2 3 | 3 2 | 8 7 | 9 8.
    let Overlap { selected, nearest, both, .. } = measured.selection;
    assert_eq!((selected, nearest, both), (7, 7, 6));
}

#[test]
fn fewer_queries_are_drawn_by_the_seed_and_keep_their_order() {
    let measured = measured(known(&Line::lossy(&[2]), 3));
    let drawn: Vec<usize> = measured.of_query.iter().map(|one| one.query).collect();
    let mut places = choose_queries(6, 3, 7);
    places.sort_unstable();
    assert_eq!(drawn, places.iter().map(|&place| POSITIONS[place]).collect::<Vec<_>>());
}

#[test]
fn a_search_that_is_exact_or_does_not_say_has_no_measurement() {
    for (judgement, wanted) in
        [(Judgement::Exact, Known::Exact), (Judgement::Unknown, Known::Unknown)]
    {
        assert_eq!(known(&Line { lost: Vec::new(), judgement }, 32), wanted);
    }
}

#[test]
fn the_nearest_of_every_query_can_take_the_place_of_its_hits() {
    let searcher = Line::lossy(&[2, 3]);
    let places: Vec<usize> = (0..TEXTS.len()).collect();
    let judged = with_queries(&searcher, |queries| {
        let found = queries.search().unwrap();
        queries.judge(&found, &places).unwrap().1
    });
    let ids = |hits: &QueryHits| hits.iter().map(|hit| hit.id).collect::<Vec<_>>();
    assert_eq!((ids(&judged.found[2]), ids(&judged.nearest[2])), (vec![1, 4], vec![2, 3]));
    assert_eq!(judged.queries, POSITIONS);
}

#[test]
fn a_refusal_says_what_was_measured_and_what_to_do() {
    let measured = measured(known(&Line::lossy(&[2]), 32));
    let error = too_low(2, &measured, 0.95);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let message = "the search misses too much: recall@2 is 0.917, and `min_recall` is 0.95";
    assert_eq!(error.message(), message);
    assert!(error.context("recall").unwrap().starts_with("0.917 ["), "{error}");
    assert_eq!(error.context("truth"), Some("a scan of f16 vectors"));
    let hint = error.hint().unwrap();
    for advice in ["ef_search", "refine", "factory: auto", "`exact`", "below_min_recall: exact"] {
        assert!(hint.contains(advice), "no {advice} in: {hint}");
    }
    assert!(unknown("bare", 0.9).message().contains("retriever `bare` does not say"));
}

#[test]
fn a_card_has_the_last_measurement_of_each_kind_in_one_order() {
    let noted = |fingerprint: &str, value: f64| {
        let measured = measured(known(&Line::lossy(&[2]), 32));
        let (task, retriever) = ("rte".to_owned(), json!({ "use": "dense" }));
        let recall = Metric { value, ..measured.recall };
        CardRecall {
            fingerprint: fingerprint.to_owned(),
            task,
            retriever,
            k: 2,
            queries: measured.queries,
            recall,
            truth: measured.truth,
            selection: measured.selection,
        }
    };
    let mut card = Map::new();
    for (fingerprint, value) in [("b", 0.5), ("a", 0.6), ("b", 0.7)] {
        noted(fingerprint, value).add_to(&mut card);
    }
    let list = card["measured"].as_array().unwrap();
    let values: Vec<_> = list.iter().map(|one| one["recall"]["value"].as_f64()).collect();
    assert_eq!(values, [Some(0.6), Some(0.7)]);
}
