use super::*;

/// Hits with these ids and scores.
fn hits(pairs: &[(u64, f32)]) -> QueryHits {
    pairs.iter().map(|&(id, score)| Hit { id, score }).collect()
}

#[test]
fn recall_is_the_share_of_the_nearest_that_is_found() {
    let nearest = hits(&[(1, 0.0), (2, -1.0), (3, -2.0), (4, -3.0)]);
    for (found, wanted) in [
        (hits(&[(1, 0.0), (2, -1.0), (3, -2.0), (4, -3.0)]), 1.0),
        (hits(&[(1, 0.0), (2, -1.0), (4, -3.0), (5, -4.0)]), 0.75),
        (hits(&[(2, -1.0)]), 0.25),
        (hits(&[(5, -4.0), (6, -5.0)]), 0.0),
        (hits(&[]), 0.0),
    ] {
        assert_eq!(recall(&found, &nearest), wanted, "{found:?}");
    }
}

#[test]
fn a_hit_at_the_distance_of_the_last_of_the_nearest_counts_whatever_its_id() {
    // 7 and 8 are as near as 2: the scan had to choose.
    let nearest = hits(&[(1, 0.0), (2, -1.0)]);
    assert_eq!(recall(&hits(&[(1, 0.0), (8, -1.0)]), &nearest), 1.0);
    assert_eq!(recall(&hits(&[(7, -1.0), (8, -1.0)]), &nearest), 1.0);
    assert_eq!(recall(&hits(&[(8, -1.0), (9, -1.5)]), &nearest), 0.5);
}

#[test]
fn a_pool_smaller_than_k_is_found_when_all_of_it_is() {
    let nearest = hits(&[(0, 0.0), (1, -1.0)]);
    assert_eq!(recall(&nearest, &nearest), 1.0);
    assert_eq!(recall(&[], &[]), 1.0, "nothing can be missed");
}

#[test]
fn the_interval_is_over_queries_and_seeded() {
    let nearest: Vec<QueryHits> = (0..40).map(|query| hits(&[(query, 0.0)])).collect();
    // Three of four queries find what they should.
    let found = (0..40).map(|query| if query % 4 == 0 { hits(&[]) } else { hits(&[(query, 0.0)]) });
    let judged = Judged { queries: (100..140).collect(), found: found.collect(), nearest };
    let measured = judged.measure("f16 vectors".to_owned(), 1, 7).unwrap();
    let Metric { value, low, high, .. } = measured.recall.clone();
    assert_eq!(value, 0.75);
    assert!((0.5..0.7).contains(&low) && (0.8..1.0).contains(&high), "{low} {high}");
    assert_eq!(measured.of_query[0], QueryRecall { query: 100, recall: 0.0 });
    assert_eq!(judged.measure("f16 vectors".to_owned(), 1, 7).unwrap(), measured);
}

#[test]
fn selections_overlap_by_what_both_select() {
    let found = [hits(&[(1, 0.0), (2, -2.0)]), hits(&[(2, 0.0), (9, -2.0)])];
    let nearest = [hits(&[(1, 0.0), (3, -1.0)]), hits(&[(2, 0.0), (4, -1.0)])];
    let wanted = Overlap { selected: 3, nearest: 4, both: 2, found: 0.5, jaccard: 0.4 };
    assert_eq!(overlap(&found, &nearest), wanted);
    // Of each query one hit: what is cut off counts for neither.
    let judged = Judged { queries: vec![0, 1], found: found.into(), nearest: nearest.into() };
    let measured = judged.measure(String::new(), 1, 7).unwrap();
    assert_eq!((measured.selection.both, measured.selection.jaccard), (2, 1.0));
    assert_eq!(measured.recall.value, 0.5, "of all hits, cut off or not");
}

fn measured() -> Recall {
    let judged = Judged {
        queries: vec![3],
        found: vec![hits(&[(1, 0.0), (9, -4.0)])],
        nearest: vec![hits(&[(1, 0.0), (2, -1.0)])],
    };
    let known = Known::Approximate(judged.measure("int8 vectors".to_owned(), 2, 1).unwrap());
    Recall { k: 2, known, hits: HitsFrom::Search }
}

#[test]
fn a_measurement_is_told_with_k_interval_truth_and_overlap() {
    let recall = measured();
    assert_eq!(recall.cell(), "0.500 [0.500, 0.500]");
    assert_eq!(
        recall.line(),
        "recall@2 is 0.500 [0.500, 0.500] over 1 of the queries, against a scan of int8 vectors; of \
         the 2 examples that the nearest select, 50.0 % are selected (Jaccard 0.333)"
    );
    assert!(recall.is_below(0.51) && !recall.is_below(0.5));
    assert_eq!(Recall { hits: HitsFrom::Scan, ..recall }.cell(), "exact (scan)");
}

#[test]
fn what_is_exact_or_unknown_has_no_number() {
    for (known, cell) in [(Known::Exact, "exact"), (Known::Unknown, "unknown")] {
        let recall = Recall { k: 2, known, hits: HitsFrom::Search };
        assert_eq!(recall.cell(), cell);
        assert!(!recall.is_below(1.0) && recall.measured().is_none());
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    let exact = Recall { k: 2, known: Known::Exact, hits: HitsFrom::Search };
    let short = measured().in_short();
    assert!(!serde_json::to_string(&short).unwrap().contains("of_query"));
    for recall in [measured(), short, exact] {
        let text = serde_json::to_string(&recall).unwrap();
        assert_eq!(serde_json::from_str::<Recall>(&text).unwrap(), recall, "{text}");
    }
}
