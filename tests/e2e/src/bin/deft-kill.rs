//! `deft-kill [KILLS [SEED]]`: kills runs at random moments, continues them, and compares the ends.

use std::process::ExitCode;
use std::time::Instant;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(kills), Ok(seed)) =
        (arguments.next().unwrap_or(Ok(500)), arguments.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: deft-kill [KILLS [SEED]]");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let wanted = usize::try_from(kills).unwrap_or(usize::MAX);
    match deft_e2e::kill_runs(seed, wanted, |line| println!("{line}")) {
        Ok(kills) => {
            println!("{kills}");
            let (total, seconds) = (kills.total(), start.elapsed().as_secs());
            println!("{total} kills, every end equal ({seconds} s)");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("not equal: {why}");
            ExitCode::FAILURE
        }
    }
}
