//! What the system says of a fatal signal.

use libc::{c_void, siginfo_t};

/// What the system says of a signal.
pub(super) struct Fault {
    /// A process sent the signal: there is no faulty instruction to come back to.
    pub(super) sent: bool,
    /// Another process did.
    pub(super) from_outside: bool,
    pub(super) overflow: bool,
}

impl Fault {
    pub(super) fn new(info: *const siginfo_t, context: *const c_void) -> Self {
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
