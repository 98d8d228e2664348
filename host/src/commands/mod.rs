//! The commands of the program, one module each.

mod check;
mod encode;
mod evaluate;
mod fetch;
mod fuse;
mod limits;
mod plan;
mod plugin;
mod read;
mod run;
mod schema;
mod search;
mod show;
mod single;
mod status;
mod unit;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use deft_core::Result;

use crate::console::LogFormat;
use crate::pipeline::{RunOptions, Stage};

/// Finds the training examples nearest to a task in a huge pool, and fine-tunes on them alone.
#[derive(Debug, Parser)]
#[command(name = "deft", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Form of log lines and errors on stderr.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// More log lines; twice for all.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Warnings and errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a manifest: every stage, going on where it stopped
    Run(run::RunArgs),
    /// Only read the pool and prepare it for search
    Index(run::RunArgs),
    /// Up to the selections
    Retrieve(run::RunArgs),
    /// Up to the models
    Train(run::RunArgs),
    /// Up to the metrics, the same as `run`; or any model on any tasks, without a pool
    Evaluate(evaluate::EvaluateArgs),
    /// Check all that can be known of a manifest before running it
    Check(ManifestArgs),
    /// Tell what a run will cost: disk, memory and time of each stage; fail if it does not fit
    Plan(plan::PlanArgs),
    /// Download every model and data set that a manifest names, for a machine without a network
    Fetch(fetch::FetchArgs),
    /// Tell how far a run is: units done, running and failed, and the time left
    Status(status::StatusArgs),
    /// Show what a run selected: sources, overlap of arms, duplicates, contamination, far queries
    Show(show::ShowArgs),
    /// Do one unit of one phase
    Unit(unit::UnitArgs),
    /// Search the prepared pool of a manifest with lines of text
    Search(search::SearchArgs),
    /// Make one run of several, by ranks or by scores
    ///
    /// The hits of a run are taken in the order of their scores, the largest first; of equal scores
    /// the smaller rank of the file comes first, then the smaller docid. What is written is in the
    /// order of the fused scores; of equal ones the smaller docid comes first, whole numbers by value
    /// and before all other docids. Queries come in the order in which the runs first have them. A
    /// run that lacks a query, or a document of it, adds nothing there.
    Fuse(fuse::FuseArgs),
    /// Encode texts into vectors
    Encode(encode::EncodeArgs),
    /// Read a source and print its examples as JSON lines
    Read(read::ReadArgs),
    /// Print the JSON Schema of manifests, for editors, or the reference of all keys and options
    Schema(schema::SchemaArgs),
    /// List and inspect plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

/// A manifest and where its run takes place.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// The manifest
    pub manifest: PathBuf,
    /// Where its run takes place
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What is set of a manifest, and where its run takes place.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// Set a value of the manifest: `--set selection.neighbors=50`; may be given several times
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub overrides: Vec<String>,
    /// Folder of the run [default: runs/NAME beside the manifest]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Folder of the store [default: the manifest's `store`]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// What every command takes
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of every command that loads plugins.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Folder to search for plugins before all others; may be given several times
    #[arg(long = "plugin-dir", value_name = "DIR")]
    pub plugin_dirs: Vec<PathBuf>,
    /// Threads to keep busy [default: as many as there are]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

impl PlaceArgs {
    fn options(&self) -> RunOptions {
        RunOptions {
            run: self.run.clone(),
            store: self.store.clone(),
            plugin_dirs: self.common.plugin_dirs.clone(),
            threads: self.common.threads,
            ..RunOptions::default()
        }
    }
}

/// Runs a command.
///
/// # Errors
///
/// Whatever goes wrong, to be printed and turned into an exit code.
pub fn execute(command: &Command) -> Result<()> {
    match command {
        Command::Run(args) => run::run(args, Stage::Evaluate),
        Command::Evaluate(args) => evaluate::evaluate(args),
        Command::Index(args) => run::run(args, Stage::Index),
        Command::Retrieve(args) => run::run(args, Stage::Retrieve),
        Command::Train(args) => run::run(args, Stage::Train),
        Command::Check(args) => check::check(args),
        Command::Plan(args) => plan::plan(args),
        Command::Fetch(args) => fetch::fetch(args),
        Command::Status(args) => status::status(args),
        Command::Show(args) => show::show(args),
        Command::Unit(args) => unit::unit(args),
        Command::Search(args) => search::search(args),
        Command::Fuse(args) => fuse::fuse(args),
        Command::Encode(args) => encode::encode(args),
        Command::Read(args) => read::read(args),
        Command::Schema(args) => schema::schema(args),
        Command::Plugin(command) => plugin::plugin(command),
    }
}

/// Prints data to stdout; a closed pipe ends the program quietly, as it should.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(deft_core::Error::new(deft_core::ErrorKind::Io, "cannot write to stdout")
                .with_source(&error))
        }
        _ => Ok(()),
    }
}
