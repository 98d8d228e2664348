//! Last words: what a fatal signal was doing, told before it ends the program.
//!
//! The handlers call what is safe in a signal handler and nothing else: atomics, clock, `write`,
//! `poll`, `sigaction`, `raise`. After them comes what was there before (of Rust, the message about
//! a stack overflow) or the signal's default action, so that exit status and core dump are those of
//! the signal.

#![expect(unsafe_code, reason = "signals are the system's, and so is `_exit`")]

mod fault;
mod out;

use std::io::IsTerminal;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use deft_core::abi::v1::running;
use libc::{c_int, c_void, sigaction, siginfo_t};

use crate::interrupt;
use fault::Fault;
use out::Out;

/// A fatal signal: number, name, what it means, whose fault it is.
type Signal = (c_int, &'static str, &'static str, &'static str);

const SIGNALS: [Signal; 5] = [
    (libc::SIGSEGV, "SIGSEGV", "segmentation fault", NATIVE),
    (libc::SIGBUS, "SIGBUS", "bus error", MAPPED),
    (libc::SIGILL, "SIGILL", "illegal instruction", BUILD),
    (libc::SIGFPE, "SIGFPE", "arithmetic error", NATIVE),
    (libc::SIGABRT, "SIGABRT", "abort", GAVE_UP),
];

const NATIVE: &str = "the fault is in native code of that plugin or of a library that it uses: \
                      report it to the plugin's author";
const OVERFLOW: &str = "a thread had no stack left: endless recursion, or too large a local array, \
                        in that plugin or a library that it uses: report it to the plugin's author";
const MAPPED: &str = "a file was cut short while it was read, or its disk failed; if neither, \
                      report it to the plugin's author";
const BUILD: &str = "the plugin or a library that it uses was built for another processor: build \
                     it for this one; if it was, report it to the plugin's author";
const GAVE_UP: &str = "that plugin or a library that it uses gave up, the lines above may say why: \
                       report it to the plugin's author";

/// What handled each signal of [`SIGNALS`] before.
static PREVIOUS: [OnceLock<sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// Whether messages are JSON objects.
static JSON: AtomicBool = AtomicBool::new(false);
/// Whether a progress bar may stand on the line.
static TERMINAL: AtomicBool = AtomicBool::new(false);

/// Has the fatal signals tell which component was running; `json` as other messages do.
///
/// A stack overflow is told on threads that Rust started for this program, and on the main one: the
/// threads that a plugin starts have no second stack for the handler to run on.
pub fn install(json: bool) {
    JSON.store(json, Ordering::Relaxed);
    TERMINAL.store(std::io::stderr().is_terminal(), Ordering::Relaxed);
    widen_second_stack();
    for (place, (signal, ..)) in PREVIOUS.iter().zip(SIGNALS) {
        // The new handler may be called at once, and looks for the one before.
        let Some(previous) = current(signal) else { continue };
        if place.set(previous).is_ok() {
            let mut action = previous;
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            set(signal, &action);
        }
    }
}

/// Gives this thread a second stack for handlers with room to spare: what Rust gives it is mostly
/// taken by the registers of a large processor.
fn widen_second_stack() {
    const BYTES: usize = 64 << 10;
    let stack = vec![0_u8; BYTES].leak();
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
    // SAFETY: the memory is never given back, and nothing else uses it.
    unsafe {
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
    }
}

/// Ends the process without running any destructor, under whatever other threads do.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(code) }
}

/// Whether the process was started with a signal ignored, as `nohup` does.
pub fn is_ignored(signal: c_int) -> bool {
    current(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

/// Ignores a signal from now on.
pub fn ignore(signal: c_int) {
    set_simple(signal, libc::SIG_IGN);
}

fn current(signal: c_int) -> Option<sigaction> {
    let mut action = MaybeUninit::<sigaction>::uninit();
    // SAFETY: a null pointer asks for the action alone, and there is room for it.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: on success the system has filled it in.
    (done == 0).then(|| unsafe { action.assume_init() })
}

fn set(signal: c_int, action: &sigaction) {
    // SAFETY: the action is a copy of a valid one with a handler of the right type, `SIG_DFL` or
    // `SIG_IGN`; the one before is not asked for.
    unsafe {
        libc::sigaction(signal, action, std::ptr::null_mut());
    }
}

fn set_simple(signal: c_int, disposition: usize) {
    if let Some(mut action) = current(signal) {
        action.sa_sigaction = disposition;
        action.sa_flags = 0;
        set(signal, &action);
    }
}

/// The handler of all [`SIGNALS`].
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    const TELLING: u8 = 1;
    const TOLD: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(0);
    // Only the first fault is told: an overflow goes on to an abort, and threads fault together.
    if STATE.compare_exchange(0, TELLING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        tell(signal, &Fault::new(info, context));
        STATE.store(TOLD, Ordering::SeqCst);
    }
    for _ in 0..100 {
        if STATE.load(Ordering::SeqCst) == TOLD {
            break;
        }
        // SAFETY: no descriptor is looked at; this waits for a millisecond.
        unsafe {
            libc::poll(std::ptr::null_mut(), 0, 1);
        }
    }
    chain(signal, info, context);
}

/// Goes on to the handler before ours, then to the default action.
fn chain(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // Rust ends a stack overflow with an abort: another call of ours would not fit on the second
    // stack, and has nothing to tell.
    for (place, (other, ..)) in PREVIOUS.iter().zip(SIGNALS) {
        if let Some(previous) = place.get() {
            set(other, previous);
        }
    }
    let place = SIGNALS.iter().position(|(number, ..)| *number == signal);
    let previous = place.and_then(|place| PREVIOUS[place].get());
    if let Some(action) = previous
        && action.sa_sigaction != libc::SIG_DFL
        && action.sa_sigaction != libc::SIG_IGN
    {
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: with this flag the handler was set as a function of this type.
            let handler: Handler = unsafe { std::mem::transmute(action.sa_sigaction) };
            handler(signal, info, context);
        } else {
            // SAFETY: without the flag the handler was set as a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(action.sa_sigaction) };
            handler(signal);
        }
    }
    set_simple(signal, libc::SIG_DFL);
    if Fault::new(info, context).sent {
        // SAFETY: `raise` has no precondition. The signal waits until this handler returns; others
        // come again by themselves, from the instruction at fault.
        unsafe {
            libc::raise(signal);
        }
    }
}

fn tell(signal: c_int, fault: &Fault) {
    let known = SIGNALS.iter().find(|(number, ..)| *number == signal);
    let &(_, name, meaning, whose) = known.unwrap_or(&SIGNALS[0]);
    let (meaning, whose) =
        if fault.overflow { ("stack overflow", OVERFLOW) } else { (meaning, whose) };
    let mut out = Out::default();
    out.begin();
    out.add(&["deft: killed by ", name, " (", meaning, ")"]);
    let mut blamed = true;
    if fault.from_outside {
        out.add(&[", sent by another process"]);
        blamed = false;
    }
    if let Some(call) = running::here() {
        out.add(&[" in "]);
        out.add_call(&call);
    } else {
        blamed &= out.add_all();
    }
    if blamed {
        out.next_line();
        out.add(&[whose]);
    }
    if interrupt::is_resumable() {
        out.next_line();
        out.add(&["what was finished is kept: the same command goes on"]);
    }
    out.end();
}
