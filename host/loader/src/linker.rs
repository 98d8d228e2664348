//! The dynamic linker's texts, turned into messages with a remedy.

use deft_core::{Error, ErrorKind};

/// Says what a library lacks that could not be opened.
pub(crate) fn linker_error(error: &libloading::Error) -> Error {
    let text = std::error::Error::source(error).unwrap_or(error).to_string();
    explain(&text).unwrap_or_else(|| {
        Error::new(ErrorKind::Plugin, "the plugin cannot be loaded").with_source(error)
    })
}

fn explain(text: &str) -> Option<Error> {
    missing_library(text).or_else(|| missing_version(text)).or_else(|| missing_symbol(text))
}

/// `libgomp.so.1: cannot open shared object file: No such file or directory`, and on macOS
/// `… Library not loaded: /usr/lib/libgomp.1.dylib …`.
fn missing_library(text: &str) -> Option<Error> {
    let linux = text.split_once(": cannot open shared object file").map(|(name, _)| name);
    let macos = || text.split_once("Library not loaded: ")?.1.split_whitespace().next();
    let name = linux.or_else(macos)?.rsplit('/').next()?;
    let message = format!("the plugin needs the system library `{name}`, which is not found");
    Some(Error::new(ErrorKind::Plugin, message).with_hint(format!(
        "{}; if it is installed elsewhere, add its folder to $LD_LIBRARY_PATH",
        remedy(name)
    )))
}

/// ``/lib/libc.so.6: version `GLIBC_2.99' not found (required by …)``
fn missing_version(text: &str) -> Option<Error> {
    let (library, rest) = text.split_once(": version `")?;
    let (version, _) = rest.split_once("' not found")?;
    let library = library.rsplit('/').next()?;
    let message = format!("the plugin needs {version}, newer than this system's `{library}`");
    Some(Error::new(ErrorKind::Plugin, message).with_hint(
        "it was built on a newer system: build it on this one, or on the oldest it is to run on",
    ))
}

/// `/…/libdeft_x.so: undefined symbol: faiss_index_factory`
fn missing_symbol(text: &str) -> Option<Error> {
    let (_, symbol) = text.split_once("undefined symbol: ")?;
    let symbol = symbol.split([',', ' ']).next()?;
    let message = format!("the plugin needs the symbol `{symbol}`, which no library has");
    Some(Error::new(ErrorKind::Plugin, message).with_hint(
        "a library that it is linked with has another version here: build the plugin on this system",
    ))
}

/// Packages of libraries that plugins of numeric code need: the name before `.so`, the package of
/// Debian and Ubuntu, the package of Fedora and its kin.
const PACKAGES: [(&str, &str, &str); 12] = [
    ("libgomp", "libgomp1", "libgomp"),
    ("libiomp5", "libomp5", "libomp"),
    ("libomp", "libomp5", "libomp"),
    ("libstdc++", "libstdc++6", "libstdc++"),
    ("libgcc_s", "libgcc-s1", "libgcc"),
    ("libgfortran", "libgfortran5", "libgfortran"),
    ("libquadmath", "libquadmath0", "libquadmath"),
    ("libopenblas", "libopenblas0", "openblas-serial"),
    ("libblas", "libblas3", "blas"),
    ("liblapack", "liblapack3", "lapack"),
    ("libz", "zlib1g", "zlib"),
    ("libzstd", "libzstd1", "libzstd"),
];

/// Libraries of the CUDA toolkit, which most systems do not package.
const CUDA: [&str; 8] = [
    "libcudart",
    "libcublas",
    "libcublasLt",
    "libcurand",
    "libcusparse",
    "libcusolver",
    "libcufft",
    "libnvrtc",
];

/// Where a missing library comes from.
fn remedy(file: &str) -> String {
    let (stem, version) = file.split_once(".so").unwrap_or((file, ""));
    let version = version.trim_start_matches('.').split('.').next().unwrap_or_default();
    if let Some((_, debian, fedora)) = PACKAGES.iter().find(|(name, ..)| *name == stem) {
        return format!(
            "install it: `apt-get install {debian}` (Debian, Ubuntu) or `dnf install {fedora}` \
             (Fedora)"
        );
    }
    if stem == "libcuda" || stem.starts_with("libnvidia-") {
        return "it is part of NVIDIA's driver: install the driver, or build the plugin without \
                CUDA"
            .to_owned();
    }
    if CUDA.contains(&stem) {
        let toolkit = format!("CUDA toolkit {version}");
        return format!(
            "it is part of NVIDIA's {}: install that version, or build the plugin without CUDA",
            toolkit.trim_end()
        );
    }
    if stem.starts_with("libmkl") {
        return "it is part of Intel's oneMKL: `apt-get install libmkl-rt` (Debian, Ubuntu), \
                elsewhere from Intel's oneAPI"
            .to_owned();
    }
    format!(
        "install its package, which `apt-file search {file}` (Debian, Ubuntu) or \
         `dnf provides '*/{file}'` (Fedora) names"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        for (library, remedy) in [
            (
                "libgomp.so.1",
                "`apt-get install libgomp1` (Debian, Ubuntu) or `dnf install libgomp`",
            ),
            ("libstdc++.so.6", "libstdc++6"),
            ("libcudart.so.12", "CUDA toolkit 12"),
            ("libcuda.so.1", "NVIDIA's driver"),
            ("libmkl_rt.so.2", "oneMKL"),
            ("libsnappy.so.1", "`apt-file search libsnappy.so.1`"),
        ] {
            let text = format!("{library}: cannot open shared object file: No such file");
            let error = explain(&text).expect("understood");
            assert!(error.message().contains(&format!("`{library}`")), "{error}");
            assert!(error.hint().expect("a remedy").contains(remedy), "{:?}", error.hint());
        }
        let macos = "dlopen(x.dylib, 0x5): Library not loaded: @rpath/libomp.dylib\n  Referenced";
        assert!(explain(macos).expect("understood").message().contains("`libomp.dylib`"));
    }

    #[test]
    fn a_missing_version_or_symbol_means_another_system() {
        let text = "/lib64/libc.so.6: version `GLIBC_2.99' not found (required by /x/libdeft_x.so)";
        let error = explain(text).expect("understood");
        assert!(error.message().contains("GLIBC_2.99, newer than this system's `libc.so.6`"));
        assert!(error.hint().expect("a remedy").contains("newer system"));
        let text = "/x/libdeft_x.so: undefined symbol: faiss_write, version V1";
        assert!(explain(text).expect("understood").message().contains("symbol `faiss_write`"));
        assert!(explain("something else").is_none());
    }
}
