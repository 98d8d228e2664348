//! A mistake: what a user does to a good project, the command, and what the program answers.

mod before;
mod data;

pub use before::{manifest, plugins};
pub use data::{data, models, running};

use std::path::Path;

use deft_e2e::{Deft, Project, RETRIEVER_BM25, TRAINER, program_dir};

/// One mistake.
pub struct Mistake {
    /// What was done, in a sentence.
    pub what: &'static str,
    /// Makes it.
    spoil: fn(&Project),
    /// The command line after `deft`; `manifest.yaml` is the project's.
    args: &'static [&'static str],
}

/// What the program answered.
pub struct Made {
    /// The exit code.
    pub code: i32,
    /// From `error:` on, without what depends on the machine.
    pub message: String,
}

/// A mistake in the files, met by `deft run`.
pub fn mistake(what: &'static str, spoil: fn(&Project)) -> Mistake {
    Mistake { what, spoil, args: &["run", "manifest.yaml"] }
}

/// A mistake on the command line.
pub fn on_command_line(what: &'static str, args: &'static [&'static str]) -> Mistake {
    Mistake { what, spoil: |_| (), args }
}

/// Replaces a text of the manifest that must be there.
#[track_caller]
pub fn replace(project: &Project, from: &str, to: &str) {
    let path = project.path("manifest.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no «{from}» in the manifest");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

impl Mistake {
    /// The command as a user types it.
    pub fn command(&self) -> String {
        let quoted = |arg: &&str| {
            if arg.contains([' ', '[']) { format!("'{arg}'") } else { (*arg).to_owned() }
        };
        let args: Vec<String> = self.args.iter().map(quoted).collect();
        format!("deft {}", args.join(" "))
    }

    /// Makes the mistake in a project of its own.
    pub fn make(&self) -> Made {
        let project = Project::with_pool(300);
        project.manifest(&[RETRIEVER_BM25, TRAINER]);
        (self.spoil)(&project);
        let home = project.path("home");
        let mut call = Deft::new(&[])
            .env("HOME", &home)
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("HF_HUB_CACHE", home.join(".cache/huggingface/hub"));
        for arg in self.args {
            let is_path = Path::new(arg).extension().is_some_and(|end| end == "yaml");
            call = if is_path { call.arg(project.path(arg)) } else { call.arg(arg) };
        }
        let output = call.run();
        let start = output.stderr.find("error: ").unwrap_or_else(|| {
            panic!("{}: no error, code {}:\n{}", self.what, output.code, output.stderr)
        });
        Made { code: output.code, message: anonymous(&project, &output.stderr[start..]) }
    }
}

/// The message without paths of this machine.
fn anonymous(project: &Project, message: &str) -> String {
    let mut text = message.trim_end().to_owned();
    let canonical = |path: &Path| path.canonicalize().unwrap().display().to_string();
    for (path, word) in [
        (canonical(&program_dir()), "…/bin"),
        (program_dir().display().to_string(), "…/bin"),
        (canonical(project.dir()), "…/project"),
        (project.dir().display().to_string(), "…/project"),
    ] {
        text = text.replace(&path, word);
    }
    text.replace("…/project/home", "~")
}
