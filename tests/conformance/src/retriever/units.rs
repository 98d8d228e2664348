//! Checks of a pool's preparation.

use deft_core::{ErrorKind, Example, Judgement};

use super::prepared::{Prepared, create, judge, pool, pool_of, retrieve, view};
use super::{K, RetrieverChecks};
use crate::damage::{self, Damage, files};
use crate::data::{odd_texts, texts};
use crate::report::{Unmet, Verdict, ensure, skip_unless};
use crate::services::{self, SEED, TestServices, must_stop};

pub(super) fn phases(it: &RetrieverChecks) -> Verdict {
    let (retriever, pool) = (create(it)?, pool());
    let services = TestServices::new();
    let ctx = &services.context(SEED, 2);
    let first = retriever.phases(ctx, &view(&pool))?;
    let other = create(it)?.phases(ctx, &view(&pool))?;
    ensure!(retriever.phases(ctx, &view(&pool))? == first, "a second call gave other phases");
    ensure!(other == first, "another instance gave other phases: {other:?}, not {first:?}");
    for phase in &first {
        ensure!(phase.units > 0, "the phase `{}` has no unit", phase.name);
        let cost = phase.cost;
        ensure!(cost.is_finite() && cost >= 0.0, "`{}` has the cost {cost}", phase.name);
    }
    Ok(())
}

pub(super) fn order(it: &RetrieverChecks) -> Verdict {
    let pool = pool();
    let wanted = straight(it, &pool)?;
    let retriever = create(it)?;
    let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
    for phase in &prepared.phases {
        for number in (0..phase.units).rev() {
            prepared.unit(phase, number, |unit| unit.run(retriever.as_ref()))?;
        }
    }
    let found = prepared.hits(retriever.as_ref())?;
    ensure!(found == wanted, "other hits when the last unit was done first");
    Ok(())
}

/// The hits after a preparation without incident.
fn straight(it: &RetrieverChecks, pool: &Vec<Example>) -> Verdict<super::prepared::Found> {
    let retriever = create(it)?;
    Ok(Prepared::new(retriever.as_ref(), pool)?.hits(retriever.as_ref())?)
}

pub(super) fn again(it: &RetrieverChecks) -> Verdict {
    let pool = pool();
    let wanted = straight(it, &pool)?;
    let retriever = create(it)?;
    let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
    prepared.for_each_unit(|unit| {
        unit.run(retriever.as_ref())?;
        unit.discard()?;
        unit.run(retriever.as_ref())
    })?;
    let found = prepared.hits(retriever.as_ref())?;
    ensure!(found == wanted, "other hits when every unit was done twice");
    Ok(())
}

pub(super) fn interrupted(it: &RetrieverChecks) -> Verdict {
    let pool = pool();
    let wanted = straight(it, &pool)?;
    for looks in [0, 1, 2] {
        let retriever = create(it)?;
        let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
        prepared.for_each_unit(|unit| {
            let services = TestServices::cancelled_after(looks);
            if unit.run_with(retriever.as_ref(), &services.context(SEED, 1)).is_ok() {
                return Ok(());
            }
            unit.discard()?;
            unit.run(retriever.as_ref())
        })?;
        let found = prepared.hits(retriever.as_ref())?;
        ensure!(found == wanted, "other hits after units cancelled at look {}", looks + 1);
    }
    Ok(())
}

pub(super) fn elsewhere(it: &RetrieverChecks) -> Verdict {
    let pool = pool();
    let wanted = straight(it, &pool)?;
    let prepared = Prepared::begun(create(it)?.as_ref(), &pool)?;
    prepared.for_each_unit(|unit| unit.run(create(it)?.as_ref()))?;
    let found = prepared.hits(create(it)?.as_ref())?;
    ensure!(found == wanted, "other hits when each unit was done by an instance of its own");
    Ok(())
}

pub(super) fn at_once(it: &RetrieverChecks) -> Verdict {
    let pool = pool();
    let wanted = straight(it, &pool)?;
    let retriever = create(it)?;
    let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
    for phase in &prepared.phases {
        let done = services::at_once(phase.units, |number| {
            prepared.unit(phase, number, |unit| unit.run(retriever.as_ref()))
        });
        done.into_iter().collect::<deft_core::Result<()>>()?;
    }
    let found = prepared.hits(retriever.as_ref())?;
    ensure!(found == wanted, "other hits when the units of a phase were done at the same time");
    Ok(())
}

pub(super) fn own_files(it: &RetrieverChecks) -> Verdict {
    let (retriever, pool) = (create(it)?, pool());
    let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
    let store = prepared.store();
    let contents = || -> std::io::Result<Vec<_>> {
        files(&store)?.into_iter().map(|path| Ok((std::fs::read(&path)?, path))).collect()
    };
    for phase in &prepared.phases {
        for number in 0..phase.units {
            let before = contents()?;
            prepared.unit::<Unmet>(phase, number, |unit| {
                unit.run(retriever.as_ref())?;
                let after = contents()?;
                let mut others = after.iter().filter(|(_, path)| !path.starts_with(unit.out));
                let is_kept = before.iter().all(|old| others.next() == Some(old));
                let extra = others.next().map(|(_, path)| path);
                ensure!(
                    is_kept && extra.is_none(),
                    "{}: another file changed {extra:?}",
                    phase.name
                );
                let wants_folder = phase.suffix.is_empty();
                ensure!(
                    unit.out.exists() && unit.out.is_dir() == wants_folder,
                    "a unit of `{}` must leave a {} at its path",
                    phase.name,
                    if wants_folder { "folder" } else { "file" }
                );
                Ok(())
            })?;
        }
    }
    let before = contents()?;
    prepared.hits(retriever.as_ref())?;
    ensure!(contents()? == before, "a search changed the store");
    Ok(())
}

pub(super) fn odd_pool(it: &RetrieverChecks) -> Verdict {
    let mut odd = odd_texts();
    odd.extend(texts(70, 23));
    check_pool(it, &pool_of(odd))
}

/// Prepares a pool and searches it with its own last text.
fn check_pool(it: &RetrieverChecks, pool: &Vec<Example>) -> Verdict {
    let retriever = create(it)?;
    let prepared = Prepared::new(retriever.as_ref(), pool)?;
    prepared.hits(retriever.as_ref())?;
    let Some(last) = pool.last() else { return Ok(()) };
    let searcher = prepared.open(retriever.as_ref())?;
    let found = retrieve(searcher.as_ref(), &[&last.input], K, 1)?;
    let is_found = found[0].iter().any(|hit| hit.id == pool.len() as u64 - 1);
    let is_needed = it.finds >= 0.9;
    ensure!(is_found || !is_needed, "the text of the last of {} rows does not find it", pool.len());
    Ok(())
}

pub(super) fn pool_sizes(it: &RetrieverChecks) -> Verdict {
    for rows in [1, 2, 59, 60, 61, 119, 120, 125] {
        check_pool(it, &pool_of(texts(rows, 24))).map_err(|unmet| match unmet {
            Unmet::Broken(how) => Unmet::Broken(format!("a pool of {rows} rows: {how}")),
            skipped @ Unmet::Skipped(_) => skipped,
        })?;
    }
    Ok(())
}

pub(super) fn empty_pool(it: &RetrieverChecks) -> Verdict {
    let (retriever, pool) = (create(it)?, Vec::new());
    match Prepared::begun(retriever.as_ref(), &pool) {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(Unmet::Broken(format!("`phases` gave another error: {error}"))),
        Ok(_) => check_pool(it, &pool),
    }
}

pub(super) fn damaged(it: &RetrieverChecks) -> Verdict {
    check_damage(it, Damage::Lengths)
}

pub(super) fn damaged_bits(it: &RetrieverChecks) -> Verdict {
    skip_unless!(it.has_checksums, "its files have no checksums, or none are promised");
    check_damage(it, Damage::Bits)
}

fn check_damage(it: &RetrieverChecks, damage: Damage) -> Verdict {
    let (retriever, pool) = (create(it)?, pool());
    let prepared = Prepared::new(retriever.as_ref(), &pool)?;
    let whole = prepared.hits(retriever.as_ref())?;
    damage::each(&prepared.store(), damage, |what| {
        match prepared.hits(retriever.as_ref()) {
            Ok(found) => ensure!(found == whole, "{what}: opened, and found other hits"),
            Err(error) => ensure!(error.kind() != ErrorKind::Panicked, "{what}: {error}"),
        }
        Ok(())
    })
}

pub(super) fn cancelled(it: &RetrieverChecks) -> Verdict {
    let (retriever, pool) = (create(it)?, pool());
    let prepared = Prepared::begun(retriever.as_ref(), &pool)?;
    for phase in &prepared.phases {
        for number in 0..phase.units {
            prepared.unit::<Unmet>(phase, number, |unit| {
                let what = format!("a unit of `{}`", phase.name);
                must_stop(&what, 1, |ctx| unit.run_with(retriever.as_ref(), ctx))?;
                unit.discard()?;
                Ok(unit.run(retriever.as_ref())?)
            })?;
        }
    }
    let searcher = prepared.open(retriever.as_ref())?;
    let queries = texts(200, 25);
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let mut hits = deft_core::Hits::new(queries.len(), K);
    must_stop("`retrieve`", 2, |ctx| searcher.retrieve(ctx, &queries, hits.as_mut()))?;
    let found = retrieve(searcher.as_ref(), &queries, K, 2)?;
    let judged = judge(searcher.as_ref(), &queries, &found, K, 2)?;
    if !matches!(judged.judgement, Judgement::Compared { .. }) {
        return Ok(());
    }
    let mut nearest = deft_core::Hits::new(queries.len(), K);
    let found = hits.as_mut();
    must_stop("`judge`", 2, |ctx| searcher.judge(ctx, &queries, found, nearest.as_mut()))
}
