//! What is left of a selection in the arm's folder.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use deft_core::{Example, Examples as _, Result};
use serde::Serialize;

use super::admission::Contaminated;
use crate::pool::StoredPool;
use crate::selection::{Selected, SelectionSummary};
use crate::store::{self, LineWriter};

/// The examples, readable by the original's training, with the evidence for each.
const EXAMPLES: &str = "selection.jsonl";
/// Their ids, one on each line: what policy `ids` reads.
const IDS: &str = "selection.ids";
/// The selection in short; it is written last.
const SUMMARY: &str = "selection.json";
/// Every example found that contains an evaluation input, whatever was done with it.
const CONTAMINATED: &str = "contamination.jsonl";
/// The same of a selection that was refused for them.
const REFUSED: &str = "contamination-refused.jsonl";

/// Examples that are written at once.
const AT_ONCE: usize = 2048;

/// A line of `selection.jsonl`: the pool's example, readable by the original's training, with the
/// evidence for it.
#[derive(Serialize)]
struct SelectionLine<'a> {
    #[serde(flatten)]
    example: &'a Example,
    index_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribution_frequency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
}

/// Reads back what was selected and what is told of it, if all files are there.
pub(super) fn read(dir: &Path) -> Option<(Vec<usize>, SelectionSummary)> {
    if !dir.join(CONTAMINATED).exists() {
        return None;
    }
    let ids = std::fs::read_to_string(dir.join(IDS)).ok()?;
    let ids = ids.lines().map(|id| id.parse().ok()).collect::<Option<Vec<_>>>()?;
    // A file that was cut short tells something else.
    let lines = count_lines(&dir.join(EXAMPLES)).ok()?;
    if lines != ids.len() {
        return None;
    }
    Some((ids, store::read_json(&dir.join(SUMMARY))?))
}

fn count_lines(path: &Path) -> std::io::Result<usize> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(lines);
        }
        lines += buffer[..read].iter().map(|&byte| usize::from(byte == b'\n')).sum::<usize>();
    }
}

/// Writes all files.
pub(super) fn write(
    dir: &Path,
    selected: &[Selected],
    ids: &[usize],
    mut summary: SelectionSummary,
    contaminated: &[Contaminated],
    pool: &StoredPool,
) -> Result<()> {
    store::commit(&dir.join(EXAMPLES), |path| {
        write_lines(path, selected, ids, pool, &mut summary)
    })?;
    store::commit(&dir.join(IDS), |path| {
        let mut out = LineWriter::create(path)?;
        ids.iter().try_for_each(|id| out.write(id))?;
        out.finish()
    })?;
    write_contaminated(&dir.join(CONTAMINATED), contaminated)?;
    store::write_json(&dir.join(SUMMARY), &summary)?;
    let _ = std::fs::remove_file(dir.join(REFUSED));
    Ok(())
}

/// Writes the examples for which a selection is refused, beside what an earlier run may have selected,
/// and says where.
pub(super) fn write_refused(dir: &Path, contaminated: &[Contaminated]) -> Result<PathBuf> {
    let path = dir.join(REFUSED);
    store::make_dir(dir)?;
    write_contaminated(&path, contaminated)?;
    Ok(path)
}

fn write_contaminated(path: &Path, contaminated: &[Contaminated]) -> Result<()> {
    store::commit(path, |path| {
        let mut out = LineWriter::create(path)?;
        contaminated.iter().try_for_each(|one| out.write(one))?;
        out.finish()
    })
}

/// Writes the examples, and counts them for the summary.
fn write_lines(
    path: &Path,
    selected: &[Selected],
    ids: &[usize],
    pool: &StoredPool,
    summary: &mut SelectionSummary,
) -> Result<()> {
    let mut out = LineWriter::create(path)?;
    for (chunk, ids) in selected.chunks(AT_ONCE).zip(ids.chunks(AT_ONCE)) {
        for (one, example) in chunk.iter().zip(pool.get(ids)?) {
            summary.count(&example);
            let line = SelectionLine {
                example: &example,
                index_id: one.id,
                attribution_frequency: one.evidence.map(|evidence| evidence.frequency),
                score: one.evidence.map(|evidence| evidence.score),
                rank: one.evidence.map(|evidence| evidence.rank),
            };
            out.write(&line)?;
        }
    }
    out.finish()
}
