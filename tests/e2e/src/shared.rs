//! Real data and golden files, where they are.

use std::path::{Path, PathBuf};

/// The tree of real data: `$DEFT_SHARED`, or `../shared` beside the repository.
pub fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("DEFT_SHARED").map_or_else(beside, PathBuf::from);
    dir.is_dir().then(|| dir.canonicalize().unwrap_or(dir))
}

/// Says that a test did nothing, and why.
#[expect(clippy::print_stdout, reason = "the test runner shows it")]
pub fn skipped(why: &str) {
    println!("skipped: {why}");
}
