//! The parts of the pool: their texts, and what was made of them.

use std::ops::Range;
use std::path::Path;

use deft_core::part_name;
use deft_core::prelude::*;

use crate::card::{Card, Meter};
use crate::segment::Segment;
use crate::statistics::Statistics;

/// Rows that are fetched at once.
const CHUNK: usize = 256;

/// Gives the row and the text of each example of a part, in order.
pub(crate) fn for_each_text(
    ctx: &Context<'_>,
    pool: &Pool<'_>,
    part: usize,
    mut each: impl FnMut(usize, &str) -> Result<()>,
) -> Result<()> {
    let rows = pool.rows_of_part(part);
    for first in rows.clone().step_by(CHUNK) {
        ctx.check()?;
        let positions: Vec<_> = (first..rows.end.min(first + CHUNK)).collect();
        for (row, input) in positions.iter().zip(pool.examples.inputs(&positions)?) {
            each(*row, &input)?;
        }
        ctx.progress(first + positions.len() - rows.start, rows.len(), "rows");
    }
    Ok(())
}

/// The fingerprint of a part's first and last text.
pub(crate) fn ends(pool: &Pool<'_>, rows: &Range<usize>) -> Result<String> {
    let texts = pool.examples.inputs(&[rows.start, rows.end.saturating_sub(1)])?;
    Ok(texts.iter().fold(Fingerprint::new(), Fingerprint::with).short())
}

/// Opens the segments of all parts, whose units lie in `dir`; refuses what is damaged or foreign.
pub(crate) fn open(ctx: &Context<'_>, pool: &Pool<'_>, dir: &Path) -> Result<Vec<Segment>> {
    let unit = |part: usize| dir.join(part_name(part, ""));
    // The small files first: they tell how much there is to read.
    let mut cards = Vec::new();
    for part in 0..pool.parts() {
        ctx.check()?;
        let (unit, rows) = (unit(part), pool.rows_of_part(part));
        let card = Card::read(&unit, &rows)?;
        card.check_ends(&unit, &ends(pool, &rows)?)?;
        cards.push(card);
    }
    let all = cards.iter().fold(0_u64, |sum, card| sum.saturating_add(card.bytes()));
    let mut meter = Meter::new(ctx, all);
    let mut segments = Vec::new();
    for (part, card) in cards.into_iter().enumerate() {
        card.check_files(&mut meter, &unit(part))?;
        segments.push(Segment::open(&unit(part), card)?);
    }
    Ok(segments)
}

/// Refuses segments and statistics that do not belong together: one of the two is of another pool,
/// and the pool's texts, which are only read then, tell which.
///
/// `file` is that of the statistics.
pub(crate) fn check_together(
    ctx: &Context<'_>,
    pool: &Pool<'_>,
    segments: &[Segment],
    statistics: &Statistics,
    file: &Path,
) -> Result<()> {
    for (part, segment) in segments.iter().enumerate() {
        if statistics.has_texts(part, segment.texts()) {
            continue;
        }
        let mut texts = Fingerprint::new();
        for_each_text(ctx, pool, part, |_, text| {
            texts.add(text.as_bytes());
            Ok(())
        })?;
        segment.check_texts(&texts.short())?;
    }
    statistics.check(file, segments)
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
