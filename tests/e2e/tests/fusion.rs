//! Retrievers made of retrievers: what they share with arms that have one of them alone, what they
//! find, and how their faults are told.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::PathBuf;

use deft_e2e::{Deft, Output, Project, examples_dir};
use serde_json::Value;

const PLUGINS: &str = "plugins=[p3, t5, exact, dense, bm25, fusion]";
const DENSE: &str = "{use: dense, rows_per_unit: 300, index: exact, \
                     encoder: {use: t5, model: model, init: random, init_seed: 3}}";

fn project() -> Project {
    let project = Project::new();
    project.manifest(&[]);
    project
}

/// The arms with one retriever each, and the one with both.
fn alone() -> String {
    format!("dense: {{retriever: {DENSE}}}, bm25: {{retriever: bm25}}")
}

fn fused(options: &str) -> String {
    format!("fused: {{retriever: {{use: fusion, retrievers: [{DENSE}, bm25]{options}}}}}")
}

/// A call of the program on the manifest with other arms.
fn with_arms(project: &Project, command: &str, arms: &[String]) -> Deft {
    let arms = format!("arms={{{}}}", arms.join(", "));
    project.deft(command).args(&["--set", PLUGINS, "--set", &arms])
}

/// A call on a manifest with one retriever, which may be one of the fixtures.
fn with_retriever(command: &str, retriever: &str) -> (Project, Deft) {
    let project = Project::new();
    let notes = project.path("notes.txt");
    let retriever = retriever.replace("NOTES", &notes.display().to_string());
    project.manifest(&[&format!("retriever: {retriever}\n")]);
    let plugins = format!("{}, flaky, panicky]", PLUGINS.trim_end_matches(']'));
    let call = project.deft(command).args(&["--set", &plugins]);
    let call = call.arg("--plugin-dir").arg(examples_dir());
    (project, call)
}

fn hits(project: &Project, arm: &str) -> PathBuf {
    project.path("runs/small/tasks/mood").join(arm).join("hits.run")
}

/// Query, docid and rank of each line, and the score.
fn lines(run: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        (format!("{} {} {}", fields[0], fields[2], fields[3]), fields[4].parse().unwrap())
    };
    run.lines().map(line).collect()
}

fn assert_nothing_to_do(output: &Output) {
    assert!(!output.stderr.contains("units to do"), "{}", output.stderr);
}

#[test]
fn fused_hits_are_those_of_the_arms_runs_fused_by_the_program() {
    let project = project();
    with_arms(&project, "retrieve", &[alone(), fused(", weights: [2, 1]")]).succeed();
    let fuse = Deft::new(&["fuse", "--weights", "2,1", "--k", "10", "--run"]);
    let fuse = fuse.arg(hits(&project, "dense")).arg("--run").arg(hits(&project, "bm25"));
    let by_program = lines(&fuse.succeed().stdout);
    let by_retriever = lines(&std::fs::read_to_string(hits(&project, "fused")).unwrap());
    assert_eq!(by_retriever.len(), 8 * 10);
    assert_eq!(by_program.len(), by_retriever.len());
    for (found, wanted) in by_program.iter().zip(&by_retriever) {
        assert_eq!(found.0, wanted.0);
        assert!((found.1 - wanted.1).abs() <= 1e-6, "{found:?}, {wanted:?}");
    }
    for arm in ["dense", "bm25"] {
        let own = lines(&std::fs::read_to_string(hits(&project, arm)).unwrap());
        assert!(own.iter().zip(&by_retriever).any(|(a, b)| a.0 != b.0), "{arm} alone");
    }
}

#[test]
fn what_a_child_makes_is_shared_with_an_arm_that_has_it_alone() {
    for [first, second] in [[fused(""), alone()], [alone(), fused("")]] {
        let project = project();
        let made = with_arms(&project, "index", std::slice::from_ref(&first)).succeed();
        assert_eq!(made.stderr.matches("units to do").count(), 4, "{}", made.stderr);
        let before = project.stages("");
        assert_nothing_to_do(&with_arms(&project, "index", &[second]).succeed());
        assert_eq!(project.stages(""), before);
        for (stage, retriever, phase) in [
            ("t5-", "dense", "encode"),
            ("exact-", "dense", "index"),
            ("bm25-statistics-", "bm25", "merge"),
        ] {
            let dirs = project.stages(stage);
            assert_eq!(dirs.len(), 1, "{stage}");
            let card = std::fs::read(dirs[0].join("card.json")).unwrap();
            let card: Value = serde_json::from_slice(&card).unwrap();
            assert_eq!(card["retriever"]["component"], format!("retriever {retriever}"));
            assert_eq!(card["phase"]["name"], phase);
        }
    }
}

#[test]
fn a_plan_counts_what_retrievers_share_once() {
    let project = project();
    let plan = with_arms(&project, "plan", &[alone(), fused("")]).arg("--json").succeed();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let is_done = |stage: &str| {
        let mut stages = plan["stages"].as_array().unwrap().iter();
        stages.find(|one| one["stage"] == stage).unwrap()["is_done"] == true
    };
    assert!(!is_done("encode") && !is_done("merge"));
    assert!(is_done("0-dense.encode") && is_done("1-bm25.merge"), "the arms before make them");
}

#[test]
fn another_weight_searches_anew_and_builds_nothing() {
    let project = project();
    with_arms(&project, "retrieve", &[fused("")]).succeed();
    let before = std::fs::read(hits(&project, "fused")).unwrap();
    let again = with_arms(&project, "retrieve", &[fused(", weights: [0, 1]")]).succeed();
    assert_nothing_to_do(&again);
    assert_ne!(std::fs::read(hits(&project, "fused")).unwrap(), before);
}

/// What is fused of ten hits of each is not the first ten of what is fused of twenty.
#[test]
fn hits_of_a_search_for_more_serve_fewer_neighbors_only_where_depth_says_how_many_are_fused() {
    let search = |project: &Project, options: &str, neighbors: &str| {
        let call = with_arms(project, "retrieve", &[fused(options)]);
        call.args(&["--set", neighbors]).succeed()
    };
    let (five, ten) = ("selection.neighbors=5", "selection.neighbors=10");
    let (fresh, grown) = (project(), project());
    search(&fresh, "", five);
    search(&grown, "", ten);
    search(&grown, "", five);
    let read = |project: &Project| std::fs::read(hits(project, "fused")).unwrap();
    assert_eq!(read(&grown), read(&fresh));
    search(&grown, ", depth: 10", ten);
    let served = search(&grown, ", depth: 10", five);
    assert!(served.stderr.contains("mood/fused: hits are up to date"), "{}", served.stderr);
}

#[test]
fn units_of_one_child_can_be_done_whatever_the_other_has_done() {
    let project = project();
    let unit = |phase: &str, unit: &str| {
        let call = with_arms(&project, "unit", &[fused("")]);
        call.args(&["--phase", phase, "--unit", unit])
    };
    let early = unit("1-bm25.merge", "0").run();
    assert_eq!(early.code, 1, "{}", early.stderr);
    assert!(
        early.stderr.contains("phase `1-bm25.index` must be complete first"),
        "{}",
        early.stderr
    );
    for number in ["0", "1", "2", "3"] {
        unit("1-bm25.index", number).succeed();
    }
    unit("1-bm25.merge", "0").succeed();
    let unknown = unit("encode", "0").run();
    assert!(
        unknown.stderr.contains("0-dense.encode, 0-dense.index, 1-bm25.index"),
        "{}",
        unknown.stderr
    );
    let rest = with_arms(&project, "index", &[fused("")]).succeed();
    assert_eq!(rest.stderr.matches("units to do").count(), 2, "{}", rest.stderr);
}

#[test]
fn a_child_that_is_there_twice_works_once() {
    let (_project, call) = with_retriever("index", "{use: fusion, retrievers: [bm25, bm25]}");
    let output = call.succeed();
    assert_eq!(output.stderr.matches("units to do").count(), 2, "{}", output.stderr);
}

#[test]
fn a_list_that_cannot_be_is_told_with_its_place() {
    for (retrievers, parts) in [
        (
            "[]",
            &["retriever.retrievers: ", "a list of components of kind retriever, at least one"][..],
        ),
        ("bm25", &["retriever.retrievers: ", "expected a list", "`[bm25]`"][..]),
        ("[bm25, exact]", &["retriever.retrievers[1].use: ", "`exact`"][..]),
        ("[{use: bm25, k1: -1}]", &["retriever.retrievers[0].k1: ", "from 0 to 100"][..]),
    ] {
        let block = format!("{{use: fusion, retrievers: {retrievers}}}");
        let (_project, call) = with_retriever("check", &block);
        let output = call.run();
        assert_eq!(output.code, 2, "{}", output.stderr);
        for part in parts.iter().chain(&["manifest.yaml:"]) {
            assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
        }
    }
}

#[test]
fn an_option_that_a_child_refuses_in_a_run_is_told_with_its_place() {
    let dense = DENSE.replace("index: exact", "vectors: none, index: exact");
    let block = format!("{{use: fusion, retrievers: [bm25, {dense}]}}");
    let (_project, call) = with_retriever("index", &block);
    let output = call.run();
    assert_eq!(output.code, 2, "{}", output.stderr);
    let option = "error: retriever.retrievers[1].vectors: index `exact` needs the vectors";
    for part in [option, "child: retrievers[1] (dense)", "manifest.yaml:"] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
}

#[test]
fn weights_that_do_not_fit_are_refused_before_anything_is_built() {
    for (weights, parts) in [
        ("[1, 2, 3]", ["retriever.weights: ", "(weights: 3, retrievers: 2)"]),
        ("[1, -1]", ["retriever.weights[1]: ", "from 0 to 1000000"]),
        ("[0, 0]", ["retriever.weights: ", "must be above 0"]),
    ] {
        let options = format!("weights: {weights}");
        assert_refused(&options, &parts);
    }
}

#[test]
fn an_option_of_the_other_method_is_refused_with_its_place() {
    for (options, parts) in [
        ("normalize: z_score", ["retriever.normalize: ", "`weighted_sum` has it"]),
        (
            "method: weighted_sum, constant: 60",
            ["retriever.constant: ", "`reciprocal_rank` has it"],
        ),
    ] {
        assert_refused(options, &parts);
    }
}

/// A run of a fusion with these options is refused, and builds nothing.
fn assert_refused(options: &str, parts: &[&str]) {
    let block = format!("{{use: fusion, retrievers: [bm25, bm25], {options}}}");
    for command in ["check", "run"] {
        let (project, call) = with_retriever(command, &block);
        let output = call.run();
        assert_eq!(output.code, 2, "{}", output.stderr);
        for part in parts.iter().chain(&["manifest.yaml:"]) {
            assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
        }
        assert!(project.stages("bm25-").is_empty());
    }
}

#[test]
fn a_child_that_fails_in_a_unit_is_named_and_the_next_run_goes_on() {
    let flaky =
        "{use: fusion, retrievers: [bm25, {use: flaky, notes: NOTES, fail_in: 1, times: 1}]}";
    let (project, call) = with_retriever("retrieve", flaky);
    let output = call.run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    for part in ["told to fail", "child: retrievers[1] (flaky)", "phase: 1-flaky.note", "unit: 1"] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
    let plugins = format!("{}, flaky]", PLUGINS.trim_end_matches(']'));
    let again = project.deft("retrieve").args(&["--set", &plugins]);
    let again = again.arg("--plugin-dir").arg(examples_dir()).succeed();
    assert!(!again.stderr.contains("0-bm25"), "what was done stays: {}", again.stderr);
    assert!(again.stderr.contains("1-flaky.note"), "{}", again.stderr);
    assert!(hits(&project, "retrieved").exists());
}

#[test]
fn a_child_that_panics_in_a_search_is_named() {
    let panicky = "{use: fusion, retrievers: [{use: panicky, panic_in: retrieve}, bm25]}";
    let (_project, call) = with_retriever("retrieve", panicky);
    let output = call.run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    for part in [
        "told to panic in Retrieve",
        "component: retriever panicky",
        "child: retrievers[0] (panicky)",
    ] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
}

#[test]
fn a_run_that_is_none_is_told_with_file_and_line() {
    let project = Project::new();
    project.write("a.run", "1 Q0 7 1 0.5 a\n1 Q0 9 2 0.25 a\n");
    project.write("b.run", "1 Q0 9 1 20 b\n1 Q0 8 second 10 b\n");
    let fuse = |other: &str| {
        let call = Deft::new(&["fuse", "--run"]).arg(project.path("a.run"));
        call.arg("--run").arg(project.path(other))
    };
    let wrong = fuse("b.run").run();
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""));
    for part in ["the rank is no whole number", "b.run", "line: 2"] {
        assert!(wrong.stderr.contains(part), "no «{part}» in:\n{}", wrong.stderr);
    }
    let unfit = fuse("a.run").args(&["--weights", "1,2,3"]).run();
    assert_eq!(unfit.code, 2, "{}", unfit.stderr);
    assert!(unfit.stderr.contains("(weights: 3, lists: 2)"), "{}", unfit.stderr);
    project.write("b.run", "1 Q0 9 1 20 b\n2 Q0 8 1 10 b\n");
    let scores = ["--method", "weighted_sum", "--weights", "1,3", "--tag", "both"];
    let fused = fuse("b.run").args(&scores).succeed();
    // 9 is the last of the one list and alone in the other: nothing from either.
    assert_eq!(fused.stdout, "1 Q0 7 1 1 both\n1 Q0 9 2 0 both\n2 Q0 8 1 0 both\n");
}

#[test]
fn options_that_cannot_be_are_refused_before_a_run_is_read() {
    for (options, parts) in [
        (&["--constant", "-1"][..], ["from 0 to 1000000", "constant: -1"]),
        (
            &["--normalize", "z_score"][..],
            ["`weighted_sum` has it", "hint: leave it out, or choose"],
        ),
        (
            &["--method", "weighted_sum", "--constant", "60"][..],
            ["`reciprocal_rank` has it", "hint: leave it out, or choose"],
        ),
        (&["--depth", "-1"][..], ["-1 is not in 1..", "--depth"]),
        (&["--k", "0"][..], ["0 is not in 1..", "--k"]),
    ] {
        let output = Deft::new(&["fuse", "--run", "/nowhere/a.run"]).args(options).run();
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
        }
    }
}

#[test]
fn a_missing_run_and_a_document_that_is_there_twice_are_told_with_the_remedy() {
    let project = Project::new();
    project.write("twice.run", "1 Q0 7 1 0.5 a\n1 Q0 9 2 0.25 a\n1 Q0 7 3 0.125 a\n");
    for (name, parts) in [
        ("missing.run", ["there is no such run", "missing.run", "hint: a run is a file"]),
        ("twice.run", ["first in line: 1", "line: 3", "hint: remove one of the two lines"]),
    ] {
        let output = Deft::new(&["fuse", "--run"]).arg(project.path(name)).run();
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        for part in parts {
            assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
        }
    }
}
