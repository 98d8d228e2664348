//! What a GPU computes: the same as the CPU, in every precision, on one or on several.

use serde_json::Value;

use deft_e2e::{read_json, read_npy};

use crate::machine::{Emulated, GPUS, LONGEST, MEMORY, ROUNDING, apart, lines_of};

/// A whole run with both components on a device, and without the masks of dropout, which each kind of
/// device draws for itself.
fn run_on(device: &str) -> Option<Emulated> {
    let device = format!(", device: {device}");
    let project = Emulated::new(&device, &format!("{device}, dropout: 0"))?;
    project.call("run").succeed();
    Some(project)
}

#[test]
fn a_whole_run_on_a_gpu_is_that_of_the_cpu_up_to_rounding() {
    let Some(cpu) = run_on("cpu") else { return };
    let gpu = run_on("cuda:0").unwrap();
    assert_eq!(cpu.take_log().all_launches(), 0, "a CPU was asked for");
    let log = gpu.take_log();
    for kernel in ["attend_f32", "attend_backward_f32", "adam", "cublas_gemm_f32"] {
        assert!(log.launches(0, kernel) > 0, "no {kernel}: {log:?}");
    }

    let apart = apart(&gpu.vectors(), &cpu.vectors());
    assert!(apart < ROUNDING, "{apart}");
    let column = |project: &Emulated, file: &str, field: &str| -> Vec<Value> {
        lines_of(&project.arm().join(file)).iter().map(|line| line[field].clone()).collect()
    };
    for (file, field) in [("hits.jsonl", "ids"), ("selection.jsonl", "index_id")] {
        assert_eq!(column(&gpu, file, field), column(&cpu, file, field), "{file}");
    }
    assert_near(&losses(&gpu), &losses(&cpu));
    assert_near(&log_probabilities(&gpu), &log_probabilities(&cpu));
}

/// Mean losses of the training.
fn losses(project: &Emulated) -> Vec<f64> {
    numbers(&read_json(&project.trained().join("model/training.json"))["losses"])
}

/// Log-probabilities of all options of the examples that were evaluated.
fn log_probabilities(project: &Emulated) -> Vec<f64> {
    let lines = lines_of(&project.trained().join("predictions.jsonl"));
    lines.iter().flat_map(|line| numbers(&line["option_scores"]["log_probs"])).collect()
}

fn numbers(array: &Value) -> Vec<f64> {
    array.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Rounding grows over the steps: Adam makes a whole step of a gradient that is hardly there.
#[track_caller]
fn assert_near(found: &[f64], wanted: &[f64]) {
    let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-3 * b.abs().max(1.0));
    assert!(near && found.len() == wanted.len(), "{found:?}, not {wanted:?}");
    assert!(!wanted.is_empty(), "nothing was compared");
}

#[test]
fn auto_takes_the_gpu_and_says_so_once() {
    let Some(project) = Emulated::new("", "") else { return };
    let stderr = project.call("run").env(MEMORY, "4300000000").succeed().stderr;
    let says = "t5: computing on GPU 0, in f32 (4.3 GB free)";
    assert!(stderr.contains(says), "no «{says}» in:\n{stderr}");
    assert_eq!(stderr.matches("computing on").count(), 1, "said once:\n{stderr}");
    let log = project.take_log();
    for kernel in ["attend_f32", "adam"] {
        assert!(log.launches(0, kernel) > 0, "no {kernel}: {log:?}");
    }
}

#[test]
fn whole_runs_in_fewer_bits_go_through_and_lose_as_much_as_these_bits_do() {
    let Some(exact) = Emulated::new(", device: cpu", "") else { return };
    exact.call("index").succeed();
    for (precision, at_most, kernels) in [
        ("tf32", 0.01, ["attend_f32", "cublas_gemm_f32"]),
        ("bf16", 0.1, ["attend_bf16", "cublas_gemm_bf16"]),
    ] {
        let options = format!(", device: cuda:0, precision: {precision}");
        let project = Emulated::new(&options, &options).unwrap();
        let stderr = project.call("run").succeed().stderr;
        let says = format!("computing on GPU 0, in {precision}");
        assert_eq!(stderr.matches(&says).count(), 1, "{stderr}");

        let log = project.take_log();
        for kernel in kernels.into_iter().chain(["adam"]) {
            assert!(log.launches(0, kernel) > 0, "{precision}, no {kernel}: {log:?}");
        }
        let apart = apart(&project.vectors(), &exact.vectors());
        assert!((ROUNDING..at_most).contains(&apart), "{precision}: {apart}");
        assert_eq!(read_json(&project.trained().join("metrics.json"))["evaluated"], 8);
    }
}

#[test]
fn vectors_of_two_gpus_are_those_of_one() {
    // Batches of five texts: each GPU gets some.
    let options = |device: &str| format!(", device: {device}, batch_tokens: {}", 5 * LONGEST);
    let Some(project) = Emulated::new("", "") else { return };
    project.encode(&options("cuda:0"), "one.npy").succeed();
    let log = project.take_log();
    assert!(log.launches(0, "attend_f32") > 1, "several batches: {log:?}");

    let call = project.encode(&options("cuda:all"), "two.npy").env(GPUS, "2");
    // More threads than GPUs: none of these waits for a batch.
    let stderr = call.args(&["--threads", "3"]).succeed().stderr;
    let log = project.take_log();
    for gpu in [0, 1] {
        assert!(stderr.contains(&format!("computing on GPU {gpu}, in f32")), "{stderr}");
        assert!(log.launches(gpu, "attend_f32") > 0, "nothing on GPU {gpu}: {log:?}");
    }
    let vectors = |name: &str| read_npy(&project.path(name)).1;
    assert_eq!(vectors("two.npy"), vectors("one.npy"));
}
