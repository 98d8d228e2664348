//! A mistake: what a user does to a good project, the command, and what the program answers.

mod before;
mod data;

pub(crate) use before::{manifest, plugins};
pub(crate) use data::{data, models, running};

use std::fs;
use std::path::Path;
use std::process::Command;

use deft_e2e::{Project, RETRIEVER_BM25, TRAINER, program_dir};

/// One mistake.
pub(crate) struct Mistake {
    /// What was done, in a sentence.
    pub(crate) what: &'static str,
    /// Makes it.
    spoil: fn(&Project),
    /// The command line after `deft`; `manifest.yaml` is the project's.
    args: &'static [&'static str],
}

/// What the program answered.
pub(crate) struct Made {
    /// The exit code.
    pub(crate) code: i32,
    /// From `error:` on, without what depends on the machine.
    pub(crate) message: String,
}

/// A mistake in the files, met by `deft run`.
pub(crate) fn mistake(what: &'static str, spoil: fn(&Project)) -> Mistake {
    Mistake { what, spoil, args: &["run", "manifest.yaml"] }
}

/// A mistake on the command line.
pub(crate) fn on_command_line(what: &'static str, args: &'static [&'static str]) -> Mistake {
    Mistake { what, spoil: |_| (), args }
}

/// Replaces a text of the manifest that must be there.
#[track_caller]
pub(crate) fn replace(project: &Project, from: &str, to: &str) {
    let path = project.path("manifest.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no «{from}» in the manifest");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

impl Mistake {
    /// The command as a user types it.
    pub(crate) fn command(&self) -> String {
        let quoted = |arg: &&str| {
            if arg.contains([' ', '[']) { format!("'{arg}'") } else { (*arg).to_owned() }
        };
        let args: Vec<String> = self.args.iter().map(quoted).collect();
        format!("deft {}", args.join(" "))
    }

    /// Makes the mistake in a project of its own.
    pub(crate) fn make(&self, bin: &Path) -> Made {
        let project = Project::with_pool(300);
        project.manifest(&[RETRIEVER_BM25, TRAINER]);
        (self.spoil)(&project);
        let made = call(bin, &project, self.args);
        assert!(!made.message.is_empty(), "{}: no error, code {}", self.what, made.code);
        if self.args[0] == "run" && made.code == 2 {
            let checked = call(bin, &project, &[&["check"], &self.args[1..]].concat());
            assert_eq!((checked.code, &checked.message), (2, &made.message), "{}", self.what);
            assert!(!project.path("runs").exists(), "{}: nothing is written", self.what);
        }
        made
    }
}

/// Puts the program and the plugins of these mistakes into a folder: messages list what is there.
pub(crate) fn install(bin: &Path) {
    let plugins = ["p3", "t0", "t5", "exact", "dense", "bm25"];
    let libraries = plugins.map(|name| format!("libdeft_{name}.so"));
    for file in ["deft"].into_iter().chain(libraries.iter().map(String::as_str)) {
        let (from, to) = (program_dir().join(file), bin.join(file));
        // Another file system needs a copy.
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ())).unwrap();
    }
}

/// Calls the program in an environment without anything of this machine.
fn call(bin: &Path, project: &Project, args: &[&str]) -> Made {
    let home = project.path("home");
    let mut command = Command::new(bin.join("deft"));
    command
        .current_dir("/")
        .env_remove("DEFT_PLUGIN_PATH")
        .env("HOME", &home)
        .env("XDG_DATA_HOME", home.join(".local/share"))
        .env("XDG_CACHE_HOME", home.join(".cache"))
        .env("HF_HUB_CACHE", home.join(".cache/huggingface/hub"))
        .env("HF_HUB_OFFLINE", "1");
    for arg in args {
        let is_path = Path::new(arg).extension().is_some_and(|end| end == "yaml");
        if is_path {
            command.arg(project.path(arg))
        } else {
            command.arg(arg)
        };
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let message = stderr.find("error: ").map_or("", |start| &stderr[start..]);
    Made { code: output.status.code().unwrap_or(-1), message: anonymous(bin, project, message) }
}

/// The message without paths of this machine.
fn anonymous(bin: &Path, project: &Project, message: &str) -> String {
    let mut text = message.trim_end().to_owned();
    let canonical = |path: &Path| path.canonicalize().unwrap().display().to_string();
    for (path, word) in [
        (canonical(bin), "…/bin"),
        (canonical(project.dir()), "…/project"),
        (project.dir().display().to_string(), "…/project"),
    ] {
        text = text.replace(&path, word);
    }
    text.replace("…/project/home", "~")
}
