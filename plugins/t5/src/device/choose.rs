//! Which of what was found is taken, and what is said where nothing can be.

use deft_core::{Error, Result};

use super::found::{Built, Found, Gpu};
use crate::config::DeviceChoice;

/// What is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The CPU; and where `auto` has looked for a GPU in vain, why.
    Host(Option<String>),
    /// The GPUs of these numbers, one at least.
    Gpus(Vec<usize>),
}

/// The remedy that is always there.
pub(super) const ELSE_CPU: &str = "`device: cpu` works meanwhile";

/// Takes what the option names; `found` is `None` in a build without CUDA.
pub(super) fn choose(found: Option<&Found>, choice: DeviceChoice) -> Result<Choice> {
    match (choice, found) {
        (DeviceChoice::Cpu, _) | (DeviceChoice::Auto, None) => Ok(Choice::Host(None)),
        (DeviceChoice::Auto, Some(found)) => Ok(match usable(found) {
            Ok(numbers) => Choice::Gpus(numbers[..1].to_vec()),
            Err(error) => Choice::Host(Some(reason(&error))),
        }),
        (_, None) => Err(no_cuda(choice)),
        (DeviceChoice::EveryCuda, Some(found)) => usable(found).map(Choice::Gpus),
        (DeviceChoice::Cuda(number), Some(found)) => {
            let gpus = ready(found)?;
            let gpu = gpus.get(number).ok_or_else(|| no_such_gpu(number, gpus))?;
            check_kernels(&found.built, number, gpu)?;
            Ok(Choice::Gpus(vec![number]))
        }
    }
}

/// Why the CPU is taken, and what would help. That the CPU works need not be said.
fn reason(error: &Error) -> String {
    let hint = error.hint().unwrap_or_default();
    let remedy = hint.strip_suffix(ELSE_CPU).unwrap_or(hint).trim_end_matches([';', ' ']);
    format!("{} ({remedy})", error.message())
}

/// A GPU was asked for of a build that knows none.
pub(crate) fn no_cuda(choice: DeviceChoice) -> Error {
    let message = format!("this build of the plugin has no CUDA (`device`: {choice})");
    Error::option_at("device", message)
        .with_hint("allowed: auto, cpu; docs/gpu.md tells how to build it with CUDA")
}

/// The numbers of the GPUs that the kernels run on, one at least.
fn usable(found: &Found) -> Result<Vec<usize>> {
    let gpus = ready(found)?;
    let (mut numbers, mut first) = (Vec::new(), None);
    for (number, gpu) in gpus.iter().enumerate() {
        match check_kernels(&found.built, number, gpu) {
            Ok(()) => numbers.push(number),
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) if numbers.is_empty() => Err(error),
        _ => Ok(numbers),
    }
}

/// The GPUs, of which there is one at least, once everything is there that they need.
fn ready(found: &Found) -> Result<&[Gpu]> {
    check_driver(found)?;
    check_libraries(found)?;
    let gpus = found.gpus.as_ref().map_err(|reason| {
        refused(format!("the NVIDIA driver does not start: {reason}")).with_hint(format!(
            "does `nvidia-smi` work? after an update of the driver the machine must be started \
             anew; {ELSE_CPU}"
        ))
    })?;
    if gpus.is_empty() {
        return Err(refused("the NVIDIA driver finds no GPU".to_owned()).with_hint(format!(
            "does CUDA_VISIBLE_DEVICES hide it, or was the container started without it? {ELSE_CPU}"
        )));
    }
    Ok(gpus.as_slice())
}

fn check_driver(found: &Found) -> Result<()> {
    if let Some((file, reason)) = found.missing.iter().find(|(file, _)| is_driver(file)) {
        let message = format!("there is no NVIDIA driver: {file} cannot be opened: {reason}");
        return Err(refused(message).with_hint(format!(
            "install the driver, or start the container with the machine's GPUs; {ELSE_CPU}"
        )));
    }
    let driver = found.driver.as_ref().map_err(|reason| {
        refused(format!("the NVIDIA driver does not tell its version: {reason}"))
            .with_hint(format!("does `nvidia-smi` work? {ELSE_CPU}"))
    })?;
    let toolkit = found.built.toolkit;
    if *driver >= toolkit {
        return Ok(());
    }
    let message =
        format!("the NVIDIA driver is for CUDA {driver}, older than the plugin's CUDA {toolkit}");
    Err(refused(message).with_hint(format!(
        "update the driver, or build the plugin with CUDA {driver} (docs/gpu.md); {ELSE_CPU}"
    )))
}

fn check_libraries(found: &Found) -> Result<()> {
    let Some((file, reason)) = found.missing.iter().find(|(file, _)| !is_driver(file)) else {
        return Ok(());
    };
    let message = format!("a library of CUDA is missing: {file} cannot be opened: {reason}");
    Err(refused(message).with_hint(format!(
        "install it, or say in DEFT_CUDA_LIB_DIR which folder it is in (docs/gpu.md); {ELSE_CPU}"
    )))
}

/// The driver's library comes with the driver, all others with the toolkit.
fn is_driver(file: &str) -> bool {
    file.starts_with("libcuda.")
}

fn check_kernels(built: &Built, number: usize, gpu: &Gpu) -> Result<()> {
    if built.runs_on(gpu.capability) {
        return Ok(());
    }
    let message = format!(
        "GPU {number} ({}) has compute capability {}, and the plugin's kernels need {}",
        gpu.name,
        gpu.capability,
        built.wants()
    );
    Err(refused(message).with_hint(format!(
        "build the plugin with CUDA_COMPUTE_CAP={}{} (docs/gpu.md), or take another GPU; {ELSE_CPU}",
        gpu.capability.major, gpu.capability.minor
    )))
}

fn no_such_gpu(number: usize, gpus: &[Gpu]) -> Error {
    let names: Vec<String> =
        gpus.iter().enumerate().map(|(number, gpu)| format!("{number}: {}", gpu.name)).collect();
    refused(format!("there is no GPU {number} (found: {})", names.join(", "))).with_hint(format!(
        "allowed: {}; CUDA_VISIBLE_DEVICES decides which GPUs there are and how they are counted; \
         {ELSE_CPU}",
        match gpus.len() - 1 {
            0 => "cuda:0".to_owned(),
            last => format!("cuda:0 to cuda:{last}"),
        }
    ))
}

fn refused(message: String) -> Error {
    Error::option_at("device", message)
}

#[cfg(test)]
mod tests {
    use super::super::found::Version;
    use super::*;

    fn version(major: i32, minor: i32) -> Version {
        Version { major, minor }
    }

    fn gpu(name: &str, major: i32, minor: i32) -> Gpu {
        Gpu { name: name.to_owned(), capability: version(major, minor) }
    }

    /// A machine on which everything is as it should be, with an old GPU and two that can be used.
    fn found() -> Found {
        Found {
            built: Built { toolkit: version(13, 0), capability: version(8, 0) },
            missing: Vec::new(),
            driver: Ok(version(13, 1)),
            gpus: Ok(vec![gpu("old", 7, 5), gpu("new", 8, 0), gpu("newer", 9, 0)]),
        }
    }

    /// What is not as it should be, the message that `cuda:0` gets, and a part of the hint.
    fn faults() -> Vec<(Found, &'static str, &'static str)> {
        let missing = |file, reason: &str| vec![(file, reason.to_owned())];
        vec![
            (
                Found { missing: missing("libcuda.so.1", "no such file"), ..found() },
                "there is no NVIDIA driver: libcuda.so.1 cannot be opened: no such file",
                "install the driver",
            ),
            (
                Found { driver: Err("error 999".to_owned()), ..found() },
                "the NVIDIA driver does not tell its version: error 999",
                "`nvidia-smi`",
            ),
            (
                Found { driver: Ok(version(12, 4)), ..found() },
                "the NVIDIA driver is for CUDA 12.4, older than the plugin's CUDA 13.0",
                "build the plugin with CUDA 12.4",
            ),
            (
                Found { missing: missing("libcublas.so.13", "no such file"), ..found() },
                "a library of CUDA is missing: libcublas.so.13 cannot be opened: no such file",
                "DEFT_CUDA_LIB_DIR",
            ),
            (
                Found { gpus: Err("error 803".to_owned()), ..found() },
                "the NVIDIA driver does not start: error 803",
                "started anew",
            ),
            (
                Found { gpus: Ok(Vec::new()), ..found() },
                "the NVIDIA driver finds no GPU",
                "CUDA_VISIBLE_DEVICES",
            ),
            (
                Found { gpus: Ok(vec![gpu("old", 7, 5)]), ..found() },
                "GPU 0 (old) has compute capability 7.5, and the plugin's kernels need 8.0 or higher",
                "CUDA_COMPUTE_CAP=75",
            ),
        ]
    }

    #[test]
    fn a_gpu_that_is_asked_for_and_cannot_be_used_is_an_error_with_a_remedy() {
        for (found, message, remedy) in faults() {
            for choice in [DeviceChoice::Cuda(0), DeviceChoice::EveryCuda] {
                let error = choose(Some(&found), choice).expect_err("refused");
                assert_eq!((error.option(), error.message()), (Some("device"), message));
                let hint = error.hint().expect("a remedy");
                assert!(hint.contains(remedy) && hint.contains(ELSE_CPU), "{hint}");
            }
        }
    }

    #[test]
    fn auto_takes_the_cpu_where_no_gpu_can_be_used_and_says_why_and_what_helps() {
        for (found, message, remedy) in faults() {
            let choice = choose(Some(&found), DeviceChoice::Auto).expect("the CPU");
            let Choice::Host(Some(why)) = choice else { panic!("no reason") };
            assert!(why.starts_with(message) && why.contains(remedy), "{why}");
            assert!(!why.contains(ELSE_CPU) && !why.contains("; )"), "{why}");
        }
        assert_eq!(choose(None, DeviceChoice::Auto).expect("the CPU"), Choice::Host(None));
    }

    #[test]
    fn gpus_are_those_that_the_kernels_run_on() {
        let found = found();
        for (choice, numbers) in [
            (DeviceChoice::Auto, vec![1]),
            (DeviceChoice::Cuda(2), vec![2]),
            (DeviceChoice::EveryCuda, vec![1, 2]),
        ] {
            let chosen = choose(Some(&found), choice).expect("a GPU");
            assert_eq!(chosen, Choice::Gpus(numbers), "{choice}");
        }
        let cpu = choose(Some(&found), DeviceChoice::Cpu).expect("the CPU");
        assert_eq!(cpu, Choice::Host(None));
    }

    #[test]
    fn a_number_that_no_gpu_has_is_answered_with_those_that_are_there() {
        let error = choose(Some(&found()), DeviceChoice::Cuda(3)).expect_err("no such GPU");
        assert_eq!(error.message(), "there is no GPU 3 (found: 0: old, 1: new, 2: newer)");
        let hint = error.hint().expect("a remedy");
        assert!(hint.contains("cuda:0 to cuda:2") && hint.contains(ELSE_CPU), "{hint}");
    }

    #[test]
    fn kernels_for_one_kind_of_gpu_say_so() {
        let built = Built { capability: version(9, 0), ..found().built };
        let found = Found { built, gpus: Ok(vec![gpu("next", 10, 0)]), ..found() };
        let error = choose(Some(&found), DeviceChoice::Cuda(0)).expect_err("another kind");
        assert!(error.message().ends_with("10.0, and the plugin's kernels need 9.0"), "{error}");
    }

    #[test]
    fn a_build_without_cuda_names_the_device_that_it_refuses() {
        for choice in [DeviceChoice::Cuda(1), DeviceChoice::EveryCuda] {
            let error = choose(None, choice).expect_err("no CUDA");
            assert!(error.message().contains(&format!("no CUDA (`device`: {choice})")), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("docs/gpu.md")));
        }
    }
}
