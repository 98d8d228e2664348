//! Projects whose retriever is the fixture `flaky`: its units take their time, crash or fail as often
//! as they are told to, and note that they were begun.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Deft, Project, examples_dir};

/// A project with one phase `note` of a unit for each 250 rows of the pool.
#[derive(Debug)]
pub struct Flaky(Project);

impl Deref for Flaky {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.0
    }
}

impl Flaky {
    /// Four units, with options of the retriever: `crash_in: 2, times: 1`.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn new(options: &str) -> Self {
        Self::with_units(4, options, "")
    }

    /// So many units, and more blocks of the manifest.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn with_units(units: usize, options: &str, blocks: &str) -> Self {
        let project = Project::with_pool(250 * units);
        let notes = project.path("notes.txt");
        let notes = notes.display();
        let retriever = format!("retriever: {{ use: flaky, notes: {notes}, {options} }}\n");
        project.manifest(&[&retriever, blocks]);
        Self(project)
    }

    /// A call of the program on the manifest, which finds the plugin.
    pub fn call(&self, command: &str) -> Deft {
        let plugins = "plugins=[p3, t5, exact, dense, bm25, flaky]";
        self.deft(command).arg("--plugin-dir").arg(examples_dir()).args(&["--set", plugins])
    }

    /// `deft unit` for one unit.
    pub fn unit(&self, unit: usize) -> Deft {
        self.call("unit").args(&["--phase", "note", "--unit", &unit.to_string()])
    }

    /// How often each unit was begun.
    ///
    /// # Panics
    ///
    /// When the notes are not numbers.
    pub fn begun(&self) -> BTreeMap<usize, usize> {
        let mut begun = BTreeMap::new();
        for unit in self.notes("notes.txt") {
            *begun.entry(unit).or_default() += 1;
        }
        begun
    }

    /// The threads that each unit got, in the order in which they were begun.
    ///
    /// # Panics
    ///
    /// When the notes are not numbers.
    pub fn threads(&self) -> Vec<usize> {
        self.notes("notes.threads")
    }

    fn notes(&self, name: &str) -> Vec<usize> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| line.parse().expect("a number")).collect()
    }

    /// Waits until so many units have been begun.
    ///
    /// # Panics
    ///
    /// When that takes more than half a minute.
    pub fn wait_for_units(&self, wanted: usize) {
        wait_until("units are begun", || self.begun().values().sum::<usize>() >= wanted);
    }

    /// What `deft status` tells.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn status(&self) -> String {
        self.deft("status").succeed().stdout
    }

    /// What `deft status --json` tells.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn status_json(&self) -> Value {
        let text = self.deft("status").arg("--json").succeed().stdout;
        serde_json::from_str(&text).expect("JSON")
    }

    /// What worker processes said.
    ///
    /// # Panics
    ///
    /// When there are no logs.
    pub fn logs(&self) -> String {
        let logs = fs::read_dir(self.path("runs/small/logs")).expect("there are logs");
        let read = |log: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(log.expect("listed").path()).expect("read")
        };
        logs.map(read).collect()
    }
}

/// Waits until something is so.
///
/// # Panics
///
/// When it is not after half a minute.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
