//! Last words: what a fatal signal was doing, told before it ends the program.
//!
//! The handlers call what is safe in a signal handler and nothing else: atomics, clock, `write`,
//! `poll`, `sigaction`, `raise`. After them comes what was there before (of Rust, the message about
//! a stack overflow) or the signal's default action, so that exit status and core dump are those of
//! the signal.

#![expect(unsafe_code, reason = "signals are the system's, and so is `_exit`")]

use std::io::IsTerminal;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::SystemTime;

use deft_core::abi::v1::running::{self, Call};
use libc::{c_int, c_void, sigaction, siginfo_t};

use crate::console::rfc3339;
use crate::interrupt;

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

/// What the system says of a signal.
struct Fault {
    /// A process sent the signal: there is no faulty instruction to come back to.
    sent: bool,
    /// Another process did.
    from_outside: bool,
    overflow: bool,
}

impl Fault {
    fn new(info: *const siginfo_t, context: *const c_void) -> Self {
        // SAFETY: the system hands a valid `siginfo_t` to a handler with `SA_SIGINFO`.
        let info = unsafe { &*info };
        let sent = info.si_code <= 0;
        // SAFETY: signals sent by a process have a process id in that place.
        let sender = sent.then(|| unsafe { info.si_pid() });
        // SAFETY: all other signals handled here have an address in that place.
        let address = (!sent).then(|| unsafe { info.si_addr() } as usize);
        let near = |(address, stack): (usize, usize)| address.abs_diff(stack) < 64 << 10;
        Self {
            sent,
            from_outside: sender.is_some_and(|id| id.cast_unsigned() != std::process::id()),
            overflow: info.si_signo == libc::SIGSEGV
                && address.zip(stack_pointer(context)).is_some_and(near),
        }
    }
}

/// Where the stack of the interrupted code ended.
fn stack_pointer(context: *const c_void) -> Option<usize> {
    if context.is_null() {
        return None;
    }
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        // SAFETY: the system hands a valid `ucontext_t` to a handler with `SA_SIGINFO`.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let pointer = context.uc_mcontext.gregs[libc::REG_RSP as usize];
        usize::try_from(pointer).ok()
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    {
        // SAFETY: as above.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        usize::try_from(context.uc_mcontext.sp).ok()
    }
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    None
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

/// Text on its way to stderr, without allocation; small, since second stacks are.
struct Out {
    bytes: [u8; 256],
    length: usize,
    json: bool,
}

impl Default for Out {
    fn default() -> Self {
        Self { bytes: [0; 256], length: 0, json: JSON.load(Ordering::Relaxed) }
    }
}

impl Out {
    fn begin(&mut self) {
        if self.json {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.raw(b"{\"time\":\"");
            self.raw(&rfc3339(now));
            self.raw(b"\",\"level\":\"error\",\"target\":\"deft\",\"message\":\"");
        } else if TERMINAL.load(Ordering::Relaxed) {
            self.raw(b"\n");
        }
    }

    fn next_line(&mut self) {
        self.raw(if self.json { b"; " } else { b"\n" });
    }

    fn end(&mut self) {
        self.raw(if self.json { b"\"}\n" } else { b"\n" });
        self.flush();
    }

    fn add(&mut self, texts: &[&str]) {
        for byte in texts.iter().flat_map(|text| text.bytes()) {
            if self.json && (byte == b'"' || byte == b'\\' || byte < b' ') {
                self.raw(b"?");
            } else {
                self.raw(&[byte]);
            }
        }
    }

    fn add_call(&mut self, call: &Call) {
        let (kind, name) = (call.kind().as_str(), call.name());
        self.add(&[kind, " `", name, "` (plugin ", call.plugin(), "), method ", call.method()]);
    }

    /// Adds the calls of all threads: the fault is on a thread that a plugin started. Tells whether
    /// there is any.
    fn add_all(&mut self) -> bool {
        const MANY: usize = 4;
        let mut any = false;
        for (i, call) in running::all().take(MANY).enumerate() {
            any = true;
            self.add(&[if i == 0 { " while this ran: " } else { ", " }]);
            self.add_call(&call);
        }
        if !any {
            self.add(&[" while no component was running"]);
        }
        any
    }

    fn raw(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.length == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }

    fn flush(&mut self) {
        // SAFETY: that many bytes are there. Nobody is left to tell when stderr is closed.
        unsafe {
            libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.length);
        }
        self.length = 0;
    }
}
