//! A plugin from outside the workspace, as a third party ships it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Deft, Project, examples_dir};

const RETRIEVER: &str = "\
retriever:
  use: dense
  encoder: { use: hash, dimension: 64 }
  index: exact
";

#[test]
fn the_example_plugin_is_listed_inspected_and_runs_in_a_manifest() {
    let dir = examples_dir();
    let listed = Deft::new(&["plugin", "list", "--plugin-dir"]).arg(&dir).succeed().stdout;
    assert!(listed.contains("hash-encoder"), "{listed}");
    let inspect = Deft::new(&["plugin", "inspect", "hash-encoder", "--plugin-dir"]);
    let inspected = inspect.arg(&dir).succeed().stdout;
    for part in ["encoder hash", "sha256", "dimension: integer; default", "interface   1"] {
        assert!(inspected.contains(part), "{part} in {inspected}");
    }

    let project = Project::new();
    project.manifest(&[RETRIEVER]);
    let plugins = "plugins=[p3, exact, dense, hash-encoder]";
    let run = project.deft("run").arg("--plugin-dir").arg(&dir).arg("--set").arg(plugins);
    let output = run.arg("--set").arg("arms={retrieved: {}}").succeed();
    // Without a trainer a run ends with its selections.
    assert_eq!(output.stdout, "");
    let selection = project.path("runs/small/tasks/mood/retrieved/selection.jsonl");
    assert!(std::fs::read_to_string(selection).unwrap().lines().count() >= 10);
    assert!(!project.path("runs/small/tasks/mood/retrieved/seed-1").exists());
}
