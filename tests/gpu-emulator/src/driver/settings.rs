//! What a test can choose, from the environment.

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use super::state::complain;
use super::status::{Answer, Status};

/// What the machine is said to have; the table in [`super`] has the variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How many GPUs there are.
    pub(crate) gpus: usize,
    /// Bytes of memory of each GPU.
    pub(crate) memory: usize,
    /// The compute capability of every GPU: `(9, 0)`.
    pub(crate) capability: (u32, u32),
    /// The version of CUDA that the driver is for: 13000 is 13.0.
    pub(crate) driver: i32,
    /// After how many launches GPU 0 is lost.
    pub(crate) lost_after: Option<u64>,
    /// Where it is written what the GPUs have done.
    pub(crate) log: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let memory = 4 << 30;
        Self { gpus: 1, memory, capability: (9, 0), driver: 13000, lost_after: None, log: None }
    }
}

impl Settings {
    /// Those of the process, read once.
    ///
    /// # Errors
    ///
    /// `INVALID_VALUE` if a variable is not understood; which one is said the first time.
    pub(crate) fn of_process() -> Answer<&'static Self> {
        static READ: OnceLock<Result<Settings, String>> = OnceLock::new();
        let variable = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into());
        READ.get_or_init(|| Self::read(variable).inspect_err(|text| complain(text)))
            .as_ref()
            .map_err(|_| Status::INVALID_VALUE)
    }

    /// Reads the variables; one that is not there has its default.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let default = Self::default();
        let capability = match variable("GPU_EMULATOR_CAPABILITY") {
            Some(text) => capability(&text)
                .ok_or_else(|| format!("`GPU_EMULATOR_CAPABILITY` is like `9.0`, not `{text}`"))?,
            None => default.capability,
        };
        Ok(Self {
            gpus: number(&variable, "GPU_EMULATOR_GPUS")?.unwrap_or(default.gpus),
            memory: number(&variable, "GPU_EMULATOR_MEMORY")?.unwrap_or(default.memory),
            capability,
            driver: number(&variable, "GPU_EMULATOR_DRIVER")?.unwrap_or(default.driver),
            lost_after: number(&variable, "GPU_EMULATOR_LOST_AFTER")?,
            log: variable("GPU_EMULATOR_LOG").map(PathBuf::from),
        })
    }
}

fn number<T: FromStr>(
    variable: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, String> {
    let Some(text) = variable(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("`{name}` is a number, not `{text}`"))
}

fn capability(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, String> {
        Settings::read(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn what_is_not_set_has_its_default() {
        assert_eq!(Settings::read(|_| None), Ok(Settings::default()));
    }

    #[test]
    fn each_variable_sets_its_own() {
        assert_eq!(read("GPU_EMULATOR_GPUS", "0").map(|it| it.gpus), Ok(0));
        assert_eq!(read("GPU_EMULATOR_MEMORY", "1024").map(|it| it.memory), Ok(1024));
        assert_eq!(read("GPU_EMULATOR_CAPABILITY", "8.6").map(|it| it.capability), Ok((8, 6)));
        assert_eq!(read("GPU_EMULATOR_DRIVER", "12040").map(|it| it.driver), Ok(12040));
        assert_eq!(read("GPU_EMULATOR_LOST_AFTER", "3").map(|it| it.lost_after), Ok(Some(3)));
        assert_eq!(read("GPU_EMULATOR_LOG", "a").map(|it| it.log), Ok(Some(PathBuf::from("a"))));
    }

    #[test]
    fn a_value_that_is_not_understood_is_named() {
        let told = |name, value| read(name, value).expect_err("not understood");
        let text = told("GPU_EMULATOR_MEMORY", "4G");
        assert_eq!(text, "`GPU_EMULATOR_MEMORY` is a number, not `4G`");
        let text = told("GPU_EMULATOR_CAPABILITY", "sm_90");
        assert_eq!(text, "`GPU_EMULATOR_CAPABILITY` is like `9.0`, not `sm_90`");
    }
}
