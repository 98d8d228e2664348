use std::sync::Arc;

use super::super::FfiComponent;
use super::*;
use crate::{Example, Handle, Hit, Hits, Kind, NoServices};

/// What the searcher of [`Liar`] does when it judges.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Compare,
    SayExact,
    NameIdBeyondTheEnd,
    ForgetAHit,
    SwapAHit,
    LeaveUnsorted,
    Panic,
}

/// A retriever of two examples whose searcher finds the second, and judges as it is told to.
struct Liar(Does);

impl Retriever for Liar {
    fn phases(&self, _ctx: &Context<'_>, _pool: &Pool<'_>) -> Result<Vec<Phase>> {
        Ok(Vec::new())
    }

    fn run_unit(
        &self,
        _ctx: &Context<'_>,
        _phase: &str,
        _unit: usize,
        _pool: &Pool<'_>,
        _dirs: &PhaseDirs,
        _out: &Path,
    ) -> Result<()> {
        Ok(())
    }

    fn open(
        &self,
        _ctx: &Context<'_>,
        _pool: &Pool<'_>,
        _dirs: &PhaseDirs,
    ) -> Result<Box<dyn Searcher>> {
        Ok(Box::new(Self(self.0)))
    }
}

impl Searcher for Liar {
    fn retrieve(&self, _ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        for query in 0..queries.len() {
            hits.set(query, &mut vec![Hit { id: 1, score: -0.5 }]);
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
        assert_ne!(self.0, Does::Panic, "told to");
        let hit = |id, score| Hit { id, score };
        for query in 0..queries.len() {
            assert_eq!(found.of_query(query).collect::<Vec<_>>(), [hit(1, -0.5)], "they cross");
            nearest.set(query, &mut vec![hit(0, 0.0), hit(1, -1.0)]);
            found.set(query, &mut vec![hit(1, -1.0)]);
        }
        match self.0 {
            Does::SayExact => return Ok(Judgement::Exact),
            Does::NameIdBeyondTheEnd => nearest.set(0, &mut vec![hit(2, 0.0)]),
            Does::ForgetAHit => found.set(0, &mut Vec::new()),
            Does::SwapAHit => found.set(0, &mut vec![hit(0, 0.0)]),
            Does::LeaveUnsorted => nearest.scores.reverse(),
            Does::Compare | Does::Panic => {}
        }
        Ok(Judgement::Compared { truth: "two texts".to_owned() })
    }
}

/// Judges the search of one query across the boundary.
fn judged(does: Does) -> Result<(Judgement, Vec<Hit>, Vec<Hit>)> {
    let origin = Origin::of_plugin(Kind::Retriever, "liar", "p", "1.0");
    let handle = FfiComponent::export(&Handle::Retriever(Arc::new(Liar(does)))).import(origin)?;
    let Handle::Retriever(retriever) = handle else {
        unreachable!("a retriever was exported");
    };
    let examples = vec![Example::default(); 2];
    let pool = Pool { examples: &examples, rows_per_part: 2 };
    let ctx = Context::new(&NoServices, 0, 1);
    let searcher = retriever.open(&ctx, &pool, &PhaseDirs::default())?;
    let (mut found, mut nearest) = (Hits::new(1, 2), Hits::new(1, 2));
    searcher.retrieve(&ctx, &["a"], found.as_mut())?;
    let judgement = searcher.judge(&ctx, &["a"], found.as_mut(), nearest.as_mut())?;
    Ok((judgement, found.of_query(0).collect(), nearest.of_query(0).collect()))
}

#[test]
fn hits_cross_to_be_judged_and_come_back_with_true_scores() {
    let (judgement, found, nearest) = judged(Does::Compare).expect("judged");
    assert_eq!(judgement, Judgement::Compared { truth: "two texts".to_owned() });
    assert_eq!(found, [Hit { id: 1, score: -1.0 }]);
    assert_eq!(nearest, [Hit { id: 0, score: 0.0 }, Hit { id: 1, score: -1.0 }]);
    assert_eq!(judged(Does::SayExact).expect("judged").0, Judgement::Exact);
}

#[test]
fn a_judgement_that_cannot_be_is_refused_and_names_the_component() {
    for (does, kind, says) in [
        (Does::NameIdBeyondTheEnd, ErrorKind::Plugin, "an id or a score that cannot be"),
        (Does::LeaveUnsorted, ErrorKind::Plugin, "out of order"),
        (Does::ForgetAHit, ErrorKind::Plugin, "other hits than it had found"),
        (Does::SwapAHit, ErrorKind::Plugin, "other hits than it had found"),
        (Does::Panic, ErrorKind::Panicked, "told to"),
    ] {
        let error = judged(does).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says), "{error}");
        assert_eq!(error.context("component"), Some("retriever liar"));
    }
}

#[test]
fn a_judgement_of_a_later_interface_is_one_that_is_not_known() {
    let later = from_json::<Judgement>("{\"kind\": \"sampled\", \"share\": 0.5}");
    assert_eq!(later.expect("parsed"), Judgement::Unknown);
}
