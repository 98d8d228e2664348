//! What both benchmarks need: built plugins, generated texts, and medians.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::time::{Duration, Instant};

use deft_loader::Plugin;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Loads `deft_<name>` from a folder below the one that cargo puts this profile's libraries in, or
/// says how to build it.
pub(crate) fn load(below: &str, name: &str, how_to_build: &str) -> Option<Plugin> {
    // A benchmark runs as target/release/deps/<name>-<hash>.
    let program = std::env::current_exe().expect("a running program has a path");
    let libraries = program.ancestors().nth(2).expect("cargo puts it two folders deep");
    let path = libraries.join(below).join(format!("{DLL_PREFIX}deft_{name}{DLL_SUFFIX}"));
    if !path.exists() {
        println!("skipped: no {}; build it with\n  {how_to_build}", path.display());
        return None;
    }
    Some(Plugin::load(&path).expect("a plugin of this deft-core; build it again"))
}

/// Whether numbers are wanted: `cargo test` runs a benchmark once, without this flag.
pub(crate) fn is_measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A text of so many words of one to ten letters.
pub(crate) fn text(rng: &mut ChaCha8Rng, words: usize) -> String {
    let mut text = String::new();
    for word in 0..words {
        if word > 0 {
            text.push(' ');
        }
        let letters = rng.random_range(1..=10);
        text.extend((0..letters).map(|_| char::from(rng.random_range(b'a'..=b'z'))));
    }
    text
}

/// How long a call takes.
pub(crate) fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    divan::black_box(call());
    start.elapsed()
}

/// The middle one of some durations, or the later of the middle two.
pub(crate) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
