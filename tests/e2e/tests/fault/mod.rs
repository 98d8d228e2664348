//! What may be wrong with a source, and what a reader owes its user for it.

mod files;
mod more;
mod own;
mod tasks;

pub(crate) use files::{arrow, other_columns, parquet};

use std::fs;
use std::path::{Path, PathBuf};

use deft_e2e::{Deft, Output};
use serde_json::Value;

/// What becomes of a source.
#[derive(Debug)]
pub(crate) enum Answer {
    /// One message with all of these.
    Error(&'static [&'static str]),
    /// The row is left out and counted, for this reason.
    LeftOut(&'static str),
    /// It is read as if nothing were wrong, because of this.
    Read(&'static str),
    /// It cannot happen to this reader, because of this.
    CannotBe(&'static str),
}

/// A mistake in a record, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The field, as a JSON pointer.
    field: &'static str,
    /// Its value; nothing takes the field away.
    value: Option<Value>,
    /// What becomes of the record.
    pub(crate) answer: Answer,
}

/// The mistakes that a record may have.
#[derive(Debug)]
pub(crate) struct Mistakes {
    pub(crate) missing_field: Case,
    pub(crate) label_out_of_range: Case,
    pub(crate) empty_option: Case,
    pub(crate) equal_options: Case,
    pub(crate) foreign_target: Case,
}

/// How records stand in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// One on each line.
    Lines,
    /// All in one JSON document of this name.
    Document(&'static str, fn(&[Value]) -> Value),
}

/// A reader with a good record of its own, and what it answers to bad ones.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The reader as on the command line.
    pub(crate) reader: &'static str,
    /// A good record.
    pub(crate) record: Value,
    /// Examples of it.
    pub(crate) examples: usize,
    pub(crate) layout: Layout,
    /// A field with a text that is read, as a JSON pointer.
    pub(crate) text: &'static str,
    pub(crate) mistakes: Mistakes,
    /// A Parquet file has other columns.
    pub(crate) other_columns: Answer,
    /// An Arrow file is cut short.
    pub(crate) cut_arrow: Answer,
    /// Nothing is in the file.
    pub(crate) nothing: Answer,
    /// A byte of the text is no UTF-8.
    pub(crate) no_utf8: Answer,
    /// A row is longer than 64 MiB.
    pub(crate) too_long: Answer,
    /// A folder has two files and others that are none of the reader's.
    pub(crate) folder: Answer,
}

/// Every reader of task examples and pools that comes with the program.
pub(crate) fn subjects() -> Vec<Subject> {
    [tasks::subjects(), more::subjects(), own::subjects()].into_iter().flatten().collect()
}

impl Case {
    pub(crate) fn with(field: &'static str, value: Value, answer: Answer) -> Self {
        Self { field, value: Some(value), answer }
    }

    pub(crate) fn without(field: &'static str, answer: Answer) -> Self {
        Self { field, value: None, answer }
    }

    pub(crate) fn cannot_be(why: &'static str) -> Self {
        Self { field: "", value: None, answer: Answer::CannotBe(why) }
    }

    /// The record with the mistake.
    pub(crate) fn spoil(&self, record: &Value) -> Value {
        let mut spoilt = record.clone();
        let (parent, name) = self.field.rsplit_once('/').unwrap();
        let fields = spoilt.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match &self.value {
            Some(value) => drop(fields.insert(name.to_owned(), value.clone())),
            None => assert!(fields.remove(name).is_some(), "{}: not there", self.field),
        }
        spoilt
    }
}

impl Mistakes {
    pub(crate) fn all(&self) -> [(&'static str, &Case); 5] {
        [
            ("a missing field", &self.missing_field),
            ("a label out of range", &self.label_out_of_range),
            ("an empty option", &self.empty_option),
            ("two equal options", &self.equal_options),
            ("a target that is no option", &self.foreign_target),
        ]
    }
}

impl Subject {
    /// The name and the content of a file of these records.
    pub(crate) fn file(&self, records: &[Value]) -> (&'static str, String) {
        match self.layout {
            Layout::Lines => {
                let lines: Vec<_> = records.iter().map(|record| format!("{record}\n")).collect();
                ("a.jsonl", lines.concat())
            }
            Layout::Document(name, of) => (name, of(records).to_string()),
        }
    }

    /// Where an error about the second record says that it is.
    pub(crate) fn second(&self) -> &'static str {
        match self.layout {
            Layout::Lines => "line: 2",
            Layout::Document(..) => "row: 2",
        }
    }

    /// The good record with another text in the field that has one.
    pub(crate) fn with_text(&self, text: &str) -> Value {
        let mut record = self.record.clone();
        *record.pointer_mut(self.text).unwrap() = text.into();
        record
    }

    /// Writes a source into a folder of its own, and reads it.
    pub(crate) fn read_file(&self, name: &str, content: &[u8]) -> Done {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        self.read(&path)
    }

    /// Reads a source by the program.
    pub(crate) fn read(&self, source: &Path) -> Done {
        let call = Deft::new(&["read", "--reader", self.reader, "--source"]).arg(source);
        Done { reader: self.reader, source: source.to_owned(), output: call.run() }
    }
}

/// What the program did with a source.
pub(crate) struct Done {
    reader: &'static str,
    source: PathBuf,
    pub(crate) output: Output,
}

impl Done {
    /// Checks the answer: `good` examples where what is wrong is left out or no mistake, otherwise an
    /// error at `place`.
    pub(crate) fn check(&self, what: &str, answer: &Answer, good: usize, place: &str) {
        match answer {
            Answer::Error(parts) => self.is_error(what, parts, place),
            Answer::LeftOut(reason) => {
                self.has_examples(what, good);
                let path = self.source.display();
                self.says(what, &format!("rows left out: 1 ({reason}; the first: {path}, row 2)"));
            }
            Answer::Read(why) => self.has_examples(&format!("{what}: {why}"), good),
            Answer::CannotBe(why) => panic!("{what}: {}: {why}", self.reader),
        }
    }

    pub(crate) fn has_examples(&self, what: &str, count: usize) {
        let Output { code, stdout, stderr } = &self.output;
        assert_eq!(*code, 0, "{what}: {}: {stderr}", self.reader);
        assert_eq!(stdout.lines().count(), count, "{what}: {}: {stderr}", self.reader);
        self.says(what, &format!("{count} examples in "));
    }

    /// One message that names the source and the place, and says what is allowed or what to do.
    pub(crate) fn is_error(&self, what: &str, parts: &[&str], place: &str) {
        let Output { code, stderr, .. } = &self.output;
        assert_eq!(*code, 1, "{what}: {}: {stderr}", self.reader);
        let messages = stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(messages, 1, "{what}: {}: {stderr}", self.reader);
        assert!(!stderr.contains("panicked"), "{what}: {}: {stderr}", self.reader);
        assert!(stderr.len() < 2000, "{what}: {}: a message to be read: {stderr}", self.reader);
        for part in parts.iter().copied().chain([place]) {
            self.says(what, part);
        }
        self.says(what, &self.source.display().to_string());
        let remedies = ["hint: ", "allowed: ", "wanted: ", "must be", "no column"];
        let has_remedy = remedies.iter().any(|remedy| stderr.contains(remedy));
        assert!(has_remedy, "{what}: {}: no remedy in:\n{stderr}", self.reader);
    }

    fn says(&self, what: &str, part: &str) {
        let stderr = &self.output.stderr;
        assert!(stderr.contains(part), "{what}: {}: no «{part}» in:\n{stderr}", self.reader);
    }
}
