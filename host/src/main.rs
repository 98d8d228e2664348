//! The program `deft`.

use std::process::ExitCode;

use clap::Parser;
use deft_core::{Error, ErrorKind};
use deft_host::commands::{Cli, Command, execute};
use deft_host::console::{self, LogFormat};
use deft_host::crash;
use deft_host::interrupt::{self, EXIT_CANCELLED};

fn main() -> ExitCode {
    #[expect(unsafe_code, reason = "the environment is set before there is a second thread")]
    // SAFETY: this is the first statement of the program.
    unsafe {
        deft_loader::prepare_environment();
    }
    let cli = Cli::parse();
    console::install(cli.log_format, cli.verbose, cli.quiet);
    crash::install(cli.log_format == LogFormat::Json);
    interrupt::set_resumable(is_resumable(&cli.command));
    let done = interrupt::handle_ctrl_c().and_then(|()| execute(&cli.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::print_error(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Whether the command keeps what it has finished: in a store and a run's folder, or a cache.
fn is_resumable(command: &Command) -> bool {
    match command {
        Command::Evaluate(args) => args.is_resumable(),
        Command::Run(_)
        | Command::Index(_)
        | Command::Retrieve(_)
        | Command::Train(_)
        | Command::Unit(_)
        | Command::Fetch(_) => true,
        _ => false,
    }
}

/// 1 failed, 2 wrong usage or manifest (a plugin that it names included), 130 cancelled.
fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Options | ErrorKind::Plugin => 2,
        ErrorKind::Cancelled => u8::try_from(EXIT_CANCELLED).unwrap_or(1),
        _ => 1,
    }
}
