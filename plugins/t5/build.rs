//! With the feature `cuda`: compiles our own kernels, gives the linker something in the place of CUDA's
//! libraries, and tells the plugin what its kernels are made with. Without the feature it does nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{env, fs};

/// What cudarc and candle-kernels ask the linker for. The functions are in `src/cuda/functions.rs`.
const LIBRARIES: [&str; 6] = ["cuda", "cublas", "cublasLt", "curand", "nvrtc", "cudart"];

/// An archive without a member.
const EMPTY: &[u8] = b"!<arch>\n";

/// What decides which compiler makes the kernels, and for which GPU.
const VARIABLES: [&str; 6] =
    ["CUDA_COMPUTE_CAP", "CUDA_HOME", "CUDA_PATH", "DEFT_NVCC", "NVCC", "NVCC_CCBIN"];

/// The folder of our own kernels, each file of which is compiled by itself.
const KERNELS: &str = "src/gpu_kernels/kernels";

/// The front of the compiler that makes nothing of the kernels that call the CUDA runtime.
const FRONT: &str = "nvcc.sh";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in VARIABLES {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let (major, minor) = toolkit();
    println!("cargo::rustc-env=DEFT_CUDA_MAJOR={major}");
    println!("cargo::rustc-env=DEFT_CUDA_TOOLKIT={major}.{minor}");
    let capability = capability();
    println!("cargo::rustc-env=DEFT_CUDA_COMPUTE_CAPABILITY={capability}");
    kernels(&capability.replace('.', ""));
    link();
}

/// Compiles our own kernels, for GPUs of a capability (`80`) and later ones.
fn kernels(capability: &str) {
    println!("cargo::rerun-if-changed={KERNELS}");
    let files = fs::read_dir(KERNELS).expect("the folder of kernels can be read");
    for file in files.map(|file| file.expect("the folder of kernels can be read").path()) {
        if file.extension().is_some_and(|extension| extension == "cu") {
            compile(&file, capability);
        }
    }
}

/// Compiles one file, with the options that candle-kernels has for its own.
fn compile(file: &Path, capability: &str) {
    let name = file.file_stem().expect("a file has a name");
    let mut command = Command::new(compiler());
    command.args(["--ptx", "-O3", "-std=c++17"]).arg(format!("--gpu-architecture=sm_{capability}"));
    if let Some(compiler) = env::var_os("NVCC_CCBIN") {
        command.args(["-allow-unsupported-compiler", "-ccbin"]).arg(compiler);
    }
    command.arg(file).arg("-o").arg(folder().join(name).with_extension("ptx"));
    let status = command.status();
    let is_done = status.as_ref().is_ok_and(ExitStatus::success);
    assert!(is_done, "{}: the CUDA compiler failed: {status:?}", file.display());
}

/// Cargo's folder for what is made here.
fn folder() -> PathBuf {
    env::var_os("OUT_DIR").expect("cargo gives a build script a folder").into()
}

/// Puts archives of the names that are asked for into a folder that is searched before all others, so
/// that the linker finds them and nothing of a toolkit or a driver.
///
/// The folder comes first because cargo names a package's own before those of its dependencies.
fn link() {
    let folder = folder();
    for name in LIBRARIES {
        write(&folder, name, EMPTY);
    }
    // Kernels that the compiler has put into objects (quantised and mixture-of-experts ones, unless
    // `cuda/nvcc.sh` leaves them out) call the runtime: it becomes a part of the plugin.
    if let Some(runtime) = static_runtime() {
        write(&folder, "cudart", &fs::read(runtime).expect("a toolkit can be read"));
    } else if compiler().file_name().is_none_or(|name| name != FRONT) {
        println!(
            "cargo::warning=the toolkit has no libcudart_static.a, which quantised kernels call: \
             install it, or leave them out with NVCC=…/plugins/t5/cuda/{FRONT} (docs/gpu.md)"
        );
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
    // A function that is called and not in `src/cuda/functions.rs` ends the build, not a user's run.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,defs");
}

/// Writes one archive.
fn write(folder: &Path, name: &str, content: &[u8]) {
    fs::write(folder.join(format!("lib{name}.a")), content).expect("cargo's folder can be written");
}

/// The version of the compiler that candle-kernels takes.
fn toolkit() -> (u32, u32) {
    let compiler = compiler();
    let text = output(Command::new(&compiler).arg("--version"));
    let version = text.as_deref().and_then(release);
    version.unwrap_or_else(|| {
        panic!(
            "{}: no CUDA compiler: `nvcc` must be on PATH, also where CUDA_HOME is set, or NVCC \
             must name it; see docs/gpu.md",
            compiler.display()
        )
    })
}

/// `Cuda compilation tools, release 13.0, V13.0.88`
fn release(text: &str) -> Option<(u32, u32)> {
    let number = text.split_once("release ")?.1.split(',').next()?;
    let (major, minor) = number.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `$NVCC`, as candle-kernels takes it, else that on the path, as cudarc does.
fn compiler() -> PathBuf {
    env::var_os("NVCC").map_or_else(|| "nvcc".into(), PathBuf::from)
}

/// The compute capability in the form `8.0`, from where candle-kernels takes it.
fn capability() -> String {
    let asked = || {
        let query = ["--query-gpu=compute_cap", "--format=csv,noheader"];
        output(Command::new("nvidia-smi").args(query))
    };
    let text = env::var("CUDA_COMPUTE_CAP").ok().or_else(asked).unwrap_or_default();
    let number = number(&text).unwrap_or_else(|| {
        panic!(
            "CUDA_COMPUTE_CAP must say for which kind of GPU, one alone, as `80` (found: `{}`); see \
             docs/gpu.md",
            text.trim()
        )
    });
    format!("{}.{}", number / 10, number % 10)
}

/// `90` of `90`, `90a`, `sm_90a` or `9.0`, of the first line; `None` of a list of several.
fn number(text: &str) -> Option<u32> {
    let digits: String = text.lines().next()?.chars().filter(char::is_ascii_digit).collect();
    let is_one = (2..=3).contains(&digits.len());
    digits.parse().ok().filter(|_| is_one)
}

/// The CUDA runtime as an archive, from the toolkit, if it has one.
///
/// First the folders of the processor that is built for: `lib64` is that of the machine that builds.
/// NVIDIA calls servers with an ARM processor `sbsa`, small boards `aarch64`.
fn static_runtime() -> Option<PathBuf> {
    let processor = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let server = (processor == "aarch64").then(|| "targets/sbsa-linux/lib".to_owned());
    let others = [
        format!("targets/{processor}-linux/lib"),
        format!("lib/{processor}-linux-gnu"),
        "lib64".to_owned(),
        "lib".to_owned(),
    ];
    let folders: Vec<String> = server.into_iter().chain(others).collect();
    let file = |root: &Path| {
        let files = folders.iter().map(|folder| root.join(folder).join("libcudart_static.a"));
        files.into_iter().find(|file| file.is_file())
    };
    toolkit_folders().iter().find_map(|root| file(root))
}

/// Where the toolkit may be: where the environment says, and above the compiler's folder on the path.
fn toolkit_folders() -> Vec<PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let compilers = env::split_paths(&path).map(|folder| folder.join("nvcc"));
    let found = compilers.filter_map(|compiler| {
        let compiler = compiler.canonicalize().ok()?;
        Some(compiler.parent()?.parent()?.to_owned())
    });
    named.chain(found).collect()
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
