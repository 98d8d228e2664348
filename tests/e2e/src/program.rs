//! The program under test.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The folder of the built program and its plugins.
///
/// # Panics
///
/// When the program has not been built.
pub fn program_dir() -> PathBuf {
    let dir = workspace().join("target/release");
    assert!(dir.join("deft").is_file(), "build first: `make build plugins` ({})", dir.display());
    dir
}

/// The folder of the plugins built outside the workspace.
///
/// # Panics
///
/// When they have not been built.
pub fn examples_dir() -> PathBuf {
    let dir = workspace().join("target/examples/release");
    assert!(
        dir.join("libdeft_panicky.so").is_file(),
        "build first: `make plugins` ({})",
        dir.display()
    );
    dir
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Variable and value with which a unit that failed is tried again at once, not after seconds.
pub const QUICK_RETRIES: (&str, &str) = ("DEFT_TEST_RETRY_DELAY_MS", "20");

/// One call of the program.
#[derive(Debug)]
pub struct Deft(Command);

/// What a call left.
#[derive(Debug)]
pub struct Output {
    /// The exit code; −1 after a signal.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

impl Deft {
    /// The program with arguments, in a clean environment and an empty working directory's stead
    /// the root: nothing may depend on where it is called. It opens no connection.
    pub fn new(args: &[&str]) -> Self {
        Self::of(&program_dir().join("deft"), args)
    }

    /// The same with another file of the program.
    pub fn of(program: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir("/").env_remove("DEFT_PLUGIN_PATH").stdin(Stdio::null());
        command.env("HF_HUB_OFFLINE", "1");
        command.env(QUICK_RETRIES.0, QUICK_RETRIES.1);
        Self(command)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts in a process group of its own, with the processes that it starts: the group's number
    /// is that of the process.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.0.process_group(0);
        self
    }

    /// Runs to the end on a terminal, whose content is then `stdout`; `None` where there is no
    /// `script` to make one.
    pub fn run_on_terminal(self) -> Option<Output> {
        let version = Command::new("script").arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains("util-linux") {
            return None;
        }
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<String> = words.map(quoted).collect();
        let line = format!("stty rows 40 cols 120; exec {}", words.join(" "));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir("/").stdin(Stdio::null());
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        self.lend_environment(&mut command);
        Some(command.output().ok()?.into())
    }

    /// Gives a program that starts this one what this one is to have.
    fn lend_environment(&self, command: &mut Command) {
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    /// Runs to the end.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn run(mut self) -> Output {
        self.0.output().expect("the program starts").into()
    }

    /// Runs to the end, which must be a good one.
    ///
    /// # Panics
    ///
    /// When the exit code is not 0.
    pub fn succeed(self) -> Output {
        let output = self.run();
        assert_eq!(output.code, 0, "{}", output.stderr);
        output
    }

    /// Starts without waiting; what it writes is kept for [`Output::from`].
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn spawn_piped(mut self) -> Child {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// Starts without waiting; messages can be read from the child's stderr.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn spawn_with_stderr(mut self) -> Child {
        self.0.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// The same under `nohup`, which has the child ignore SIGHUP.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn spawn_under_nohup(self) -> Child {
        let mut command = Command::new("nohup");
        command.arg(self.0.get_program()).args(self.0.get_args()).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        self.lend_environment(&mut command);
        command.spawn().expect("the program starts")
    }

    /// Starts without waiting.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    pub fn spawn(mut self) -> Child {
        self.0.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }
}

/// A word for a shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
