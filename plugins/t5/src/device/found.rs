//! What this build and this machine have for computing on GPUs.

use std::fmt;

use super::gpu;

/// What a build with CUDA finds on a machine.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) built: Built,
    /// Files of libraries that cannot be opened, with the loader's reasons.
    pub(super) missing: Vec<(&'static str, String)>,
    /// The version of CUDA that the driver is for, or why it does not say.
    pub(super) driver: Result<Version, String>,
    /// The GPUs by their numbers, or why the driver does not start.
    pub(super) gpus: Result<Vec<Gpu>, String>,
}

/// What the kernels in the plugin were made with, and for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) toolkit: Version,
    pub(super) capability: Version,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gpu {
    pub(super) name: String,
    pub(super) capability: Version,
}

/// A version of CUDA, or a compute capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: i32,
    pub(super) minor: i32,
}

/// A GPU's name and the two numbers of its compute capability.
pub(super) type Named = (String, (i32, i32));

/// From this capability on kernels are made for it alone, since they may use what no other has.
const EXACT: Version = Version { major: 9, minor: 0 };

impl Found {
    /// Looks around without opening a GPU; `None` in a build without CUDA.
    pub(super) fn look() -> Option<Self> {
        let built = Built::here()?;
        let missing = gpu::missing();
        let driver = gpu::driver().map(Version::of_cuda);
        let gpu = |(name, (major, minor))| Gpu { name, capability: Version { major, minor } };
        let gpus = gpu::gpus().map(|all| all.into_iter().map(gpu).collect());
        Some(Self { built, missing, driver, gpus })
    }

    /// The GPU of a number.
    pub(super) fn gpu(&self, number: usize) -> Option<&Gpu> {
        self.gpus.as_ref().ok()?.get(number)
    }
}

impl Built {
    /// Those of this build, if it has CUDA.
    pub(super) fn here() -> Option<Self> {
        let (toolkit, capability) = gpu::BUILT?;
        let parse = |text| Version::parse(text).expect("the build writes two numbers");
        Some(Self { toolkit: parse(toolkit), capability: parse(capability) })
    }

    /// Whether the kernels run on a GPU of this compute capability.
    pub(super) fn runs_on(&self, capability: Version) -> bool {
        if self.is_exact() { capability == self.capability } else { capability >= self.capability }
    }

    /// Which compute capabilities the kernels run on, in words.
    pub(super) fn wants(&self) -> String {
        let end = if self.is_exact() { "" } else { " or higher" };
        format!("{}{end}", self.capability)
    }

    fn is_exact(&self) -> bool {
        self.capability >= EXACT
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// 13.1 of 13010.
    fn of_cuda(number: i32) -> Self {
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    #[test]
    fn versions_are_read_from_text_and_from_the_drivers_number() {
        assert_eq!(version("13.0"), Version::of_cuda(13000));
        assert_eq!(Version::of_cuda(12040).to_string(), "12.4");
        assert!(version("12.9") < version("13.0") && version("9.0") < version("10.0"));
        assert!(["13", "", "x.0", "9.0a"].iter().all(|text| Version::parse(text).is_none()));
    }

    #[test]
    fn kernels_run_on_later_gpus_unless_they_are_for_one_kind_alone() {
        let runs = |made_for, on| {
            let built = Built { toolkit: version("13.0"), capability: version(made_for) };
            built.runs_on(version(on))
        };
        assert!(runs("8.0", "8.0") && runs("8.0", "8.6") && runs("8.0", "9.0"));
        assert!(!runs("8.0", "7.5"));
        assert!(runs("9.0", "9.0") && !runs("9.0", "10.0") && !runs("9.0", "8.9"));
    }
}
