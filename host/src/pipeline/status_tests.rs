use deft_core::Phase;

use super::*;

fn at(seconds: &[u64]) -> Vec<Duration> {
    seconds.iter().map(|&s| Duration::from_secs(s)).collect()
}

fn left(times: &[u64], since: u64, left: usize, at_once: usize) -> Option<f64> {
    seconds_left(&at(times), Duration::from_secs(since), left, at_once)
}

#[test]
fn time_left_follows_from_the_units_finished_since_work_began() {
    assert_eq!(left(&[130, 160, 190], 100, 4, 1), Some(120.0));
    assert_eq!(left(&[130], 100, 4, 1), Some(120.0), "from its beginning");
    assert_eq!(left(&[], 100, 4, 1), None, "nothing tells the rate");
    assert_eq!(left(&[130, 160], 100, 0, 1), None, "nothing is left");
}

#[test]
fn a_night_between_two_runs_does_not_count() {
    let night = 30_000;
    let (before, after) = ([10, 20, 30], [night + 10, night + 20]);
    let times = [before.as_slice(), &after].concat();
    assert_eq!(left(&times, night, 5, 1), Some(50.0));
    assert_eq!(left(&before, night, 5, 1), None, "none was finished since");
}

#[test]
fn units_that_end_together_tell_the_rate_of_all() {
    assert_eq!(left(&[160, 160, 160, 160], 100, 8, 4), Some(120.0));
}

#[test]
fn a_slow_beginning_is_forgotten() {
    let times: Vec<u64> = (0..40).map(|unit| 10_000 + 10 * unit).collect();
    assert_eq!(left(&times, 0, 3, 1), Some(30.0));
}

/// A manifest with two arms that search, and a run of it whose phases are in two stages.
fn two_arms(dir: &Path) -> (PathBuf, Stages, store::Store) {
    let manifest = dir.join("manifest.yaml");
    let text = "version: 1\nname: small\nplugins: [p3]\nrows_per_part: 100\n\
                pool: [{ reader: p3, source: pool.jsonl }]\nretriever: a\n\
                tasks: [{ name: t, reader: p3, query_source: q.jsonl }]\n\
                arms: { one: {}, other: { retriever: b } }\n";
    std::fs::write(&manifest, text).unwrap();
    let store = store::Store::new(&dir.join("runs/.store"));
    let mut stages = Stages::of_run(&dir.join("runs/small"));
    stages.set_pool(store.stage("pool", "aaaa").unwrap().dir()).unwrap();
    for (arm, artefact) in [("one", "bm25"), ("other", "t5")] {
        let stage = store.stage(artefact, "bbbb").unwrap();
        stages.set_phases(arm, arm, &[(phase(), stage)]).unwrap();
    }
    (manifest, stages, store)
}

fn phase() -> Phase {
    Phase {
        name: "index".to_owned(),
        artefact: String::new(),
        fingerprint: String::new(),
        units: 3,
        suffix: ".txt".to_owned(),
        threads: 0,
        cost: 1.0,
        ..Phase::default()
    }
}

#[test]
fn phases_of_arms_that_the_manifest_has_no_more_are_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, mut stages, store) = two_arms(dir.path());
    let told = |manifest: &Path| -> Vec<String> {
        let phases = status(manifest, &[], None).unwrap().phases;
        phases.into_iter().map(|phase| phase.retriever).collect()
    };
    assert_eq!(told(&manifest), ["one", "other"]);
    assert_eq!(stages.names(), ["bm25-bbbb", "pool-aaaa", "t5-bbbb"]);
    // A changed option of an arm is another stage, in place of the one before.
    let other = store.stage("t5", "cccc").unwrap();
    stages.set_phases("other", "other", &[(phase(), other)]).unwrap();
    assert_eq!(told(&manifest), ["one", "other"]);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace(", other: { retriever: b }", "")).unwrap();
    assert_eq!(told(&manifest), ["one"]);
}

#[test]
fn units_are_counted_by_their_files_whatever_their_number_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["part-00000.txt", "part-00007.txt", "part-7.txt", "part-00008", ".tmp-part"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    for (units, done) in [(usize::MAX, 2), (7, 1)] {
        let (retriever, phase, suffix) = (String::new(), String::new(), ".txt".to_owned());
        let (dir, temporary, owner) = (dir.path().to_owned(), false, String::new());
        let place = StagePlace { retriever, phase, units, suffix, dir, temporary, owner };
        assert_eq!(Units::find(&place).times.len(), done);
    }
}

#[test]
fn a_unit_of_one_arm_leaves_the_others_in_the_file_and_another_pool_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, store) = two_arms(dir.path());
    let run = dir.path().join("runs/small");
    let arms = || {
        let stages: Value = store::read_json(&run.join("stages.json")).unwrap();
        stages["arms"].as_object().unwrap().len()
    };
    let mut unit = Stages::of_run(&run);
    unit.set_pool(store.stage("pool", "aaaa").unwrap().dir()).unwrap();
    assert_eq!(arms(), 2);
    unit.set_phases("one", "one", &[(phase(), store.stage("bm25", "bbbb").unwrap())]).unwrap();
    assert_eq!(arms(), 2);
    unit.set_pool(store.stage("pool", "dddd").unwrap().dir()).unwrap();
    assert_eq!(arms(), 1, "only its own serves the other pool");
}

#[test]
fn a_pool_that_is_being_read_tells_its_parts_and_who_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, _, store) = two_arms(dir.path());
    let stage = store.stage("pool", "aaaa").unwrap();
    let ctx = deft_core::Context::new(&deft_core::NoServices, 0, 1);
    let lock = stage.lock("reads the pool", &ctx).unwrap();
    for part in 0..2 {
        std::fs::write(stage.unit(part, ".parquet"), "").unwrap();
    }
    let found = status(&manifest, &[], None).unwrap();
    assert_eq!((found.pool_rows, found.pool_parts, found.rows_per_part), (None, 2, 100));
    assert_eq!(found.pool_reader.unwrap().pid, std::process::id());
    drop(lock);
    stage.write_card(&serde_json::json!({"rows": 150})).unwrap();
    let found = status(&manifest, &[], None).unwrap();
    assert_eq!((found.pool_rows, found.pool_reader), (Some(150), None));
}

#[test]
fn a_temporary_phase_counts_as_done_once_all_after_it_are() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, mut stages, store) = two_arms(dir.path());
    let index = store.stage("faiss", "cccc").unwrap();
    let encode = store.unused("hash", "cccc").unwrap();
    let temporary = Phase { name: "encode".to_owned(), temporary: true, ..phase() };
    let phases = [(temporary, encode), (phase(), index.clone())];
    stages.set_phases("other", "dense", &phases).unwrap();
    let encoding = || {
        let phases = status(&manifest, &[], None).unwrap().phases;
        let found = phases.into_iter().find(|phase| phase.phase == "encode").unwrap();
        (found.done, found.spent)
    };
    for unit in 0..3 {
        assert_eq!(encoding(), (0, false), "{unit} units of the index");
        std::fs::write(index.unit(unit, ".txt"), "").unwrap();
    }
    assert_eq!(encoding(), (3, true));
    // Another arm that needs the same vectors for what it has not done.
    let phases =
        [(phases[0].0.clone(), phases[0].1.clone()), (phase(), store.stage("x", "d").unwrap())];
    stages.set_phases("one", "dense", &phases).unwrap();
    assert_eq!(encoding(), (0, false));
}
