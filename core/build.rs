//! Records what the crate is compiled for and with: a plugin's descriptor states it.

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = match &version {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    };
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    // `-C target-cpu=native` and the like; what every processor of the target has is listed, too.
    let cpu = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    println!("cargo::rustc-env=DEFT_CPU={cpu}");
    println!("cargo::rustc-env=DEFT_RUSTC={version}");
    println!("cargo::rustc-env=DEFT_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
