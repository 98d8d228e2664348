//! What the driver says of a GPU while something is measured.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{line, memory};

/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `nvidia-smi` again and again until it is stopped.
///
/// It counts GPUs as they are in the machine: where `CUDA_VISIBLE_DEVICES` hides one, the numbers are
/// not those of the device.
pub(crate) struct Watch {
    number: usize,
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Answer>>,
}

/// What was seen.
pub(crate) struct Seen {
    number: usize,
    answers: Vec<Answer>,
}

/// What the driver says at one time.
struct Answer {
    time: Instant,
    /// Bytes in use, by anybody.
    bytes: f64,
    /// The share of the last moments in which a kernel ran, in percent.
    busy: f64,
}

impl Watch {
    /// Begins; `None` where the device is no GPU.
    pub(crate) fn start(device: &str) -> Option<Self> {
        let number = match device.strip_prefix("cuda")? {
            "" => 0,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = thread::spawn(move || {
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                answers.extend(ask(number));
                thread::sleep(PAUSE);
            }
            answers
        });
        Some(Self { number, stop, asking })
    }

    /// Ends.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        Seen { number: self.number, answers: self.asking.join().unwrap_or_default() }
    }
}

impl Seen {
    /// Prints the most memory of all the time, and how busy the device was from `since` on.
    pub(crate) fn report(&self, since: Instant) {
        let most = self.answers.iter().map(|answer| answer.bytes).fold(0.0, f64::max);
        line("device memory", &format!("{:.2} GB at most, by nvidia-smi", most / 1e9));
        if let Some(bytes) = memory::most_bytes(self.number) {
            line("of it tensors", &format!("{:.2} GB at most", bytes as f64 / 1e9));
        }
        let measured = self.answers.iter().filter(|answer| answer.time >= since);
        let busy: Vec<f64> = measured.map(|answer| answer.busy).collect();
        if busy.is_empty() {
            line("device idle", "unknown: nvidia-smi has not answered in that time");
            return;
        }
        let idle = 100.0 - busy.iter().sum::<f64>() / busy.len() as f64;
        line("device idle", &format!("{idle:.1} % by nvidia-smi, asked {} times", busy.len()));
    }
}

fn ask(number: usize) -> Option<Answer> {
    let query = "--query-gpu=memory.used,utilization.gpu";
    let output = Command::new("nvidia-smi")
        .args([query, "--format=csv,noheader,nounits", "--id", &number.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (mebibytes, busy) = text.lines().next()?.split_once(',')?;
    let mebibytes: f64 = mebibytes.trim().parse().ok()?;
    let busy = busy.trim().parse().ok()?;
    Some(Answer { time: Instant::now(), bytes: mebibytes * 1_048_576.0, busy })
}

/// Prints the most main memory that the process has had, where the system tells.
pub(crate) fn report_main_memory() {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = text.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
    });
    if let Some(kibibytes) = kibibytes {
        line("main memory", &format!("{:.2} GB at most", kibibytes * 1024.0 / 1e9));
    }
}
