//! Runs killed at random moments and continued: the end must be that of a run never killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER};

/// What is run, and by how many worker processes.
const RUNS: [(&str, &str, &str); 3] = [
    ("dense", RETRIEVER_DENSE, "0"),
    ("bm25", RETRIEVER_BM25, "0"),
    ("dense with 2 workers", RETRIEVER_DENSE, "2"),
];

/// Pool rows: 8 parts.
const ROWS: usize = 2000;

/// Kills so far: by what was going on, how often.
pub type Kills = BTreeMap<String, usize>;

/// Kills runs at `wanted` random moments that follow from `seed`, and continues each to its end.
///
/// # Errors
///
/// What differs from a run that was never killed.
///
/// # Panics
///
/// When the program cannot be started.
pub fn kill_runs(seed: u64, wanted: usize, mut tell: impl FnMut(&str)) -> Result<Kills, String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut kills = Kills::new();
    let mut expected = Vec::new();
    for (name, retriever, workers) in RUNS {
        let project = project(retriever);
        let start = Instant::now();
        if !start_run(&project, workers).wait().expect("it ends").success() {
            return Err(format!("{name}: the run that is not killed fails"));
        }
        tell(&format!("{name}: {:.1} s without a kill", start.elapsed().as_secs_f64()));
        expected.push((start.elapsed(), project.stable_results()));
    }
    for turn in 0.. {
        let killed: usize = kills.values().sum();
        if killed >= wanted {
            break;
        }
        let (name, retriever, workers) = RUNS[turn % RUNS.len()];
        let (whole, expected) = &expected[turn % RUNS.len()];
        let project = project(retriever);
        kill_one(&project, workers, *whole, &mut random, &mut kills)
            .and_then(|()| compare(&project.stable_results(), expected))
            .map_err(|why| format!("{name}, after {killed} kills with seed {seed}: {why}"))?;
        let now: usize = kills.values().sum();
        tell(&format!("{name}: equal after {} kills ({now} of {wanted})", now - killed));
    }
    Ok(kills)
}

fn project(retriever: &str) -> Project {
    let project = Project::with_pool(ROWS);
    project.manifest(&[retriever, TRAINER]);
    project
}

fn start_run(project: &Project, workers: &str) -> Child {
    project.deft("run").arg("--workers").arg(workers).spawn()
}

/// Starts a run again and again, each time killed after a random while, until it ends by itself.
fn kill_one(
    project: &Project,
    workers: &str,
    whole: Duration,
    random: &mut ChaCha8Rng,
    kills: &mut Kills,
) -> Result<(), String> {
    loop {
        let mut run = start_run(project, workers);
        let wait = whole.mul_f64(random.random_range(0.02..0.8));
        let start = Instant::now();
        let ended = loop {
            if let Some(status) = run.try_wait().expect("a child") {
                break Some(status);
            }
            if start.elapsed() >= wait {
                break None;
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        if let Some(status) = ended {
            return if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) };
        }
        // Sometimes it is a worker that is killed: the run must go on by itself.
        let worker = children(run.id()).first().copied().filter(|_| random.random_bool(0.5));
        let doing = what_it_did(&project.path("runs"));
        if let Some(worker) = worker {
            let _ =
                std::process::Command::new("kill").args(["-KILL", &worker.to_string()]).status();
            *kills.entry(format!("{doing}, a worker")).or_default() += 1;
            let status = run.wait().expect("a child");
            return if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) };
        }
        run.kill().expect("killed");
        run.wait().expect("a child");
        *kills.entry(doing).or_default() += 1;
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// What was going on, by the locks and temporaries that lie there.
fn what_it_did(runs: &Path) -> String {
    let holder = |path: &Path| {
        let text = fs::read_to_string(path).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        value["doing"].as_str().map(str::to_owned)
    };
    for stage in entries(&runs.join(".store")) {
        for path in entries(&runs.join(".store").join(stage)) {
            let is_unit =
                path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".lock-"));
            if let Some(doing) = is_unit.then(|| holder(&path)).flatten().filter(|d| !d.is_empty())
            {
                return doing;
            }
        }
    }
    let doing = holder(&runs.join("small/.lock-run")).filter(|doing| !doing.is_empty());
    let doing = doing.unwrap_or_else(|| "start".to_owned());
    if doing != "train and evaluate" {
        return doing;
    }
    let arms = ["retrieved", "random", "none"].map(|arm| runs.join("small/tasks/mood").join(arm));
    let seeds = arms.map(|arm| arm.join("seed-1"));
    let trains = seeds.iter().flat_map(|dir| entries(dir)).any(|path| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with(".tmp-") && name.ends_with("-model")
        })
    });
    if trains { "train" } else { "evaluate" }.to_owned()
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn compare(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
) -> Result<(), String> {
    if let Some(left) = found.keys().find(|name| !expected.contains_key(*name)) {
        return Err(format!("{left} was left"));
    }
    for (name, content) in expected {
        match found.get(name) {
            None => return Err(format!("{name} is missing")),
            Some(other) if other != content => return Err(format!("{name} differs")),
            Some(_) => {}
        }
    }
    Ok(())
}
