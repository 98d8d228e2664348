//! Tells the descriptor which instructions FAISS was compiled for.

/// What a compiler defines for an instruction set, and the set's name for the processor check.
const SETS: [(&str, &str); 7] = [
    ("__AVX2__", "avx2"),
    ("__FMA__", "fma"),
    ("__F16C__", "f16c"),
    ("__BMI2__", "bmi2"),
    ("__AVX512F__", "avx512f"),
    ("__AVX512BW__", "avx512bw"),
    ("__AVX512VL__", "avx512vl"),
];

fn main() {
    println!("cargo::rustc-env=DEFT_CPU={}", compiled_for().join(","));
    println!("cargo::rerun-if-changed=build.rs");
}

/// Asks the compiler that FAISS is compiled with, under the flags that it gets.
fn compiled_for() -> Vec<&'static str> {
    let compiler = cc::Build::new().cpp(true).get_compiler();
    let mut command = compiler.to_command();
    let command = command.args(["-dM", "-E", "-x", "c++", "/dev/null"]);
    let output = command.output().expect("the C++ compiler can be started");
    // Without an answer the plugin would be taken for one that any processor can run.
    assert!(output.status.success(), "{command:?} failed: {output:?}");
    let defined = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_defined =
        |name: &str| defined.lines().any(|line| line.starts_with(&format!("#define {name} ")));
    SETS.iter().filter(|(name, _)| is_defined(name)).map(|(_, set)| *set).collect()
}
