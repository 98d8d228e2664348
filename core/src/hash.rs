//! Fingerprints: what can change an artefact's content, in 64 bits of SHA-256.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Result, ResultExt};

/// A running SHA-256 over labelled parts.
///
/// Every part is framed by its length, so that `("ab", "c")` differs from `("a", "bc")`.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Starts from nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one part.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        self.add(part.as_ref());
        self
    }

    /// Adds one part.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The first 16 hexadecimal digits: enough to name a folder.
    pub fn short(self) -> String {
        hex(&self.0.finalize()[..8])
    }

    /// All 64 hexadecimal digits of a file's SHA-256, as `sha256sum` prints them.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Io`] when the file cannot be read.
    pub fn of_file(path: &Path) -> Result<String> {
        Self::of_pieces(path, |_| Ok(()))
    }

    /// The same, piece by piece: `each` is told the length of every piece, 1 MiB at most, and may
    /// stop the work.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Io`] when the file cannot be read; what `each` returns.
    pub fn of_pieces(path: &Path, mut each: impl FnMut(usize) -> Result<()>) -> Result<String> {
        let mut file = std::fs::File::open(path).or_io("cannot open the file", path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut buffer).or_io("cannot read the file", path)?;
            if n == 0 {
                return Ok(hex(&hasher.finalize()));
            }
            hasher.update(&buffer[..n]);
            each(n)?;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = Fingerprint::new().with("ab").with("c").short();
        let other = Fingerprint::new().with("a").with("bc").short();
        assert_ne!(one, other);
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn a_file_is_hashed_in_pieces_and_any_of_them_may_be_the_last() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("file");
        let content = vec![7; (5 << 20) / 2];
        std::fs::write(&path, &content).expect("written");
        let mut pieces = Vec::new();
        let tell = |bytes| {
            pieces.push(bytes);
            Ok(())
        };
        let hash = Fingerprint::of_pieces(&path, tell).expect("hashed");
        assert_eq!(hash, hex(&Sha256::digest(&content)));
        assert!(pieces.iter().all(|&bytes| bytes <= 1 << 20));
        assert_eq!(pieces.iter().sum::<usize>(), content.len());
        let mut told = 0;
        let stop = |_| {
            told += 1;
            Err(crate::Error::cancelled())
        };
        let stopped = Fingerprint::of_pieces(&path, stop).expect_err("stopped");
        assert_eq!((stopped.kind(), told), (crate::ErrorKind::Cancelled, 1));
    }
}
