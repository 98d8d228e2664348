//! `deft check`: all that can be known before running.

use deft_core::Result;

use super::{ManifestArgs, print};
use crate::pipeline::Run;

pub(super) fn check(args: &ManifestArgs) -> Result<()> {
    let run = Run::open(&args.manifest, &args.place.overrides, &args.place.options())?;
    let manifest = run.manifest();
    let arms: Vec<&str> = manifest.arms.keys().map(String::as_str).collect();
    let tasks: Vec<&str> = manifest.tasks.iter().map(|task| task.name.as_str()).collect();
    print(&format!(
        "{}: fine\n  plugins: {}\n  tasks: {}\n  arms: {}\n  seeds: {:?}\n",
        args.manifest.display(),
        manifest.plugins.join(", "),
        tasks.join(", "),
        arms.join(", "),
        manifest.seeds,
    ))
}
