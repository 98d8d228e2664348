//! `deft plan`: what a run will cost, told without doing it, and refused where it does not fit.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER};
use serde_json::Value;

fn project(blocks: &[&str]) -> Project {
    let project = Project::new();
    project.manifest(blocks);
    project
}

fn plan_of(project: &Project) -> Value {
    serde_json::from_str(&project.deft("plan").arg("--json").succeed().stdout).unwrap()
}

/// The stages of a plan of this name.
fn stages<'a>(plan: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = plan["stages"].as_array().unwrap();
    all.iter().filter(|stage| stage["stage"] == name).collect()
}

fn disk(plan: &Value, stage: &str) -> f64 {
    stages(plan, stage).iter().map(|one| one["disk"].as_f64().unwrap()).sum()
}

/// Bytes of the outputs below a folder, without cards.
fn bytes_below(path: &Path) -> f64 {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries.map(|entry| bytes_below(&entry.unwrap().path())).sum();
    }
    let is_card = path.ends_with("card.json");
    if is_card { 0.0 } else { fs::metadata(path).unwrap().len() as f64 }
}

fn written(project: &Project, stage: &str) -> f64 {
    project.stages(stage).iter().map(|dir| bytes_below(dir)).sum()
}

fn assert_near(what: &str, planned: f64, written: f64) {
    let is_near = planned <= written * 1.5 && written <= planned * 1.5;
    assert!(is_near, "{what}: planned {planned} bytes, written {written}");
}

#[test]
fn a_plan_tells_of_every_stage_and_leaves_nothing() {
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    let before = fs::read_dir(project.dir()).unwrap().count();
    let text = project.deft("plan").succeed().stdout;
    for stage in ["pool", "encode", "index", "search", "select", "train", "evaluate", "all"] {
        assert!(text.lines().any(|line| line.starts_with(stage)), "no {stage} in:\n{text}");
    }
    assert!(text.contains("all numbers are estimates"), "{text}");
    assert_eq!(fs::read_dir(project.dir()).unwrap().count(), before, "something was written");
    assert!(!project.path("runs").exists());
}

#[test]
fn what_is_planned_on_disk_is_near_what_a_run_writes() {
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    let plan = plan_of(&project);
    assert_eq!((&plan["rows"]["count"], &plan["rows"]["exact"]), (&1000.into(), &true.into()));
    assert_eq!(stages(&plan, "encode")[0]["units"], 4);
    for stage in plan["stages"].as_array().unwrap() {
        if stage["stage"] != "select" {
            assert!(stage["seconds"].as_f64().is_some(), "{stage}");
            assert!(stage["memory"].as_f64().is_some(), "{stage}");
        }
    }
    project.deft("run").succeed();
    assert_near("pool", disk(&plan, "pool"), written(&project, "pool-"));
    assert_near("encode", disk(&plan, "encode"), written(&project, "t5-"));
    let arms = ["retrieved", "random"].map(|arm| project.path("runs/small/tasks/mood").join(arm));
    let models: f64 = arms.iter().map(|arm| bytes_below(&arm.join("seed-1/model"))).sum();
    assert_near("train", disk(&plan, "train"), models);
}

#[test]
fn what_a_retriever_does_not_tell_of_its_disk_is_measured() {
    let project = project(&[RETRIEVER_BM25]);
    let plan = plan_of(&project);
    project.deft("index").succeed();
    let segments: f64 = project
        .stages("bm25-")
        .iter()
        .filter(|dir| !dir.to_string_lossy().contains("statistics"))
        .map(|dir| bytes_below(dir))
        .sum();
    assert_near("index", disk(&plan, "index"), segments);
}

#[test]
fn what_is_there_costs_nothing_and_a_changed_option_costs_again() {
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    project.deft("run").succeed();
    let before = project.results();
    let plan = plan_of(&project);
    for stage in plan["stages"].as_array().unwrap() {
        assert_eq!(stage["is_done"], true, "{stage}");
        assert_eq!(stage["disk"], 0, "{stage}");
    }
    let changed = project.deft("plan").args(&["--set", "retriever.encoder.init_seed=9", "--json"]);
    let plan: Value = serde_json::from_str(&changed.succeed().stdout).unwrap();
    assert_eq!(stages(&plan, "pool")[0]["is_done"], true);
    assert_eq!(stages(&plan, "encode")[0]["there"], 0);
    assert!(stages(&plan, "encode")[0]["seconds"].as_f64().unwrap() > 0.0);
    assert!(project.results() == before, "a plan changed the store or the run");
}

#[test]
fn units_that_are_there_are_not_counted_again() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("unit").args(&["--phase", "encode", "--unit", "2"]).succeed();
    let text = project.deft("plan").succeed().stdout;
    let line = text.lines().find(|line| line.starts_with("encode")).unwrap();
    assert!(line.contains("3 of 4"), "{text}");
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_change_and_may_be_tried_all_the_same() {
    let project = project(&[RETRIEVER_DENSE]);
    let small =
        |resource: &str, size: &str| project.deft("plan").args(&["--measure", "0", resource, size]);
    let refused = small("--disk", "20kB").run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stdout.contains("encode"), "the table all the same: {}", refused.stdout);
    for part in ["does not fit on the disk", "free: 20 kB", "--ignore-limits", "`limit`"] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
    let refused = small("--memory", "10kB").run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("does not fit in memory"), "{}", refused.stderr);
    let warned = small("--memory", "10kB").arg("--ignore-limits").succeed();
    assert!(warned.stderr.contains("warn: "), "{}", warned.stderr);
    let wrong = small("--disk", "much").run();
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("300GB"), "{}", wrong.stderr);
}

#[test]
fn a_run_refuses_a_phase_that_would_not_fit_by_its_retrievers_word() {
    let project = project(&[RETRIEVER_DENSE]);
    let refused = project.deft("index").args(&["--disk", "20kB"]).run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for part in ["`encode` (dense) does not fit", "`retriever.vectors` (now \"f16\")", "32 kB"] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
    assert!(!project.stages("pool-").is_empty(), "what was finished before stays");
    let tried = project.deft("index").args(&["--disk", "20kB", "--ignore-limits"]).succeed();
    assert!(tried.stderr.contains("warn: `encode`"), "{}", tried.stderr);
}
