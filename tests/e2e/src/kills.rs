//! Runs killed at random moments and continued: the end must be that of a run never killed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Large, Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, examples_dir, living};

/// What is run, killed, and run again.
#[derive(Debug, Clone, Copy)]
struct Trial<'a> {
    name: &'a str,
    of: Of<'a>,
    /// Number of worker processes.
    workers: &'a str,
}

/// What a trial's project is.
#[derive(Debug, Clone, Copy)]
enum Of<'a> {
    /// A small one with this retriever, trained and evaluated.
    Small(&'a str),
    /// A large one, which ends with its selection.
    Large(&'a Large),
}

const SMALL: [Trial<'_>; 3] = [
    Trial { name: "dense", of: Of::Small(RETRIEVER_DENSE), workers: "0" },
    Trial { name: "bm25", of: Of::Small(RETRIEVER_BM25), workers: "0" },
    Trial { name: "dense with 2 workers", of: Of::Small(RETRIEVER_DENSE), workers: "2" },
];

/// Pool rows of a small project: 8 parts.
const ROWS: usize = 2000;

/// How long workers may live on once their host was killed: a component has two seconds to come
/// back.
const ORPHANS_END_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Kills so far, and what became of the workers of killed hosts.
#[derive(Debug, Default)]
pub struct Kills {
    /// How often, by what was going on.
    pub by_stage: BTreeMap<String, usize>,
    /// Workers that were there when their host was killed.
    pub orphans: usize,
    /// The longest that one of them was seen after that.
    pub longest: Duration,
}

impl Kills {
    /// All of them.
    pub fn total(&self) -> usize {
        self.by_stage.values().sum()
    }

    fn count(&mut self, doing: String) {
        *self.by_stage.entry(doing).or_default() += 1;
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (doing, times) in &self.by_stage {
            writeln!(f, "{times:>6} kills: {doing}")?;
        }
        let (orphans, longest) = (self.orphans, self.longest.as_secs_f64());
        write!(f, "{orphans:>6} workers outlived their host, seen for {longest:.1} s at most")
    }
}

impl Trial<'_> {
    fn project(&self) -> Project {
        match self.of {
            Of::Small(retriever) => {
                let project = Project::with_pool(ROWS);
                project.manifest(&[retriever, TRAINER]);
                project
            }
            Of::Large(large) => large.project(),
        }
    }

    fn start(&self, project: &Project) -> Child {
        let run = project.deft("run").arg("--workers").arg(self.workers);
        let run = match self.of {
            Of::Small(_) => run,
            Of::Large(_) => run.arg("--plugin-dir").arg(examples_dir()),
        };
        run.in_own_group().spawn()
    }
}

/// Kills runs at `wanted` random moments that follow from `seed`, and continues each to its end.
///
/// # Errors
///
/// What differs from a run that was never killed, and a worker that does not end.
///
/// # Panics
///
/// When the program cannot be started.
pub fn kill_runs(seed: u64, wanted: usize, tell: impl FnMut(&str)) -> Result<Kills, String> {
    kill(&SMALL, seed, wanted, tell)
}

/// The same with a large project, alone and with worker processes.
///
/// # Errors
///
/// Those of [`kill_runs`].
///
/// # Panics
///
/// When the program cannot be started.
pub fn kill_large_runs(
    large: &Large,
    seed: u64,
    wanted: usize,
    tell: impl FnMut(&str),
) -> Result<Kills, String> {
    let trials = [("large", "0"), ("large with 2 workers", "2")];
    let trials = trials.map(|(name, workers)| Trial { name, of: Of::Large(large), workers });
    kill(&trials, seed, wanted, tell)
}

fn kill(
    trials: &[Trial<'_>],
    seed: u64,
    wanted: usize,
    mut tell: impl FnMut(&str),
) -> Result<Kills, String> {
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut killer = Killer { random, kills: Kills::default(), orphans: Vec::new() };
    let mut expected = Vec::new();
    for trial in trials {
        let (name, project) = (trial.name, trial.project());
        let start = Instant::now();
        if !trial.start(&project).wait().expect("it ends").success() {
            return Err(format!("{name}: the run that is not killed fails"));
        }
        tell(&format!("{name}: {:.1} s without a kill", start.elapsed().as_secs_f64()));
        expected.push((start.elapsed(), project.stable_results()));
    }
    for turn in 0.. {
        let before = killer.kills.total();
        if before >= wanted {
            break;
        }
        let trial = &trials[turn % trials.len()];
        let (whole, expected) = &expected[turn % trials.len()];
        let (name, project) = (trial.name, trial.project());
        killer
            .run_to_end(trial, &project, *whole)
            .and_then(|()| compare(&project.stable_results(), expected))
            .map_err(|why| format!("{name}, after {before} kills with seed {seed}: {why}"))?;
        let now = killer.kills.total();
        tell(&format!("{name}: equal after {} kills ({now} of {wanted})", now - before));
    }
    Ok(killer.kills)
}

struct Killer {
    random: ChaCha8Rng,
    kills: Kills,
    /// Process groups of killed runs in which something may live on, and when they were killed.
    orphans: Vec<(u32, Instant)>,
}

impl Killer {
    /// Starts a run again and again, each time killed after a random while, until it ends by itself.
    fn run_to_end(
        &mut self,
        trial: &Trial<'_>,
        project: &Project,
        whole: Duration,
    ) -> Result<(), String> {
        loop {
            let mut run = trial.start(project);
            let time = whole.mul_f64(self.random.random_range(0.02..0.8));
            let ended = match self.wait(&mut run, time)? {
                Some(status) => Some(status),
                None => self.kill(&mut run, project),
            };
            if let Some(status) = ended {
                self.see_the_end_of_orphans()?;
                return if status.success() { Ok(()) } else { Err(format!("ended with {status}")) };
            }
        }
    }

    /// Waits for so long, or for the end of the run; workers of killed ones may work beside it.
    fn wait(&mut self, run: &mut Child, time: Duration) -> Result<Option<ExitStatus>, String> {
        let start = Instant::now();
        let mut looked = start;
        while start.elapsed() < time {
            if let Some(status) = run.try_wait().expect("a child") {
                return Ok(Some(status));
            }
            if looked.elapsed() >= LOOK {
                self.look_at_orphans()?;
                looked = Instant::now();
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        Ok(None)
    }

    /// Kills the run; or one of its workers, after which the run must go on to its end by itself.
    fn kill(&mut self, run: &mut Child, project: &Project) -> Option<ExitStatus> {
        let worker = children(run.id()).first().copied().filter(|_| self.random.random_bool(0.5));
        let doing = what_it_did(&project.path("runs"));
        if let Some(worker) = worker {
            let _ = Command::new("kill").args(["-KILL", &worker.to_string()]).status();
            self.kills.count(format!("{doing}, a worker"));
            return Some(run.wait().expect("a child"));
        }
        run.kill().expect("killed");
        run.wait().expect("a child");
        self.kills.count(doing);
        self.kills.orphans += living(run.id()).len();
        self.orphans.push((run.id(), Instant::now()));
        None
    }

    fn look_at_orphans(&mut self) -> Result<(), String> {
        let mut left = Vec::new();
        for (group, killed) in std::mem::take(&mut self.orphans) {
            let (processes, lived) = (living(group), killed.elapsed());
            if processes.is_empty() {
                continue;
            }
            if lived > ORPHANS_END_WITHIN {
                return Err(format!("processes {processes:?} live on after their host was killed"));
            }
            self.kills.longest = self.kills.longest.max(lived);
            left.push((group, killed));
        }
        self.orphans = left;
        Ok(())
    }

    fn see_the_end_of_orphans(&mut self) -> Result<(), String> {
        while !self.orphans.is_empty() {
            self.look_at_orphans()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

fn children(pid: u32) -> Vec<u32> {
    // Any thread may have started them.
    let tasks = entries(Path::new(&format!("/proc/{pid}/task")));
    let of_task = |task: PathBuf| fs::read_to_string(task.join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.into_iter().map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|it| it.parse().ok()).collect()
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
