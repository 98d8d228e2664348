//! Files cut short, emptied, lengthened, removed, and with bits turned over.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::Random;
use crate::report::Verdict;

/// Bytes of each file that are damaged, one at a time.
const FLIPS: usize = 12;

/// All files below a folder, in order.
pub(crate) fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Which damage is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Files of another length, or none.
    Lengths,
    /// Bits turned over, too.
    LengthsAndBits,
}

/// Damages each file below `dir` in each way, calls `look` with what was done, and mends it.
pub(crate) fn each(dir: &Path, damage: Damage, look: impl Fn(&str) -> Verdict) -> Verdict {
    for path in files(dir)? {
        let whole = fs::read(&path)?;
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        let mut forms = vec![
            (format!("{name} cut to half"), whole[..whole.len() / 2].to_vec()),
            (format!("{name} short of a byte"), whole[..whole.len().saturating_sub(1)].to_vec()),
            (format!("{name} empty"), Vec::new()),
        ];
        if damage == Damage::LengthsAndBits && !whole.is_empty() {
            let mut random = Random::new(whole.len() as u64);
            for _ in 0..FLIPS {
                let (byte, bit) = (random.below(whole.len()), random.below(8));
                let mut bytes = whole.clone();
                bytes[byte] ^= 1 << bit;
                forms.push((format!("{name} with bit {bit} of byte {byte} turned over"), bytes));
            }
        }
        for (what, bytes) in forms {
            if bytes == whole {
                continue;
            }
            fs::write(&path, bytes)?;
            look(&what)?;
        }
        fs::remove_file(&path)?;
        look(&format!("{name} removed"))?;
        fs::write(&path, whole)?;
    }
    Ok(())
}
