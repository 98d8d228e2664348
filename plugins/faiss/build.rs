//! Tells the descriptor which instructions FAISS was compiled for.

use std::path::Path;
use std::process::Command;

/// What a compiler defines for an instruction set, and the set's name for the processor check.
const SETS: [(&str, &str); 9] = [
    ("__AVX2__", "avx2"),
    ("__FMA__", "fma"),
    ("__F16C__", "f16c"),
    ("__BMI2__", "bmi2"),
    ("__AVX512F__", "avx512f"),
    ("__AVX512CD__", "avx512cd"),
    ("__AVX512BW__", "avx512bw"),
    ("__AVX512DQ__", "avx512dq"),
    ("__AVX512VL__", "avx512vl"),
];

fn main() {
    // `faiss-sys` leaves what CMake was told: that, and not today's flags, is what FAISS is.
    let faiss =
        std::env::var("DEP_FAISS_C_ROOT").expect("faiss-sys tells where it has built FAISS");
    let cache = Path::new(&faiss).join("build/CMakeCache.txt");
    let text = std::fs::read_to_string(&cache).expect("CMake leaves its cache");
    println!("cargo::rustc-env=DEFT_CPU={}", compiled_for(&text).join(","));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", cache.display());
}

/// Asks the compiler of FAISS what it defines under the flags that it got.
fn compiled_for(cache: &str) -> Vec<&'static str> {
    let compiler = entry(cache, "CMAKE_CXX_COMPILER:").expect("CMake has found a compiler");
    let flags = entry(cache, "CMAKE_CXX_FLAGS:").unwrap_or_default();
    let mut command = Command::new(compiler);
    command.args(flags.split_whitespace()).args(["-dM", "-E", "-x", "c++", "/dev/null"]);
    let output = command.output().expect("the C++ compiler can be started");
    // Without an answer the plugin would be taken for one that any processor can run.
    assert!(output.status.success(), "{command:?} failed: {output:?}");
    let defined = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_defined =
        |name: &str| defined.lines().any(|line| line.starts_with(&format!("#define {name} ")));
    SETS.iter().filter(|(name, _)| is_defined(name)).map(|(_, set)| *set).collect()
}

/// The value of the entry that begins so: `CMAKE_CXX_FLAGS:STRING=-O3`.
fn entry<'a>(cache: &'a str, name: &str) -> Option<&'a str> {
    let line = cache.lines().find(|line| line.starts_with(name))?;
    line.split_once('=').map(|(_, value)| value.trim())
}
