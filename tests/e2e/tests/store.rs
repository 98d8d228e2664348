//! The store: what serves is used, what does not is named, and nothing is used by mistake.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::PathBuf;

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER};

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
    let unknown = project.deft("run").arg("--rebuild").arg("indx").run();
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("did you mean `index`?"), "{}", unknown.stderr);
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
