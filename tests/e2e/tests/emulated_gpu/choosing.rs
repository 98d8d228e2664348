//! Which device is taken: GPUs that cannot be used are refused with a remedy, or passed over.

use deft_e2e::call_fails;

use crate::machine::{CAPABILITY, DRIVER, Emulated, GPUS};

/// What is always offered.
const ELSE_CPU: &str = "`device: cpu` works meanwhile";

/// A machine that cannot be used, what is said of it, and what would help.
struct Fault {
    setting: (&'static str, &'static str),
    message: &'static str,
    remedy: &'static str,
}

const OLD_DRIVER: Fault = Fault {
    setting: (DRIVER, "12040"),
    message: "the NVIDIA driver is for CUDA 12.4, older than the plugin's CUDA",
    remedy: "update the driver, or build the plugin with CUDA 12.4",
};
const NO_GPU: Fault = Fault {
    setting: (GPUS, "0"),
    message: "the NVIDIA driver finds no GPU",
    remedy: "does CUDA_VISIBLE_DEVICES hide it",
};
const OLD_GPU: Fault = Fault {
    setting: (CAPABILITY, "7.5"),
    message: "GPU 0 (Emulated GPU) has compute capability 7.5, and the plugin's kernels need",
    remedy: "build the plugin with CUDA_COMPUTE_CAP=75",
};
const NO_SUCH_GPU: Fault = Fault {
    setting: (GPUS, "2"),
    message: "there is no GPU 3 (found: 0: Emulated GPU, 1: Emulated GPU)",
    remedy: "allowed: cuda:0 to cuda:1",
};

impl Fault {
    /// A whole run on this machine is refused, with a usage error at the option of this component.
    #[track_caller]
    fn is_refused(&self, project: &Emulated, component: &str) {
        let (name, value) = self.setting;
        let at_option = format!("error: {component}.device: {}", self.message);
        let parts = [at_option.as_str(), "manifest.yaml:", self.remedy, ELSE_CPU];
        call_fails(project.call("run").env(name, value), 2, &parts);
        assert_eq!(project.take_log().all_launches(), 0);
    }
}

#[test]
fn a_gpu_that_cannot_be_used_is_refused_with_a_remedy_before_anything_is_encoded() {
    for (device, fault) in
        [("cuda:0", OLD_DRIVER), ("cuda:all", NO_GPU), ("cuda:0", OLD_GPU), ("cuda:3", NO_SUCH_GPU)]
    {
        let Some(project) = Emulated::new(&format!(", device: {device}"), "") else { return };
        fault.is_refused(&project, "retriever.encoder");
        assert!(project.encoded().is_empty() && !project.arm().join("hits.jsonl").exists());
    }
}

#[test]
fn a_trainers_gpu_that_cannot_be_used_is_refused_and_leaves_no_model() {
    let Some(project) = Emulated::new(", device: cpu", ", device: cuda:0") else { return };
    OLD_GPU.is_refused(&project, "trainer");
    assert!(project.arm().join("selection.jsonl").exists(), "what was done before is kept");
    assert!(!project.trained().join("model").exists());
}

#[test]
fn auto_computes_on_the_cpu_where_no_gpu_can_be_used_and_says_why_once() {
    let Some(cpu) = Emulated::new(", device: cpu", "") else { return };
    cpu.call("index").succeed();
    for Fault { setting: (name, value), message, remedy } in [OLD_DRIVER, NO_GPU, OLD_GPU] {
        let project = Emulated::new("", "").unwrap();
        let stderr = project.call("index").env(name, value).succeed().stderr;
        for part in [format!("t5: computing on the CPU: {message}").as_str(), remedy] {
            assert_eq!(stderr.matches(part).count(), 1, "«{part}» is not said once in:\n{stderr}");
        }
        assert!(!stderr.contains(ELSE_CPU), "it is what is done:\n{stderr}");
        assert_eq!(project.vectors(), cpu.vectors());
    }
}
