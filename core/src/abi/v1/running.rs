//! Which calls into components run now: for Ctrl-C, and for the handler of a fatal signal.
//!
//! A call through an import takes a slot of a fixed table and gives it back when it returns. Both
//! touch atomics alone, and nothing is allocated: the table can be read in a signal handler. A
//! call made from within another knows the other, so that the innermost ones can be told.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Kind;

/// Calls that are seen at the same time; those beyond go unseen.
const SLOTS: u32 = 512;
/// Slots that a call tries before it goes unseen.
const TRIES: u32 = 32;
/// Components that can be told apart in one process.
const LABELS: usize = 512;
/// In place of a slot's number: none.
const NONE: u32 = u32::MAX;

/// A method of a component, or of what one makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    Add,
    Builder,
    Call,
    Create,
    Encode,
    Finish,
    Info,
    Judge,
    NextBatch,
    Open,
    Phases,
    Predict,
    Retrieve,
    RunUnit,
    Score,
    Search,
    Task,
    Train,
}

/// Names by number.
const METHODS: [&str; 18] = [
    "add",
    "builder",
    "call",
    "create",
    "encode",
    "finish",
    "info",
    "judge",
    "next_batch",
    "open",
    "phases",
    "predict",
    "retrieve",
    "run_unit",
    "score",
    "search",
    "task",
    "train",
];

/// What is said of a component.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    kind: Kind,
    name: String,
    /// Name and version.
    plugin: String,
}

/// Words by number, set once each and never dropped.
static WORDS: [OnceLock<Words>; LABELS] = [const { OnceLock::new() }; LABELS];

/// The number of an imported component's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label(u16);

impl Label {
    /// The label of a component; the same words have the same label. None when all are taken.
    pub(crate) fn of(kind: Kind, name: &str, plugin: &str) -> Option<Self> {
        static ADDING: Mutex<()> = Mutex::new(());
        let words = Words { kind, name: name.to_owned(), plugin: plugin.to_owned() };
        let _one_at_a_time = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
        let place = WORDS.iter().position(|it| it.get().is_none_or(|known| *known == words))?;
        // Already set when the words are known.
        let _ = WORDS[place].set(words);
        u16::try_from(place).ok().map(Self)
    }
}

/// One running call, on a cache line of its own: threads do not disturb each other.
#[repr(align(64))]
struct Slot {
    /// 0 when free; else the call, as [`Call::packed`] makes it.
    call: AtomicU64,
    /// The slot of the call that this one was made from.
    outer: AtomicU32,
}

static TABLE: [Slot; SLOTS as usize] =
    [const { Slot { call: AtomicU64::new(0), outer: AtomicU32::new(NONE) } }; SLOTS as usize];

/// Seconds since the program started, as [`tick`] was told: reading a clock would cost a call more
/// than all the rest here.
static NOW: AtomicU32 = AtomicU32::new(0);

/// Where the next new thread looks for a slot.
static NEXT_HOME: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The slot of this thread's innermost call. Atomic, since a signal handler reads it.
    static INNERMOST: AtomicU32 = const { AtomicU32::new(NONE) };
    /// Where this thread looks for a slot first.
    static HOME: AtomicU32 = const { AtomicU32::new(NONE) };
}

/// Says how many seconds the program has run; whoever wants [`Call::seconds`] does so regularly.
pub fn tick(seconds: u32) {
    NOW.store(seconds, Ordering::Relaxed);
}

/// A call that runs.
#[derive(Clone, Copy)]
pub struct Call {
    words: &'static Words,
    method: &'static str,
    since: u32,
}

impl Call {
    /// Never 0; bits: start 32, method 8, label 16 and one that is always set.
    fn packed(label: Label, method: Method) -> u64 {
        let since = NOW.load(Ordering::Relaxed);
        u64::from(since) << 32 | (method as u64) << 24 | u64::from(label.0) << 1 | 1
    }

    fn unpacked(packed: u64) -> Option<Self> {
        let method = METHODS.get((packed >> 24 & 0xff) as usize)?;
        let words = WORDS.get((packed >> 1 & 0xffff) as usize)?.get()?;
        let since = u32::try_from(packed >> 32).unwrap_or_default();
        (packed != 0).then_some(Self { words, method, since })
    }

    fn at(slot: u32) -> Option<Self> {
        Self::unpacked(TABLE.get(slot as usize)?.call.load(Ordering::Acquire))
    }

    /// Which trait the component implements.
    pub fn kind(&self) -> Kind {
        self.words.kind
    }

    /// The component's name.
    pub fn name(&self) -> &'static str {
        &self.words.name
    }

    /// Name and version of the plugin: `t5 0.1.0`.
    pub fn plugin(&self) -> &'static str {
        &self.words.plugin
    }

    /// The method's name: `encode`.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// For how long the call has run, in seconds, as far as [`tick`] tells.
    pub fn seconds(&self) -> u32 {
        NOW.load(Ordering::Relaxed).saturating_sub(self.since)
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Words { kind, name, plugin } = self.words;
        write!(f, "{kind} `{name}` (plugin {plugin}), method {}", self.method)
    }
}

/// This thread's innermost call. Safe in a signal handler.
pub fn here() -> Option<Call> {
    INNERMOST.try_with(|slot| slot.load(Ordering::Relaxed)).ok().and_then(Call::at)
}

/// The innermost calls of all threads. Safe in a signal handler.
pub fn all() -> impl Iterator<Item = Call> {
    let is_outer = |slot: u32| {
        let inner = |it: &Slot| {
            it.outer.load(Ordering::Relaxed) == slot && it.call.load(Ordering::Acquire) != 0
        };
        TABLE.iter().any(inner)
    };
    let taken = |slot: &u32| TABLE[*slot as usize].call.load(Ordering::Relaxed) != 0;
    (0..SLOTS).filter(taken).filter(move |&slot| !is_outer(slot)).filter_map(Call::at)
}

/// A call that is in the table until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    slot: u32,
    outer: u32,
}

impl Running {
    /// Enters a call of this thread; none when the table is full.
    #[inline]
    pub(crate) fn enter(label: Label, method: Method) -> Option<Self> {
        let outer = INNERMOST.with(|slot| slot.load(Ordering::Relaxed));
        let first = if outer == NONE { home() } else { outer + 1 };
        let packed = Call::packed(label, method);
        let free = |slot: &u32| {
            let call = &TABLE[*slot as usize].call;
            call.compare_exchange(0, packed, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let slot = (first..first + TRIES).map(|slot| slot % SLOTS).find(free)?;
        TABLE[slot as usize].outer.store(outer, Ordering::Relaxed);
        INNERMOST.with(|innermost| innermost.store(slot, Ordering::Relaxed));
        Some(Self { slot, outer })
    }
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.store(self.outer, Ordering::Relaxed));
        let slot = &TABLE[self.slot as usize];
        slot.outer.store(NONE, Ordering::Relaxed);
        slot.call.store(0, Ordering::Release);
    }
}

/// Where this thread looks first: threads start four slots apart, room for calls within calls.
fn home() -> u32 {
    HOME.with(|home| {
        let known = home.load(Ordering::Relaxed);
        if known != NONE {
            return known;
        }
        let new = NEXT_HOME.fetch_add(4, Ordering::Relaxed) % SLOTS;
        home.store(new, Ordering::Relaxed);
        new
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is one for all tests of the process: each looks for its own words.
    fn label(name: &str) -> Label {
        Label::of(Kind::Encoder, name, "p 1.0").expect("a label is left")
    }

    fn mine(name: &str) -> Vec<String> {
        all().filter(|call| call.name() == name).map(|call| call.to_string()).collect()
    }

    #[test]
    fn every_method_has_its_name() {
        assert_eq!(METHODS[Method::Add as usize], "add");
        assert_eq!(METHODS[Method::Judge as usize], "judge");
        assert_eq!(METHODS[Method::NextBatch as usize], "next_batch");
        assert_eq!(METHODS[Method::RunUnit as usize], "run_unit");
        assert_eq!(METHODS[Method::Train as usize], "train");
        assert_eq!(METHODS.len(), Method::Train as usize + 1);
    }

    #[test]
    fn the_innermost_call_is_told_and_the_outer_again_after_it() {
        let outer = Running::enter(label("outer"), Method::RunUnit).expect("a slot");
        assert_eq!(here().expect("runs").method(), "run_unit");
        {
            let _inner = Running::enter(label("inner"), Method::Encode).expect("a slot");
            assert_eq!(
                here().expect("runs").to_string(),
                "encoder `inner` (plugin p 1.0), method encode"
            );
            assert!(mine("outer").is_empty(), "it waits for the inner one");
            assert_eq!(mine("inner").len(), 1);
        }
        assert_eq!(mine("outer").len(), 1);
        assert!(mine("inner").is_empty());
        drop(outer);
        assert!(here().is_none() && mine("outer").is_empty());
    }

    #[test]
    fn calls_of_other_threads_are_seen_but_are_not_here() {
        let (started, wait) = (std::sync::Barrier::new(9), std::sync::Barrier::new(9));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _running = Running::enter(label("busy"), Method::Search);
                    started.wait();
                    wait.wait();
                });
            }
            started.wait();
            assert!(here().is_none());
            assert_eq!(mine("busy").len(), 8);
            wait.wait();
        });
        assert!(mine("busy").is_empty());
    }

    #[test]
    fn a_full_table_loses_calls_and_nothing_else() {
        let held: Vec<_> =
            (0..TRIES + 8).map(|_| Running::enter(label("deep"), Method::Call)).collect();
        assert!(held.iter().filter(|it| it.is_some()).count() >= TRIES as usize);
        // The last one first, as scopes end.
        held.into_iter().rev().for_each(drop);
        assert!(here().is_none() && mine("deep").is_empty());
    }

    #[test]
    fn labels_of_the_same_words_are_one() {
        assert_eq!(label("same").0, label("same").0);
        assert_ne!(label("same").0, label("other").0);
    }
}
