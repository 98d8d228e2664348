//! `TensorBoard`'s event files: `TFRecord` frames around small protocol buffers.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use deft_core::{Result, ResultExt};

use super::files::Growing;

/// An event file that is being written.
#[derive(Debug)]
pub(crate) struct EventFile(Growing);

impl EventFile {
    /// Begins a new file for the steps after `step`.
    ///
    /// Later steps in older files of the folder are void; `TensorBoard` shows them no more.
    pub(crate) fn create(dir: &Path, time: Duration, step: usize) -> Result<Self> {
        let mut events = Self::new(dir, time.as_secs())?;
        let time = time.as_secs_f64();
        events.append(&event(time).bytes(3, b"brain.Event:2"))?;
        // A session log with the status START: what older files say from this step on is dropped.
        let start = Message::default().int(1, 1);
        events.append(&event(time).int(2, step as u64 + 1).bytes(7, &start.0))?;
        Ok(events)
    }

    /// Appends numbers of one step, as `f32`; `time` is in seconds since 1970.
    pub(crate) fn write(&mut self, time: f64, step: usize, scalars: &[(&str, f64)]) -> Result<()> {
        let mut summary = Message::default();
        for &(tag, value) in scalars {
            #[expect(clippy::cast_possible_truncation, reason = "the format's numbers are f32")]
            let value = Message::default().bytes(1, tag.as_bytes()).float(2, value as f32);
            summary = summary.bytes(1, &value.0);
        }
        self.append(&event(time).int(2, step as u64).bytes(5, &summary.0))
    }

    /// A file that did not exist: trainings may begin in the same second.
    fn new(dir: &Path, mut seconds: u64) -> Result<Self> {
        loop {
            let path = dir.join(format!("events.out.tfevents.{seconds}.deft"));
            match File::create_new(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => seconds += 1,
                created => {
                    let file = created.or_io("cannot create the event file", &path)?;
                    return Ok(Self(Growing::new(file, path, 0)));
                }
            }
        }
    }

    fn append(&mut self, event: &Message) -> Result<()> {
        self.0.append(&record(&event.0), "cannot write the event file")
    }
}

/// A protocol buffer in the making; its field numbers are below 16.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn int(mut self, field: u8, value: u64) -> Self {
        self.0.push(field << 3);
        self.varint(value);
        self
    }

    fn double(mut self, field: u8, value: f64) -> Self {
        self.0.push((field << 3) | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u8, value: &[u8]) -> Self {
        self.0.push((field << 3) | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn float(mut self, field: u8, value: f32) -> Self {
        self.0.push((field << 3) | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Seven bits a byte, the lowest first; all bytes but the last have the eighth bit.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// An event with nothing but its time.
fn event(time: f64) -> Message {
    Message::default().double(1, time)
}

/// A `TFRecord`: length and payload, each followed by its checksum.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend_from_slice(payload);
    record.extend(masked_crc(payload).to_le_bytes());
    record
}

/// A CRC that may itself lie in data that a CRC is taken of.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }

    /// The payloads of a file whose checksums are right.
    fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let header = take(&mut bytes, 8);
            assert_eq!(take(&mut bytes, 4), masked_crc(header).to_le_bytes());
            let length = u64::from_le_bytes(header.try_into().expect("eight bytes"));
            let payload = take(&mut bytes, usize::try_from(length).expect("short"));
            assert_eq!(take(&mut bytes, 4), masked_crc(payload).to_le_bytes());
            records.push(payload);
        }
        records
    }

    /// Numbers and raw values of a message's fields; keys and lengths are below 128.
    fn fields(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take(&mut bytes, 1)[0];
            let length = match key & 7 {
                0 => bytes.iter().take_while(|&&byte| byte >= 0x80).count() + 1,
                1 => 8,
                2 => usize::from(take(&mut bytes, 1)[0]),
                5 => 4,
                other => panic!("an unknown wire type: {other}"),
            };
            fields.push((key >> 3, take(&mut bytes, length)));
        }
        fields
    }

    fn check(message: &[u8], expected: &[(u8, &[u8])]) {
        assert_eq!(fields(message), expected);
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // The first bytes of every event file that TensorFlow writes.
        assert_eq!(record(&[0; 24])[..12], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn an_event_file_can_be_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let start = Duration::from_secs(1_700_000_000);
        let mut file = EventFile::create(dir.path(), start, 299).expect("created");
        file.write(2.5, 301, &[("loss", 0.5), ("rate", f64::NAN)]).expect("written");
        let path = dir.path().join("events.out.tfevents.1700000000.deft");
        let bytes = std::fs::read(path).expect("readable");
        let events = records(&bytes);
        assert_eq!(events.len(), 3);
        let time = 1_700_000_000_f64.to_le_bytes();
        check(events[0], &[(1, &time), (3, b"brain.Event:2")]);
        check(events[1], &[(1, &time), (2, &[0xac, 0x02]), (7, &[0x08, 0x01])]);
        let event = fields(events[2]);
        assert_eq!((event[0].1, event[1].1), (&2.5_f64.to_le_bytes()[..], &[0xad, 0x02][..]));
        assert_eq!((event.len(), event[2].0), (3, 5));
        let scalars = fields(event[2].1);
        assert_eq!(scalars.len(), 2);
        check(scalars[0].1, &[(1, b"loss"), (2, &0.5_f32.to_le_bytes())]);
        let rate = fields(scalars[1].1);
        assert_eq!(rate[0].1, b"rate");
        let value = f32::from_le_bytes(rate[1].1.try_into().expect("four bytes"));
        assert!(value.is_nan(), "{value}");
    }

    #[test]
    fn files_of_the_same_second_have_names_of_their_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let create = || EventFile::create(dir.path(), Duration::from_secs(7), 0).expect("created");
        let (first, second) = (create(), create());
        assert!(first.0.path().ends_with("events.out.tfevents.7.deft"), "{first:?}");
        assert!(second.0.path().ends_with("events.out.tfevents.8.deft"), "{second:?}");
    }
}
