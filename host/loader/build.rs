//! Records what the host is compiled for: a plugin must have the same target.

fn main() {
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=DEFT_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
