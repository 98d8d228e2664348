//! What FAISS prints while it trains, as one line.
//!
//! FAISS writes its warnings to the process's standard error: one for each of hundreds of k-means
//! runs. While something trains here, standard error is a pipe; a thread keeps FAISS's warnings,
//! and passes on at once whatever else comes: progress bars and messages of other threads.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use deft_core::Context;

/// How the warnings of FAISS start.
const WARNING: &[u8] = b"WARNING clustering ";

/// One capture at a time: standard error is the process's.
static CAPTURING: Mutex<()> = Mutex::new(());

/// Runs some work of FAISS, then logs its first warning and how many there were.
pub(crate) fn folded<T>(ctx: &Context<'_>, work: impl FnOnce() -> T) -> T {
    let _only = CAPTURING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(capture) = Capture::start() else { return work() };
    let done = work();
    match capture.end().as_slice() {
        [] => {}
        [one] => ctx.warn(&format!("FAISS: {one}")),
        [first, rest @ ..] => {
            ctx.warn(&format!("FAISS: {first} (and {} more warnings like it)", rest.len()));
        }
    }
    done
}

/// Standard error, turned into a pipe.
struct Capture {
    original: OwnedFd,
    reader: JoinHandle<Vec<String>>,
}

impl Capture {
    /// Nothing is captured where the system refuses: warnings then appear as FAISS prints them.
    fn start() -> Option<Self> {
        let original = rustix::io::dup(rustix::stdio::stderr()).ok()?;
        let passed_on = rustix::io::dup(&original).ok()?;
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok()?;
        rustix::stdio::dup2_stderr(&write).ok()?;
        let reader = std::thread::spawn(move || sort(File::from(read), File::from(passed_on)));
        Some(Self { original, reader })
    }

    fn end(self) -> Vec<String> {
        // The pipe's last writing end is closed by this, and the thread sees its end.
        let _ = rustix::stdio::dup2_stderr(&self.original);
        self.reader.join().unwrap_or_default()
    }
}

/// Keeps what is a warning of FAISS, to its line's end; the rest goes on as it comes.
fn sort(mut from: File, mut to: File) -> Vec<String> {
    let (mut held, mut warnings, mut buffer) = (Vec::new(), Vec::new(), vec![0; 4096]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        while let Some(start) = find(&held, WARNING) {
            let _ = to.write_all(&held[..start]);
            held.drain(..start);
            let Some(end) = held.iter().position(|&byte| byte == b'\n') else { break };
            let warning: Vec<u8> = held.drain(..=end).collect();
            warnings.push(String::from_utf8_lossy(warning.trim_ascii()).into_owned());
        }
        if !held.starts_with(WARNING) {
            let _ = to.write_all(&held[..held.len() - begun(&held)]);
            held.drain(..held.len() - begun(&held));
        }
    }
    let _ = to.write_all(&held);
    warnings
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// How many bytes at the end may be the start of a warning.
fn begun(text: &[u8]) -> usize {
    (1..WARNING.len()).rev().find(|&length| text.ends_with(&WARNING[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept and what is passed on, when text is written in such pieces.
    fn sorted(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        let (passed, to) = rustix::pipe::pipe().expect("a pipe");
        let sorter = std::thread::spawn(move || sort(File::from(read), File::from(to)));
        let mut write = File::from(write);
        for piece in pieces {
            write.write_all(piece).expect("written");
        }
        drop(write);
        let warnings = sorter.join().expect("sorted");
        let mut rest = String::new();
        File::from(passed).read_to_string(&mut rest).expect("read");
        (warnings, rest)
    }

    #[test]
    fn warnings_are_kept_and_everything_else_is_passed_on() {
        let one = b"WARNING clustering 5 points to 256 centroids\n";
        let (warnings, rest) = sorted(&[b"log\n", one, b"[==>  ] 10 %", one, b"\rWARN", b"ED\n"]);
        assert_eq!(warnings, ["WARNING clustering 5 points to 256 centroids"; 2]);
        assert_eq!(rest, "log\n[==>  ] 10 %\rWARNED\n");
    }

    #[test]
    fn hundreds_of_warnings_in_any_pieces_are_counted() {
        let text = b"WARNING clustering 5 points\n".repeat(500);
        for size in [1, 7, 1000] {
            let (warnings, rest) = sorted(&text.chunks(size).collect::<Vec<_>>());
            assert_eq!((warnings.len(), rest.as_str()), (500, ""), "{size}");
        }
    }

    #[test]
    fn what_is_no_whole_warning_at_the_end_is_passed_on() {
        assert_eq!(sorted(&[b"a WARN"]), (vec![], "a WARN".to_owned()));
        let (warnings, rest) = sorted(&[b"WARNING clustering 5"]);
        assert_eq!((warnings.len(), rest.as_str()), (0, "WARNING clustering 5"));
    }
}
