//! The one state of all three libraries: GPUs, and what was made on them.

#![expect(unsafe_code, reason = "answers are written to where the caller points")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::allocations::Allocations;
use super::modules::{Function, Loaded};
use super::settings::Settings;
use super::status::{Answer, Status};
use crate::blas::PointerMode;
use crate::machine::launch::{Memory, Work};
use crate::random::Generator;

/// What a program has instead of a pointer to something of ours; never 0, and never given twice.
pub(crate) type Handle = usize;

/// The streams that every context has: the default one, also by its other name, and the thread's.
const STREAMS_OF_ALL: [Handle; 3] = [0, 1, 2];

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    /// The thread's context; 0 is none.
    static CURRENT: Cell<Handle> = const { Cell::new(0) };
}

/// The machine's GPUs, and everything that has a handle.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) objects: BTreeMap<Handle, Made>,
    next: Handle,
}

/// One GPU.
pub(crate) struct Gpu {
    /// The primary context, and the memory pool: there is one of each, and both stay.
    pub(crate) context: Handle,
    pub(crate) pool: Handle,
    /// How often the context is held.
    pub(crate) holders: u32,
    pub(crate) memory: Allocations,
    /// What every call answers since something has gone wrong.
    pub(crate) error: Option<Status>,
    /// How often each kernel was launched, and what all its launches have cost.
    pub(crate) launches: BTreeMap<String, (u64, Work)>,
    /// How many launches are left before the GPU is lost; `None` if it is not to be lost.
    left: Option<u64>,
}

/// Something with a handle, and the number of its GPU.
pub(crate) struct Made {
    pub(crate) gpu: usize,
    pub(crate) object: Object,
}

/// What has a handle.
pub(crate) enum Object {
    Context,
    Pool,
    Stream,
    Event,
    Module(Loaded),
    Function(Function),
    Blas(PointerMode),
    Generator(Generator),
}

impl State {
    fn new(settings: Settings) -> Self {
        let (gpus, objects) = (Vec::new(), BTreeMap::new());
        let mut state = Self { gpus, objects, next: 0x0E00_0000_0000, settings };
        for number in 0..state.settings.gpus {
            let gpu = Gpu {
                context: state.make(number, Object::Context),
                pool: state.make(number, Object::Pool),
                holders: 0,
                memory: Allocations::new(state.settings.memory),
                error: None,
                launches: BTreeMap::new(),
                left: state.settings.lost_after.filter(|_| number == 0),
            };
            state.gpus.push(gpu);
        }
        state
    }

    /// Gives a handle to something of a GPU.
    pub(crate) fn make(&mut self, gpu: usize, object: Object) -> Handle {
        self.next += 16;
        self.objects.insert(self.next, Made { gpu, object });
        self.next
    }

    /// The number of the GPU whose context the thread has.
    ///
    /// # Errors
    ///
    /// `INVALID_CONTEXT` if it has none; the GPU's own error if something has gone wrong on it.
    pub(crate) fn current(&self) -> Answer<usize> {
        let made = self.objects.get(&CURRENT.get()).ok_or(Status::INVALID_CONTEXT)?;
        let gpu = &self.gpus[made.gpu];
        if gpu.holders == 0 {
            return Err(Status::INVALID_CONTEXT);
        }
        gpu.error.map_or(Ok(made.gpu), Err)
    }

    /// The thread's GPU, with the errors of [`Self::current`].
    pub(crate) fn current_gpu(&mut self) -> Answer<&mut Gpu> {
        let number = self.current()?;
        Ok(&mut self.gpus[number])
    }

    /// The number of the thread's GPU, on which the stream must be.
    ///
    /// # Errors
    ///
    /// As [`Self::current`]; `INVALID_HANDLE` if the stream is none of the GPU's.
    pub(crate) fn stream(&self, stream: Handle) -> Answer<usize> {
        let gpu = self.current()?;
        if !STREAMS_OF_ALL.contains(&stream) {
            self.check(gpu, stream, |object| matches!(object, Object::Stream))?;
        }
        Ok(gpu)
    }

    /// The number of the thread's GPU, on which the event must be, with the errors of
    /// [`Self::stream`].
    pub(crate) fn event(&self, event: Handle) -> Answer<usize> {
        let gpu = self.current()?;
        self.check(gpu, event, |object| matches!(object, Object::Event))?;
        Ok(gpu)
    }

    /// A GPU by its number, as `cuDeviceGet` gives it.
    ///
    /// # Errors
    ///
    /// `INVALID_DEVICE` if there are not so many.
    pub(crate) fn gpu(&mut self, number: i32) -> Answer<&mut Gpu> {
        let number = usize::try_from(number).map_err(|_| Status::INVALID_DEVICE)?;
        self.gpus.get_mut(number).ok_or(Status::INVALID_DEVICE)
    }

    fn check(&self, gpu: usize, handle: Handle, is_it: impl Fn(&Object) -> bool) -> Answer {
        let made = self.objects.get(&handle).filter(|made| made.gpu == gpu && is_it(&made.object));
        made.map(|_| ()).ok_or(Status::INVALID_HANDLE)
    }
}

impl Gpu {
    /// Notes a launch, and whether the GPU is lost by it.
    ///
    /// # Errors
    ///
    /// `ECC_UNCORRECTABLE` if the GPU is lost.
    pub(crate) fn launch(&mut self, kernel: &str) -> Answer {
        if self.left == Some(0) {
            let text = format!("the GPU is lost at a launch of {kernel}, as was asked for");
            return Err(self.fail(Status::ECC_UNCORRECTABLE, &text));
        }
        self.left = self.left.map(|left| left - 1);
        match self.launches.get_mut(kernel) {
            Some((count, _)) => *count += 1,
            None => drop(self.launches.insert(kernel.to_owned(), (1, Work::default()))),
        }
        Ok(())
    }

    /// Notes what a launch of a kernel has cost.
    pub(crate) fn add_work(&mut self, kernel: &str, work: Work) {
        if let Some((_, all)) = self.launches.get_mut(kernel) {
            *all += work;
        }
    }

    /// Lets the GPU be lost after so many launches more.
    #[cfg(test)]
    pub(crate) fn lose_after(&mut self, launches: u64) {
        self.left = Some(launches);
    }

    /// Says what has gone wrong, and lets every call answer it from now on.
    pub(crate) fn fail(&mut self, status: Status, text: &str) -> Status {
        complain(text);
        self.error = Some(status);
        status
    }

    /// Whether all of so many bytes are in one piece of the GPU's memory; nothing is, wherever.
    ///
    /// # Errors
    ///
    /// `INVALID_VALUE` if they are not.
    pub(crate) fn check(&self, address: u64, bytes: usize) -> Answer {
        let held = bytes == 0 || self.memory.holds(address, bytes);
        if held { Ok(()) } else { Err(Status::INVALID_VALUE) }
    }
}

/// Makes the state, if there is none.
pub(crate) fn start(settings: &Settings) {
    lock().get_or_insert_with(|| State::new(settings.clone()));
}

/// Uses the state for one call: `absent` is the answer before `cuInit`, `unexpected` that of a defect.
///
/// # Errors
///
/// Those of the call, and these two.
pub(crate) fn with<T, E>(
    absent: E,
    unexpected: E,
    call: impl FnOnce(&mut State) -> Result<T, E>,
) -> Result<T, E> {
    guard(unexpected, || call(lock().as_mut().ok_or(absent)?))
}

/// Answers a call of the driver that uses the state.
pub(crate) fn call(call: impl FnOnce(&mut State) -> Answer) -> Status {
    code(with(Status::NOT_INITIALIZED, Status::UNKNOWN, call))
}

/// Answers a call of the driver that does without.
pub(crate) fn status(call: impl FnOnce() -> Answer) -> Status {
    code(guard(Status::UNKNOWN, call))
}

/// The thread's context; 0 is none.
pub(crate) fn current() -> Handle {
    CURRENT.get()
}

/// Sets the thread's context.
pub(crate) fn set_current(context: Handle) {
    CURRENT.set(context);
}

/// Writes an answer to where the caller points.
///
/// # Errors
///
/// `INVALID_VALUE` for a null pointer.
///
/// # Safety
///
/// Any other pointer is to room for a `T`.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) -> Answer {
    if place.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's.
    unsafe { place.write(value) };
    Ok(())
}

/// Says something to the people who read a test's output.
#[expect(clippy::print_stderr, reason = "a library has no other place for it")]
pub(crate) fn complain(text: &str) {
    eprintln!("gpu-emulator: {text}");
}

/// Keeps a panic, which is a defect of ours, from leaving an `extern "C"` function.
fn guard<T, E>(unexpected: E, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(unexpected))
}

fn code(answer: Answer) -> Status {
    answer.err().unwrap_or(Status::SUCCESS)
}

fn lock() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
