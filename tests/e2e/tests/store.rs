//! The store: what serves is used, what does not is named, and nothing is used by mistake.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use deft_e2e::{Output, Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, wait_until};

fn project(blocks: &[&str]) -> Project {
    let project = Project::new();
    project.manifest(blocks);
    project
}

#[test]
fn a_changed_build_option_makes_another_folder_and_says_what_changed() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let again = project.deft("index").succeed();
    assert!(!again.stderr.contains("units to do"), "all is there: {}", again.stderr);
    let changed = project.deft("index").arg("--set").arg("retriever.encoder.init_seed=4").succeed();
    assert_eq!(project.stages("t5-").len(), 2);
    let says = "does not serve: children.encoder.options.init_seed is 4, was 3";
    assert!(changed.stderr.contains(says), "{}", changed.stderr);
}

#[test]
fn a_changed_use_option_changes_nothing() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let again = project.deft("index").arg("--set").arg("retriever.encoder.batch_tokens=64").run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(!again.stderr.contains("units to do"), "{}", again.stderr);
}

#[test]
fn a_folder_copied_from_another_encoders_is_refused_with_both_fingerprints() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let first = project.stages("t5-").remove(0);
    project.deft("index").arg("--set").arg("retriever.encoder.init_seed=4").succeed();
    let other = project.stages("t5-").into_iter().find(|path| *path != first).unwrap();
    fs::remove_dir_all(&other).unwrap();
    fs::rename(&first, &other).unwrap();
    let refused = project.deft("index").arg("--set").arg("retriever.encoder.init_seed=4").run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let fingerprint = |path: &PathBuf| {
        path.file_name().unwrap().to_string_lossy().strip_prefix("t5-").unwrap().to_owned()
    };
    for part in [
        "was made from something else",
        &format!("found: {}", fingerprint(&first)),
        &format!("wanted: {}", fingerprint(&other)),
        "remove it",
    ] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
}

#[test]
fn vectors_of_another_encoder_are_refused_even_without_a_card() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let first = project.stages("t5-").remove(0);
    let seed = ["--set", "retriever.encoder.init_seed=4"];
    project.deft("index").arg(seed[0]).arg(seed[1]).succeed();
    let other = project.stages("t5-").into_iter().find(|path| *path != first).unwrap();
    for part in fs::read_dir(&first).unwrap().map(|entry| entry.unwrap().path()) {
        if part.extension().is_some_and(|extension| extension == "safetensors") {
            fs::copy(&part, other.join(part.file_name().unwrap())).unwrap();
        }
    }
    let refused = project.deft("run").arg(seed[0]).arg(seed[1]).run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for part in ["another encoder made these vectors", "made by: ", "encoder at hand: "] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
}

#[test]
fn vectors_of_another_pool_with_as_many_rows_are_refused() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let first = project.stages("t5-").remove(0);
    let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    project.write("pool.jsonl", &text.replace("film", "book"));
    project.deft("index").succeed();
    let other = project.stages("t5-").into_iter().find(|path| *path != first).unwrap();
    fs::copy(first.join("part-00001.safetensors"), other.join("part-00001.safetensors")).unwrap();
    let refused = project.deft("run").run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    for part in ["the vector parts differ in the stage", &name(&first), &name(&other)] {
        assert!(refused.stderr.contains(part), "no «{part}» in:\n{}", refused.stderr);
    }
}

#[test]
fn a_half_done_folder_that_was_renamed_is_refused_with_both_fingerprints() {
    let project = project(&[RETRIEVER_DENSE]);
    project.deft("unit").args(&["--phase", "encode", "--unit", "0"]).succeed();
    let first = project.stages("t5-").remove(0);
    let seed = ["--set", "retriever.encoder.init_seed=4"];
    project.deft("unit").args(&["--phase", "encode", "--unit", "0"]).args(&seed).succeed();
    let other = project.stages("t5-").into_iter().find(|path| *path != first).unwrap();
    fs::remove_dir_all(&other).unwrap();
    fs::rename(&first, &other).unwrap();
    let refused = project.deft("index").args(&seed).run();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("was made from something else"), "{}", refused.stderr);
}

#[test]
fn a_source_that_changed_between_runs_is_named_and_read_again() {
    let project = project(&[RETRIEVER_BM25]);
    project.deft("index").succeed();
    let phases = project.stages("bm25-").len();
    let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    project.write("pool.jsonl", &text.replacen("film", "book", 1));
    let changed = project.deft("index").succeed();
    assert!(changed.stderr.contains("pool.jsonl has changed"), "{}", changed.stderr);
    let made = (project.stages("pool-").len(), project.stages("bm25-").len());
    assert_eq!(made, (2, 2 * phases));
    // And back again: what was made first serves.
    project.write("pool.jsonl", &text);
    let back = project.deft("index").succeed();
    assert!(
        !back.stderr.contains("to do") && !back.stderr.contains("read again"),
        "{}",
        back.stderr
    );
}

#[test]
fn a_source_that_changed_under_an_old_time_is_noticed() {
    let project = project(&[RETRIEVER_BM25]);
    let time = std::time::SystemTime::now() - std::time::Duration::from_hours(30);
    let set_time = || {
        let file = fs::File::options().write(true).open(project.path("pool.jsonl")).unwrap();
        file.set_modified(time).unwrap();
    };
    set_time();
    project.deft("index").succeed();
    // A clock that went back, or a copy that keeps times: same length, same time, other content.
    let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    project.write("pool.jsonl", &text.replacen("film", "book", 1));
    set_time();
    let changed = project.deft("index").succeed();
    assert!(changed.stderr.contains("pool.jsonl has changed"), "{}", changed.stderr);
}

#[test]
fn a_source_that_vanished_is_named_and_nothing_is_lost() {
    let project = project(&[RETRIEVER_BM25]);
    project.deft("run").succeed();
    let before = project.results();
    fs::rename(project.path("pool.jsonl"), project.path("away.jsonl")).unwrap();
    let vanished = project.deft("run").run();
    assert_eq!(vanished.code, 2, "{}", vanished.stderr);
    assert!(vanished.stderr.contains("nothing is at `pool.jsonl`"), "{}", vanished.stderr);
    assert!(vanished.stderr.contains("manifest.yaml:"), "{}", vanished.stderr);
    assert_eq!(project.results(), before);
    fs::rename(project.path("away.jsonl"), project.path("pool.jsonl")).unwrap();
    let back = project.deft("run").succeed();
    assert!(back.stderr.contains("hits are up to date"), "{}", back.stderr);
}

#[test]
fn a_source_that_vanishes_while_it_is_read_is_one_error_and_nothing_is_lost() {
    let large = || {
        let project = project(&[RETRIEVER_BM25]);
        let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
        project.write("parts/a.jsonl", &text.repeat(100));
        project.write("parts/b.jsonl", &text);
        project
    };
    let index = |project: &Project| {
        let pool = "pool=[{reader: p3, source: 'parts/*.jsonl'}]";
        project.deft("index").args(&["--set", pool, "--set", "rows_per_part=10000"])
    };
    let undisturbed = large();
    index(&undisturbed).succeed();

    let project = large();
    let reading = index(&project).spawn_piped();
    let part = || Some(project.stages("pool-").first()?.join("part-00000.parquet"));
    wait_until("the first part is there", || part().is_some_and(|part| part.exists()));
    fs::rename(project.path("parts/b.jsonl"), project.path("b.jsonl")).unwrap();
    let output: Output = reading.wait_with_output().unwrap().into();
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert_eq!(output.stderr.matches("error: ").count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("parts/b.jsonl"), "{}", output.stderr);
    let modified = || fs::metadata(part().unwrap()).unwrap().modified().unwrap();
    let before = modified();
    fs::rename(project.path("b.jsonl"), project.path("parts/b.jsonl")).unwrap();
    index(&project).succeed();
    assert_eq!(modified(), before, "what was finished is not written again");
    assert!(project.stable_results() == undisturbed.stable_results());
}

/// Sets the time of every file and folder below this one.
fn set_times(dir: &Path, time: SystemTime) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_times(&path, time);
        }
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
    }
}

#[test]
fn a_clock_that_went_back_changes_no_result_and_keeps_nothing_stale() {
    let undisturbed = project(&[RETRIEVER_DENSE, TRAINER]);
    undisturbed.deft("run").succeed();
    let expected = undisturbed.results();

    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    let mut run = project.deft("run").spawn();
    let seed = project.path("runs/small/tasks/mood/random/seed-1");
    let is_training = || {
        let names = fs::read_dir(&seed).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.any(|name| name.starts_with(".tmp-") && name.ends_with("-model"))
    };
    wait_until("a model is trained", is_training);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(is_training() && project.path("runs/small/.lock-run").exists(), "nothing was left");
    let future = SystemTime::now() + Duration::from_hours(30 * 24);
    set_times(project.dir(), future);
    let status = project.deft("status").succeed().stdout;
    assert!(status.contains("hits: 1 of 1") && status.contains("nobody works"), "{status}");
    let goes_on = project.deft("run").succeed();
    assert!(goes_on.stderr.contains("hits are up to date"), "{}", goes_on.stderr);
    assert_eq!(project.results().keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    set_times(project.dir(), future);
    let again = project.deft("run").succeed();
    assert!(!again.stderr.contains("train mood"), "nothing is made again: {}", again.stderr);
    for (name, content) in project.results() {
        assert!(content == expected[&name], "{name} differs after a clock went back");
    }
}

#[test]
fn several_sources_with_readers_of_their_own_make_one_pool_in_list_order() {
    let project = project(&[RETRIEVER_BM25]);
    let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    project.write("parts/b.jsonl", &format!("{}\n", lines[0]));
    project.write("parts/a.jsonl", &format!("{}\n{}\n", lines[1], lines[2]));
    let rte = "{\"premise\": \"It rains.\", \"hypothesis\": \"It is wet.\", \"label\": 0}\n";
    project.write("rte.jsonl", &rte.repeat(3));
    let pool = "pool=[{reader: 't0/rte', source: rte.jsonl, limit: 2}, \
                {reader: p3, source: 'parts/*.jsonl'}]";
    let plugins = "plugins=[p3, t0, t5, exact, dense, bm25]";
    let index = || project.deft("index").arg("--set").arg(plugins).arg("--set");
    let done = index().arg(pool).succeed();
    assert!(done.stderr.contains("pool: 5 examples"), "{}", done.stderr);
    let search = project.deft("search").arg("--set").arg(plugins).arg("--set").arg(pool);
    let query: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    let found = search.arg("--query").arg(query["input"].as_str().unwrap()).arg("--json").succeed();
    let first: serde_json::Value =
        serde_json::from_str(found.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], 4, "two of rte, then a.jsonl, then b.jsonl: {first}");
    // Another order is another pool.
    let other = "pool=[{reader: p3, source: 'parts/*.jsonl'}, \
                 {reader: 't0/rte', source: rte.jsonl, limit: 2}]";
    index().arg(other).succeed();
    assert_eq!(project.stages("pool-").len(), 2);
}

#[test]
fn rebuild_makes_a_stage_and_all_after_it_again_with_the_same_result() {
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    project.deft("run").succeed();
    let before = project.results();
    let times = |project: &Project| {
        let mut times = std::collections::BTreeMap::new();
        for name in project.results().into_keys() {
            times.insert(
                name.clone(),
                fs::metadata(project.path("runs").join(name)).unwrap().modified().unwrap(),
            );
        }
        times
    };
    let old = times(&project);
    let rebuilt = project.deft("run").arg("--rebuild").arg("index").succeed();
    assert!(rebuilt.stderr.contains("units to do"), "{}", rebuilt.stderr);
    let new = times(&project);
    for (part, again) in [
        ("pool-", false),
        ("t5-", false),
        ("exact-", true),
        ("hits.jsonl", true),
        ("model.safetensors", true),
        ("metrics.json", true),
    ] {
        let name = new.keys().find(|name| name.contains(part)).unwrap();
        assert_eq!(old[name] != new[name], again, "{name}");
    }
    assert_eq!(project.results(), before);
}

#[test]
fn an_unknown_stage_is_refused_before_anything_is_read() {
    let project = project(&[RETRIEVER_DENSE]);
    let unknown = project.deft("run").arg("--rebuild").arg("indx").run();
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean `index`?"), "{}", unknown.stderr);
    assert!(!project.path("runs").exists(), "nothing is made, either");
}

/// A time that no file has unless it is given it.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24)
}

/// Goes on without `--rebuild`: all must be made again, with the same result.
fn goes_on_and_uses_nothing_old(project: &Project, expected: &Project) {
    project.deft("run").succeed();
    let results = project.stable_results();
    let is_old = |name: &&String| {
        let path = project.path("runs").join(name);
        fs::metadata(path).unwrap().modified().unwrap() == long_ago()
    };
    // It says where the stages are, and they are where they were.
    let made_again = results.keys().filter(|name| !name.ends_with("stages.json"));
    let old: Vec<_> = made_again.filter(is_old).collect();
    assert!(old.is_empty(), "not made again: {old:?}");
    assert!(results == expected.stable_results());
}

#[test]
fn a_rebuild_that_is_killed_at_any_moment_goes_on_without_the_option() {
    let undisturbed = project(&[RETRIEVER_DENSE, TRAINER]);
    undisturbed.deft("run").succeed();
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    project.deft("run").succeed();
    for milliseconds in [0, 3, 20, 100, 400] {
        set_times(&project.path("runs"), long_ago());
        let card = project.stages("pool-").remove(0).join("card.json");
        let is_old = || fs::metadata(&card).is_ok_and(|it| it.modified().unwrap() == long_ago());
        let mut rebuild = project.deft("run").arg("--rebuild").arg("pool").spawn();
        let note = project.path("runs/small/rebuild.json");
        wait_until("what is made again is forgotten", || note.exists() || !is_old());
        std::thread::sleep(Duration::from_millis(milliseconds));
        rebuild.kill().unwrap();
        rebuild.wait().unwrap();
        goes_on_and_uses_nothing_old(&project, &undisturbed);
    }
}

#[test]
fn a_rebuild_that_is_killed_while_it_waits_for_another_run_forgets_nothing_by_halves() {
    let undisturbed = project(&[RETRIEVER_DENSE, TRAINER]);
    undisturbed.deft("run").succeed();
    let project = project(&[RETRIEVER_DENSE, TRAINER]);
    project.deft("run").succeed();
    set_times(&project.path("runs"), long_ago());
    // As a run does that uses the pool.
    let pool = fs::File::open(project.stages("pool-").remove(0)).unwrap();
    pool.lock_shared().unwrap();
    let mut rebuild = project.deft("run").arg("--rebuild").arg("pool").spawn();
    wait_until("the pool alone is left", || project.stages("t5-").is_empty());
    std::thread::sleep(Duration::from_millis(300));
    assert!(rebuild.try_wait().unwrap().is_none(), "it waits");
    assert_eq!(project.stages("pool-").len(), 1);
    rebuild.kill().unwrap();
    rebuild.wait().unwrap();
    drop(pool);
    goes_on_and_uses_nothing_old(&project, &undisturbed);
}

#[test]
fn a_damaged_card_costs_a_check_and_no_result() {
    let project = project(&[RETRIEVER_BM25]);
    project.deft("run").succeed();
    let before = project.results();
    for stage in ["pool-", "bm25-"] {
        for dir in project.stages(stage) {
            fs::write(dir.join("card.json"), "{\"fingerprint\": 3").unwrap();
        }
    }
    project.deft("run").succeed();
    assert_eq!(project.results(), before);
}
