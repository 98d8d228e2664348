//! Which instructions this machine's processor has.

/// Whether the processor has an instruction set, by Rust's name for it.
///
/// Sets that nobody has told us how to ask for are taken to be there.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has(set: &str) -> bool {
    macro_rules! asked {
        ($($name:tt)+) => {
            match set {
                $($name => std::arch::is_x86_feature_detected!($name),)+
                _ => true,
            }
        };
    }
    asked! {
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "lzcnt" "movbe" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2"
        "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16" "avx512fp16"
        "avx512vbmi" "avx512vbmi2" "avx512ifma" "avx512bitalg" "avx512vpopcntdq"
    }
}

/// Other architectures: what a target has, all of its processors have.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn has(_set: &str) -> bool {
    true
}

/// What `x86-64-v4` adds to `v3`, and `v3` to the first of these processors, as far as code asks
/// for it (the psABI of x86-64, section 3.1.1).
const LEVELS: [(&str, &[&str]); 2] = [
    ("x86-64-v4", &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
    ("x86-64-v3", &["avx2", "fma", "f16c", "bmi1", "bmi2", "lzcnt", "movbe"]),
];

/// The highest level of x86-64 that this machine's processor has: `x86-64-v4` (AVX-512) or
/// `x86-64-v3` (AVX2). `None` for older ones, and for other architectures.
pub fn level() -> Option<&'static str> {
    if cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    let has_all = |(_, sets): &&(&str, &[&str])| sets.iter().all(|set| has(set));
    LEVELS.iter().find(has_all).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_processor_of_the_target_has_is_there() {
        assert!(has("") && has("sse2") && has("a set of the next century"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_processor_is_asked() {
        assert_eq!(has("avx2"), std::arch::is_x86_feature_detected!("avx2"));
        assert_eq!(has("avx512fp16"), std::arch::is_x86_feature_detected!("avx512fp16"));
    }
}
