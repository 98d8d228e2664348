//! Files cut short, emptied, removed, and with bits turned over.

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
    /// Files cut short, emptied and removed.
    Lengths,
    /// Bits turned over.
    Bits,
}

impl Damage {
    /// What is done to a file, in words, and what is left of it: nothing, if it is removed.
    fn forms(self, whole: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
        match self {
            Self::Lengths => {
                let cut = |length: usize| Some(whole[..length].to_vec());
                vec![
                    ("cut to half".to_owned(), cut(whole.len() / 2)),
                    ("short of a byte".to_owned(), cut(whole.len().saturating_sub(1))),
                    ("empty".to_owned(), cut(0)),
                    ("removed".to_owned(), None),
                ]
            }
            Self::Bits if whole.is_empty() => Vec::new(),
            Self::Bits => {
                let mut random = Random::new(whole.len() as u64);
                (0..FLIPS).map(|_| flipped(whole, &mut random)).collect()
            }
        }
    }
}

fn flipped(whole: &[u8], random: &mut Random) -> (String, Option<Vec<u8>>) {
    let (byte, bit) = (random.below(whole.len()), random.below(8));
    let mut bytes = whole.to_vec();
    bytes[byte] ^= 1 << bit;
    (format!("with bit {bit} of byte {byte} turned over"), Some(bytes))
}

/// Damages each file below `dir` in each way, calls `look` with what was done, and mends it.
pub(crate) fn each(dir: &Path, damage: Damage, look: impl Fn(&str) -> Verdict) -> Verdict {
    for path in files(dir)? {
        let whole = fs::read(&path)?;
        let name = path.strip_prefix(dir).unwrap_or(&path).display();
        for (what, bytes) in damage.forms(&whole) {
            match bytes {
                Some(bytes) if bytes == whole => continue,
                Some(bytes) => fs::write(&path, bytes)?,
                None => fs::remove_file(&path)?,
            }
            look(&format!("{name} {what}"))?;
        }
        fs::write(&path, whole)?;
    }
    Ok(())
}
