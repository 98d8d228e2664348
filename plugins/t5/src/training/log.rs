//! What a person looks at during and after a training: `training.jsonl` and a `TensorBoard` file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deft_core::{Result, ResultExt};
use serde_json::{Value, json};

use super::files::Growing;
use super::tensorboard::EventFile;

/// The number that a line of a validation has, and no other line.
pub(super) const VALIDATION_LOSS: &str = "validation_loss";

/// The numbers of a training, step by step, in two files.
#[derive(Debug)]
pub(crate) struct TrainingLog {
    lines: Growing,
    events: EventFile,
}

/// How far a training is that goes on: the last step done, and the last one validated after.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) step: usize,
    pub(crate) validated: usize,
}

impl TrainingLog {
    /// Opens the logs in `dir` for a training that goes on from a place.
    ///
    /// Lines from beyond it, which a killed training left, are dropped from `training.jsonl`; a new
    /// event file is begun each time (`TensorBoard` joins them).
    pub(crate) fn open(dir: &Path, place: Place) -> Result<Self> {
        std::fs::create_dir_all(dir).or_io("cannot create the folder of the training log", dir)?;
        let path = dir.join("training.jsonl");
        let (file, length) =
            open_lines(&path, place).or_io("cannot open the training log", &path)?;
        let events = EventFile::create(dir, now(), place.step)?;
        Ok(Self { lines: Growing::new(file, path, length), events })
    }

    /// Writes numbers of one step, such as `("mean_loss", 1.2)`, to both files.
    ///
    /// What is no number is `null` in `training.jsonl`.
    pub(crate) fn write(&mut self, step: usize, scalars: &[(&str, f64)]) -> Result<()> {
        let time = now().as_secs_f64();
        let mut line = json!({"step": step, "time": time});
        for &(name, value) in scalars {
            line[name] = json!(value);
        }
        let line = format!("{line}\n");
        let lines = self.lines.append(line.as_bytes(), "cannot write the training log");
        // One of the files may be writable where the other is not.
        let events = self.events.write(time, step, scalars);
        lines.and(events)
    }
}

/// Time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Opens the file behind its lines up to a place and cuts off the others.
fn open_lines(path: &Path, place: Place) -> std::io::Result<(File, u64)> {
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut lines = Vec::new();
    file.read_to_end(&mut lines)?;
    let kept = kept_bytes(&lines, place) as u64;
    file.set_len(kept)?;
    file.seek(SeekFrom::Start(kept))?;
    Ok((file, kept))
}

/// Length of the whole lines up to a place; steps ascend, so that they come first.
fn kept_bytes(lines: &[u8], place: Place) -> usize {
    let lines = lines.split_inclusive(|&byte| byte == b'\n');
    lines.take_while(|line| is_kept(line, place)).map(<[u8]>::len).sum()
}

/// Whether a line is whole, as one that a kill tore is not, and not from beyond a place.
fn is_kept(line: &[u8], place: Place) -> bool {
    let value = line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok());
    let Some(line): Option<Value> = value else { return false };
    let is_validation = line.get(VALIDATION_LOSS).is_some();
    let last = if is_validation { place.validated } else { place.step };
    line["step"].as_u64().is_some_and(|step| step <= last as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, step: usize) -> TrainingLog {
        TrainingLog::open(dir, Place { step, validated: step }).expect("a log")
    }

    fn write(log: &mut TrainingLog, steps: &[usize]) {
        for &step in steps {
            log.write(step, &[("loss", 1.5)]).expect("written");
        }
    }

    fn text(dir: &Path) -> String {
        std::fs::read_to_string(dir.join("training.jsonl")).expect("readable")
    }

    fn steps(dir: &Path) -> Vec<u64> {
        let text = text(dir);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| line["step"].as_u64().expect("a step")).collect()
    }

    fn event_files(dir: &Path) -> usize {
        let entries = std::fs::read_dir(dir).expect("readable");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("events.out.tfevents.")).count()
    }

    #[test]
    fn a_line_has_step_time_and_numbers_in_the_order_given() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = open(&dir.path().join("new"), 0);
        log.write(10, &[("loss", f64::NAN), ("accuracy", 0.25)]).expect("written");
        let text = text(&dir.path().join("new"));
        assert!(text.starts_with("{\"step\":10,\"time\":"), "{text}");
        assert!(text.ends_with(",\"loss\":null,\"accuracy\":0.25}\n"), "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert!(line["time"].as_f64().expect("a time") > 1.7e9, "{text}");
    }

    #[test]
    fn lines_of_later_steps_are_dropped_when_a_training_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        write(&mut open(dir.path(), 0), &[10, 20, 30, 40]);
        write(&mut open(dir.path(), 20), &[25]);
        assert_eq!(steps(dir.path()), [10, 20, 25]);
        assert_eq!(event_files(dir.path()), 2);
    }

    #[test]
    fn a_validation_that_is_to_be_done_again_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = open(dir.path(), 0);
        write(&mut log, &[10, 20]);
        log.write(20, &[(VALIDATION_LOSS, 1.0)]).expect("written");
        drop(log);
        for (validated, left) in [(20, &[10, 20, 20][..]), (10, &[10, 20])] {
            TrainingLog::open(dir.path(), Place { step: 20, validated }).expect("a log");
            assert_eq!(steps(dir.path()), left);
        }
    }

    #[test]
    fn a_line_that_a_kill_tore_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        // The last is whole but for its end: more of it might have been to come.
        for torn in ["{\"st", "{\"step\":2", "{\"step\":20}"] {
            write(&mut open(dir.path(), 0), &[10]);
            std::fs::write(dir.path().join("training.jsonl"), text(dir.path()) + torn)
                .expect("written");
            write(&mut open(dir.path(), 20), &[30]);
            assert_eq!(steps(dir.path()), [10, 30], "{torn}");
        }
    }

    #[test]
    fn a_new_training_begins_with_no_lines() {
        let dir = tempfile::tempdir().expect("a folder");
        write(&mut open(dir.path(), 0), &[1, 2]);
        open(dir.path(), 0);
        assert_eq!(text(dir.path()), "");
    }
}
